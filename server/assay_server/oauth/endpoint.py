"""Token, introspection, revocation: the answers; who may have which token is `CredentialService`'s to say."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog

from assay.bundle import jwk
from assay.clock import Clock
from assay.crypto.keys import from_pkix
from assay.errors import AssayError, Kind, PermissionDeniedError
from assay.governed import claims
from assay.governed.authority import details
from assay.svid import compact
from assay.svid.refusal import SvidRefusedError
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.credentials import CredentialService, IssuedCredential
from assay_server.governance.refusal import AuthorityExceededError, DecisionRefusedError
from assay_server.governance.request import Confirmation, CredentialRequest
from assay_server.governance.task_state import InactiveTaskError
from assay_server.governance.tokens import TYPE
from assay_server.model.governed.task import Credential, Task
from assay_server.oauth.bundles import OwnAuthorities
from assay_server.oauth.client import Client
from assay_server.oauth.errors import OAuthError, invalid_request
from assay_server.oauth.grant import ACCESS_TOKEN, Grant

log = structlog.get_logger(__name__)

Answer = dict[str, Any]
INACTIVE: Mapping[str, Any] = {"active": False}
"""All that is said of a token that does not count, whatever the reason (RFC 7662 section 2.2)."""


class TokenEndpoint:
    """Answers clients that are known already. `issuer` is our own name, a URL."""

    def __init__(
        self,
        issuer: str,
        credentials: CredentialService,
        authorities: OwnAuthorities,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._credentials = credentials
        self._authorities = authorities
        self._clock = clock

    async def token(self, client: Client, grant: Grant, dpop: Confirmation | None) -> Answer:
        """A token bound to the key of the DPoP proof, or else to that of the client's own credential.

        Raises:
            OAuthError: it may not be had.
        """
        confirmation = dpop or client.confirmation
        if confirmation is None:
            raise invalid_request("tokens are bound to a key: send a DPoP proof, or come with a certificate")
        mission, ends_at = await self._subject(client, grant)
        try:
            issued = await self._credentials.issue(
                CredentialRequest(
                    task_id=mission,
                    instance=client.spiffe_id,
                    audience=grant.audience,
                    confirmation=confirmation,
                    actions=grant.actions,
                    requested_ttl=grant.requested_ttl,
                    ends_at=(client.ends_at, *ends_at),
                )
            )
        except AssayError as error:
            log.info("Token refused", client=str(client.spiffe_id), audience=grant.audience, error=str(error))
            raise refused(error, detailed=bool(grant.actions)) from error
        return self._answer(issued, "DPoP" if confirmation.binding.value == "jkt" else "Bearer")

    async def introspect(self, token: str) -> Mapping[str, Any]:
        """What the token says, if it counts now (RFC 7662)."""
        found = await self._known(token)
        if found is None:
            return INACTIVE
        payload, credential, task = found
        now = self._clock.now().timestamp()
        if not (credential.live(now) and task.active(now)):
            return INACTIVE
        return {"active": True, "token_type": "DPoP" if "jkt" in payload.get("cnf", {}) else "Bearer", **payload}

    async def revoke(self, client: Client, token: str) -> None:
        """End a token of this client's (RFC 7009); a token that is not known is none.

        Raises:
            OAuthError: it is another client's.
        """
        found = await self._known(token)
        if found is None:
            return
        credential = found[1]
        if credential.instance != str(client.spiffe_id):
            raise OAuthError("unauthorized_client", "the token was issued to another client")
        await self._credentials.revoke(credential.jti, actor=str(client.spiffe_id), cause="revoked by its holder")

    async def _subject(self, client: Client, grant: Grant) -> tuple[str, tuple[int, ...]]:
        """The task that is meant, and the end of the subject's token: another one of this client, of that task."""
        if not grant.subject_token:
            return grant.mission, ()
        found = await self._known(grant.subject_token)
        now = self._clock.now().timestamp()
        if found is None or not found[1].live(now) or not found[2].active(now):
            raise OAuthError("invalid_grant", "subject_token does not count")
        if found[1].instance != str(client.spiffe_id):
            raise OAuthError("invalid_grant", "subject_token was issued to another client")
        if grant.mission and grant.mission != found[2].task_id:
            raise OAuthError("invalid_grant", "subject_token is another task's")
        return found[2].task_id, (found[1].expires_at,)

    async def _known(self, token: str) -> tuple[Mapping[str, Any], Credential, Task] | None:
        payload = self._verified(token)
        found = await self._credentials.find(str(payload.get("jti"))) if payload else None
        return (payload, *found) if payload and found else None

    def _verified(self, token: str) -> Mapping[str, Any] | None:
        """What one of our own tokens says; None for anything else."""
        bundle = self._authorities.own
        try:
            header, payload = compact.split(token)
            keys = {one.key_id: one.public_key for one in (bundle.jwt_authorities if bundle else ())}
            key = keys.get(str(header.get("kid")))
            if header.get("typ") != TYPE or key is None or payload.get("iss") != self._issuer:
                return None
            compact.check_signature(token, header, key)
        except SvidRefusedError:
            return None
        return payload

    def _answer(self, issued: IssuedCredential, kind: str) -> Answer:
        credential = issued.granted.credential
        return {
            "access_token": issued.token,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": kind,
            "expires_in": credential.expires_at - credential.issued_at,
            "authorization_details": details(issued.granted.authority),
            claims.MISSION: issued.granted.task.task_id,
        }

    def jwks(self) -> Answer:
        """The keys that tokens verify with (RFC 7517)."""
        bundle = self._authorities.own
        return {
            "keys": [
                {**jwk.emit(from_pkix(one.public_key)), "kid": one.key_id, "use": "sig"}
                for one in (bundle.jwt_authorities if bundle else ())
            ]
        }


def refused(error: AssayError, *, detailed: bool) -> OAuthError:
    """Why there is no token, in OAuth's words."""
    if isinstance(error, DecisionRefusedError):
        decision = error.decision
        return OAuthError(
            "access_denied",
            str(error),
            HTTPStatus.FORBIDDEN,
            decision_id=decision.decision_id,
            needs_approval=error.needs_approval,
        )
    if isinstance(error, AuthorityExceededError):
        return OAuthError("invalid_authorization_details" if detailed else "invalid_target", error.message)
    if isinstance(error, PermissionDeniedError | BudgetSpentError | InactiveTaskError):
        return OAuthError("invalid_grant", error.message)
    if error.kind is Kind.INVALID_ARGUMENT:
        return invalid_request(error.message)
    return OAuthError("temporarily_unavailable", "tokens cannot be issued now", HTTPStatus.SERVICE_UNAVAILABLE)
