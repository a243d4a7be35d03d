"""Task tokens: what they say (the profile in docs/task-tokens.md) and their signature."""

import json
from dataclasses import dataclass
from typing import Any

from assay.governed import claims
from assay.governed.authority import details
from assay.spiffeid import TrustDomain
from assay_server.credential.authorities import Authorities, JwtSigner
from assay_server.credential.jwt import TokenSigner
from assay_server.governance.credentials import Granted
from assay_server.governance.statusclaim import status_claim
from assay_server.model.governed.principal import ActorType

TYPE = "at+jwt"  # RFC 9068, section 2.1
_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
# draft-mora-oauth-entity-profiles has no word for machines.
_PROFILES = {ActorType.HUMAN: "user", ActorType.SERVICE: "service", ActorType.MACHINE: "device"}


@dataclass(frozen=True, slots=True)
class TaskClaims:
    """The payload."""

    claims: dict[str, Any]

    def encode(self) -> bytes:
        """As JSON."""
        return _JSON.encode(self.claims).encode()


class TaskTokens:
    """Signs task tokens of one issuer (a URL) with the active JWT key.

    `status_lists` is the URL below which the lists with their status are published; empty where none are.
    """

    def __init__(
        self, issuer: str, trust_domain: TrustDomain, authorities: Authorities, status_lists: str = ""
    ) -> None:
        self._issuer = issuer
        self._status_lists = status_lists
        self._trust_domain = trust_domain
        self._authorities = authorities
        self._signer: tuple[JwtSigner, TokenSigner] | None = None

    def ends_at(self) -> int:
        """When the active key ends, in Unix seconds (UnavailableError if there is none)."""
        return self._authorities.jwt.not_after

    def sign(self, granted: Granted) -> str:
        """The token in compact form."""
        authority = self._authorities.jwt
        if self._signer is None or self._signer[0] is not authority:
            self._signer = authority, TokenSigner.of(authority, TYPE)
        return self._signer[1].sign(TaskClaims(self.claims(granted)))

    def claims(self, granted: Granted) -> dict[str, Any]:
        """What the token says."""
        task, credential, principal = granted.task, granted.credential, granted.principal
        profile = _PROFILES.get(principal.actor_type, principal.actor_type.value)
        said: dict[str, Any] = {
            claims.PROFILE_CLAIM: claims.PROFILE,
            "iss": self._issuer,
            "aud": credential.audience,
            "iat": credential.issued_at,
            "exp": credential.expires_at,
            "jti": credential.jti,
            claims.CLIENT_ID: credential.instance,
            claims.INSTANCE: credential.instance,
            claims.MISSION: {
                claims.MISSION_ID: task.task_id,
                claims.MISSION_ISSUER: self._issuer,
                claims.MISSION_AUTHORITY: task.authority_hash,
            },
            claims.TRANSACTION: task.task_id,
            claims.TENANT: task.tenant,
            claims.ENVIRONMENT: task.environment,
            claims.DECISION: credential.decision_id,
            claims.DETAILS: details(granted.authority),
            claims.ACTION_CLASSES: dict(granted.action_classes),
            **status_claim(self._status_lists, credential),
        }
        actor = {"sub": credential.instance, claims.ACTOR_TYPE: profile}
        if task.subject:
            said |= {"sub": task.subject, claims.ACTOR_TYPE: task.subject_profile or "user"}
            said[claims.ACTOR] = {"iss": str(self._trust_domain.id), **actor}
        else:
            said |= actor
        if principal.model:
            said[claims.MODEL] = {"id": principal.model}
        if granted.confirmation is not None:
            said[claims.CONFIRMATION] = granted.confirmation.claim()
        return said
