"""assay.instance.v1.Instances: SVIDs of principals' instances, for the agents that attested them."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from assay.batch import each
from assay.crypto import csr
from assay.crypto.csr import SigningRequest
from assay.crypto.keys import from_pkix
from assay.errors import (
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    prefixed,
)
from assay.rpc.method import Context
from assay.spiffeid import SpiffeId
from assay_proto.instance.v1 import instance_pb2 as pb
from assay_proto.spire.api.types.jwtsvid_pb2 import JWTSVID
from assay_proto.spire.api.types.witsvid_pb2 import WITSVID
from assay_server.api.svid_batch import entitled, issued_each, put_result
from assay_server.api.svid_mint import jwt_audience
from assay_server.authorization.caller import caller_id
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits, take
from assay_server.authorization.view import AgentView
from assay_server.credential import IssuedX509, Issuer, LeafOrder
from assay_server.governance.instances import Admitted, Copy, Instances
from assay_server.governance.tasksvids import TaskSvids, TaskWits, WitKey
from assay_server.model.governed.principal import ActorType

log = structlog.get_logger(__name__)

_TURN = 25


@dataclass(frozen=True, slots=True)
class InstanceApi:
    """The service."""

    issuer: Issuer
    authorized: AuthorizedEntries
    limits: RateLimits
    instances: Instances
    tokens: TaskSvids
    wits: TaskWits

    async def BatchNewX509SVID(
        self, request: pb.BatchNewX509SVIDRequest, context: Context
    ) -> pb.BatchNewX509SVIDResponse:
        """An X.509-SVID for each instance of an entry that is authorized for the calling agent now."""
        if not request.params:
            raise InvalidArgumentError("missing parameters")
        agent = caller_id()
        await take(
            self.limits.x509_signing,
            len(request.params),
            refusal="certificate signing rate limiting",
            patience=context.time_remaining(),
        )
        response = pb.BatchNewX509SVIDResponse()
        for start in range(0, len(request.params), _TURN):
            if start:
                await context.turn()
            for svid in await self._signed(agent, request.params[start : start + _TURN]):
                put_result(response.results.add(), svid)
        return response

    async def NewJWTSVID(self, request: pb.NewJWTSVIDRequest, context: Context) -> pb.NewJWTSVIDResponse:
        """A JWT-SVID for an entry of a principal: within a task if that is an AI agent, as any other if it is not."""
        agent = caller_id()
        await take(
            self.limits.jwt_signing, refusal="JWT signing request rate limiting", patience=context.time_remaining()
        )
        audience = jwt_audience(request.audience)
        entry = await self.authorized.authorized(agent, request.entry_id)
        if entry is None:
            raise NotFoundError("entry not found or not authorized")
        admitted = _free(await self.instances.admit_one(Copy(entry, request.instance, agent)))
        if admitted.principal.actor_type is ActorType.AI_AGENT:
            return await self._within_task(admitted, audience, request.task_id)
        svid = self.issuer.workload_jwt(
            admitted.spiffe_id, audience, ttl=entry.jwt_svid_ttl, include_jti=entry.jwt_svid_include_jti
        )
        response = pb.NewJWTSVIDResponse()
        _put(response.svid, svid.spiffe_id, svid.token, svid.issued_at, svid.expires_at)
        return response

    async def NewWITSVID(self, request: pb.NewWITSVIDRequest, context: Context) -> pb.NewWITSVIDResponse:
        """A WIT-SVID for an entry of a principal and a key of its instance, as NewJWTSVID."""
        agent = caller_id()
        await take(
            self.limits.wit_signing, refusal="WIT signing request rate limiting", patience=context.time_remaining()
        )
        self.issuer.check_wit()
        entry = await self.authorized.authorized(agent, request.entry_id)
        if entry is None:
            raise NotFoundError("entry not found or not authorized")
        with prefixed("malformed public key"):
            key = WitKey(from_pkix(request.public_key), request.algorithm)
        admitted = _free(await self.instances.admit_one(Copy(entry, request.instance, agent)))
        response = pb.NewWITSVIDResponse()
        if admitted.principal.actor_type is not ActorType.AI_AGENT:
            svid = self.issuer.workload_wit(admitted.spiffe_id, key.public, key.algorithm, ttl=entry.x509_svid_ttl)
            _put(response.svid, svid.spiffe_id, svid.token, svid.issued_at, svid.expires_at)
            return response
        name, ttl = admitted.principal.name, entry.x509_svid_ttl
        issued = await self.wits.issue(name, admitted.spiffe_id, key, request.task_id, ttl)
        credential = issued.granted.credential
        response.task_id = credential.task_id
        _put(response.svid, admitted.spiffe_id, issued.token, credential.issued_at, credential.expires_at)
        return response

    async def _within_task(self, admitted: Admitted, audience: Sequence[str], task_id: str) -> pb.NewJWTSVIDResponse:
        ttl = admitted.copy.entry.jwt_svid_ttl
        issued = await self.tokens.issue(admitted.principal.name, admitted.spiffe_id, audience, task_id, ttl)
        credential = issued.granted.credential
        response = pb.NewJWTSVIDResponse(task_id=credential.task_id)
        _put(response.svid, admitted.spiffe_id, issued.token, credential.issued_at, credential.expires_at)
        return response

    async def _signed(self, agent: SpiffeId, params: Sequence[pb.NewX509SVIDParams]) -> list[IssuedX509 | AssayError]:
        view = await self.authorized.view(agent)
        items = each(lambda one: _item(view, agent, one), params)
        admitted = await self.instances.admit(each(lambda item: item.copy, items))
        return issued_each(self.issuer, [_order(one, item) for one, item in zip(admitted, items, strict=True)])


@dataclass(frozen=True, slots=True)
class _Item:
    copy: Copy
    request: SigningRequest


def _item(view: AgentView, agent: SpiffeId, params: pb.NewX509SVIDParams) -> _Item:
    entry = entitled(view, params.entry_id, params.csr, "CSR")
    if not entry.instance_from:
        raise FailedPreconditionError("entry does not name instances")
    return _Item(Copy(entry, params.instance, agent), csr.parse(params.csr))


def _order(admitted: Admitted | AssayError, item: _Item | AssayError) -> LeafOrder | AssayError:
    if isinstance(item, AssayError):
        return item
    if isinstance(admitted, AssayError):
        return admitted
    entry = admitted.copy.entry
    return LeafOrder(item.request.pkix, admitted.spiffe_id, entry.dns_names, entry.x509_svid_ttl)


def _free(admitted: Admitted) -> Admitted:
    """The same, unless its principal is in quarantine: no decision says so of tokens that stand on no task."""
    if admitted.principal.quarantined:
        raise PermissionDeniedError("principal is in quarantine")
    return admitted


def _put(message: JWTSVID | WITSVID, spiffe_id: SpiffeId, token: str, issued_at: int, expires_at: int) -> None:
    kind = "JWT-SVID" if isinstance(message, JWTSVID) else "WIT-SVID"
    log.debug("Server CA successfully signed a token", kind=kind, spiffe_id=spiffe_id, expiration=expires_at)
    message.token = token
    message.id.trust_domain = spiffe_id.trust_domain.name
    message.id.path = spiffe_id.path
    message.expires_at = expires_at
    message.issued_at = issued_at
