"""spire.api.server.svid.v1.SVID: agents fetch what their entries allow, operators mint what they ask for."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import structlog

from assay.entry import Entry
from assay.errors import InvalidArgumentError, NotFoundError, UnimplementedError
from assay.rpc.method import Context
from assay.spiffeid import SpiffeId, TrustDomain
from assay_proto.spire.api.server.svid.v1 import svid_pb2 as pb
from assay_proto.spire.api.types.jwtsvid_pb2 import JWTSVID
from assay_server.api.audit.note import note
from assay_server.api.svid_batch import check_taskless, log_x509, put_x509, shared, sign_each
from assay_server.api.svid_mint import jwt_audience, mint_request, token_subject
from assay_server.authorization.caller import caller_id
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits, take
from assay_server.credential import IssuedJwt, Issuer
from assay_server.datastore.base import Store

log = structlog.get_logger(__name__)

_SIGNING = "certificate signing rate limiting"

# Signing holds the loop; after so many certificates, some five milliseconds, other callers get their turn. Pieces of
# ten cost a third more CPU for each certificate.
_TURN = 25


class SvidApi:
    """The SVID service. Downstream CAs are not built."""

    def __init__(
        self,
        trust_domain: TrustDomain,
        issuer: Issuer,
        authorized: AuthorizedEntries,
        limits: RateLimits,
        store: Store,
    ) -> None:
        self._trust_domain = trust_domain
        self._issuer = issuer
        self._authorized = authorized
        self._limits = limits
        self._store = store

    async def MintX509SVID(self, request: pb.MintX509SVIDRequest, context: Context) -> pb.MintX509SVIDResponse:
        """An X.509-SVID for whatever ID, subject and DNS names the CSR asks for."""
        mint = mint_request(request.csr, self._trust_domain)
        svid = self._issuer.workload_x509(
            mint.pkix, mint.spiffe_id, dns_names=mint.dns_names, ttl=request.ttl, subject=mint.subject
        )
        log_x509(svid)
        response = pb.MintX509SVIDResponse()
        put_x509(response.svid, svid)
        return response

    async def MintJWTSVID(self, request: pb.MintJWTSVIDRequest, context: Context) -> pb.MintJWTSVIDResponse:
        """A JWT-SVID for whatever ID is asked for."""
        spiffe_id = token_subject(request, self._trust_domain)
        svid = self._issuer.workload_jwt(spiffe_id, jwt_audience(request.audience), ttl=request.ttl)
        response = pb.MintJWTSVIDResponse()
        _put_jwt(response.svid, svid)
        return response

    async def MintWITSVID(self, request: pb.MintWITSVIDRequest, context: Context) -> pb.MintWITSVIDResponse:
        """A WIT-SVID for whatever ID and key are asked for."""
        from assay_server.api import svid_wit  # noqa: PLC0415 - few servers switch it on

        self._issuer.check_wit()
        return svid_wit.mint(self._issuer, self._trust_domain, request)

    async def BatchNewX509SVID(
        self, request: pb.BatchNewX509SVIDRequest, context: Context
    ) -> pb.BatchNewX509SVIDResponse:
        """One X.509-SVID for each entry, which must be authorized for the calling agent now; items fail alone."""
        if not request.params:
            raise InvalidArgumentError("missing parameters")
        agent = caller_id()
        await take(self._limits.x509_signing, len(request.params), refusal=_SIGNING, patience=context.time_remaining())
        response = pb.BatchNewX509SVIDResponse()
        for start in range(0, len(request.params), _TURN):
            if len(request.params) > 1:
                await context.turn()
            view = await self._authorized.view(agent)
            sign_each(self._issuer, view, request.params[start : start + _TURN], response)
        return response

    async def NewJWTSVID(self, request: pb.NewJWTSVIDRequest, context: Context) -> pb.NewJWTSVIDResponse:
        """A JWT-SVID for an entry that is authorized for the calling agent now."""
        agent = caller_id()
        await take(
            self._limits.jwt_signing, refusal="JWT signing request rate limiting", patience=context.time_remaining()
        )
        entry = shared(await self._entry(agent, request.entry_id))
        check_taskless(entry, await self._taskless([entry]))
        svid = self._issuer.workload_jwt(
            entry.spiffe_id,
            jwt_audience(request.audience),
            ttl=entry.jwt_svid_ttl,
            include_jti=entry.jwt_svid_include_jti,
        )
        note(ttl=entry.jwt_svid_ttl)
        response = pb.NewJWTSVIDResponse()
        _put_jwt(response.svid, svid)
        return response

    async def BatchNewWITSVID(self, request: pb.BatchNewWITSVIDRequest, context: Context) -> pb.BatchNewWITSVIDResponse:
        """One WIT-SVID for each entry and key, as BatchNewX509SVID."""
        from assay_server.api import svid_wit  # noqa: PLC0415 - few servers switch it on

        if not request.params:
            raise InvalidArgumentError("missing parameters")
        agent = caller_id()
        await take(self._limits.wit_signing, len(request.params), refusal=_SIGNING, patience=context.time_remaining())
        self._issuer.check_wit()
        response = pb.BatchNewWITSVIDResponse()
        for start in range(0, len(request.params), _TURN):
            if len(request.params) > 1:
                await context.turn()
            view, params = await self._authorized.view(agent), request.params[start : start + _TURN]
            taskless = await self._taskless(view.get(one.entry_id) for one in params)
            svid_wit.sign_each(self._issuer, view, params, response, taskless)
        return response

    async def NewDownstreamX509CA(
        self, request: pb.NewDownstreamX509CARequest, context: Context
    ) -> pb.NewDownstreamX509CAResponse:
        """Not built."""
        refusal = "downstream CA signing rate limit"
        await take(self._limits.x509_signing, refusal=refusal, patience=context.time_remaining())
        raise UnimplementedError("downstream X.509 CAs are not built yet")

    async def _taskless(self, entries: Iterable[Entry | None]) -> AbstractSet[str]:
        """Of the principals of these entries those whose tokens stand on no task."""
        names = {entry.principal for entry in entries if entry is not None and entry.principal}
        if not names:
            return frozenset()
        from assay_server.governance.instances import taskless  # noqa: PLC0415 - few entries are a principal's

        return await self._store.read(lambda tx: taskless(tx, names))

    async def _entry(self, agent: SpiffeId, entry_id: str) -> Entry:
        entry = await self._authorized.authorized(agent, entry_id)
        if entry is None:
            raise NotFoundError("entry not found or not authorized")
        return entry


def _put_jwt(message: JWTSVID, svid: IssuedJwt) -> None:
    log.debug("Server CA successfully signed JWT SVID", spiffe_id=svid.spiffe_id, expiration=svid.expires_at)
    message.token = svid.token
    message.id.trust_domain = svid.spiffe_id.trust_domain.name
    message.id.path = svid.spiffe_id.path
    message.expires_at = svid.expires_at
    message.issued_at = svid.issued_at
