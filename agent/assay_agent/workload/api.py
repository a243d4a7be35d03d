"""The SPIFFE Workload API: who calls is attested anew for each RPC, and what it gets follows the cache."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError, UnavailableError, UnimplementedError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import JwtSvid
from assay.workloadapi import wire
from assay.workloadapi.wire import Context
from assay_agent.cache import Cache, WorkloadView
from assay_agent.cache.jwt import JwtCache
from assay_agent.cache.wit import WitCache
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Caller, Callers
from assay_agent.workload.claims import to_struct, visible_claims
from assay_agent.workload.guard import guarded
from assay_agent.workload.ratelimit import SelectorLimits
from assay_agent.workload.replies import Replies
from assay_agent.workload.streams import SERVICE, Streamed, follow, no_identity, passed_on
from assay_proto.workloadapi import workloadapi_pb2 as pb

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkloadApiSettings:
    """Whether callers without identity get the own bundle, and which claims of foreign tokens are passed on."""

    trust_domain: TrustDomain
    allow_unauthenticated_verifiers: bool = False
    allowed_foreign_jwt_claims: AbstractSet[str] = frozenset()


class WorkloadApi:
    """Implements assay.workloadapi.wire.Servicer; status codes and the order of checks are SPIRE's.

    First the security header (`wire.register` asks for it), then the request's own faults, then whether the agent is
    ready, then who calls, then what that caller is entitled to.
    """

    def __init__(
        self,
        cache: Cache,
        jwts: JwtCache,
        wits: WitCache,
        callers: Callers,
        instances: Instances,
        clock: Clock,
        settings: WorkloadApiSettings,
        limits: SelectorLimits | None = None,
    ) -> None:
        self._cache = cache
        self._limits = limits
        self._jwts = jwts
        self._wits = wits
        self._callers = callers
        self._instances = instances
        self._clock = clock
        self.settings = settings
        replies = Replies()
        self._x509_svids = Streamed("FetchX509SVID", replies.x509_svids, _has_svid, signed=True)
        self._x509_bundles = Streamed("FetchX509Bundles", replies.x509_bundles, self._may_verify)
        self._jwt_bundles = Streamed("FetchJWTBundles", replies.jwt_bundles, self._may_verify)
        self._wit_bundles = Streamed("FetchWITBundles", replies.wit_bundles, self._may_verify)

    @guarded
    async def FetchX509SVID(self, _request: pb.X509SVIDRequest, context: Context) -> None:
        """The caller's X.509-SVIDs, now and on every change, until none is left."""
        await self._follow(self._x509_svids, context)

    @guarded
    async def FetchX509Bundles(self, _request: pb.X509BundlesRequest, context: Context) -> None:
        """The own bundle and those the caller's entries federate with, now and on every change."""
        await self._follow(self._x509_bundles, context)

    @guarded
    async def FetchJWTBundles(self, _request: pb.JWTBundlesRequest, context: Context) -> None:
        """The JWT keys of the same bundles."""
        await self._follow(self._jwt_bundles, context)

    @guarded
    async def FetchJWTSVID(self, request: pb.JWTSVIDRequest, context: Context) -> pb.JWTSVIDResponse:
        """A JWT-SVID for each of the caller's identities, or for the one it asks for."""
        audience = _audience(request.audience)
        wanted = _requested_id(request.spiffe_id, "FetchJWTSVID")
        caller = await self._attest(context, "FetchJWTSVID")
        entries = self._cache.matching(caller.selectors)
        instanced = self._cache.instanced(caller.selectors)
        if wanted is not None:
            entries = tuple(entry for entry in entries if entry.spiffe_id == wanted)
            instanced = [one for one in instanced if await self._is(caller, one, wanted)]
        if not entries and not instanced:
            raise no_identity(caller, "FetchJWTSVID")
        svids = await self._jwt_svids(caller, [*entries, *instanced], audience)
        caller.check_alive()
        return pb.JWTSVIDResponse(svids=svids)

    @guarded
    async def ValidateJWTSVID(self, request: pb.ValidateJWTSVIDRequest, context: Context) -> pb.ValidateJWTSVIDResponse:
        """Whether the token is good for the audience, by the bundles the caller may use."""
        if not request.audience:
            raise _refused("Missing required audience parameter", "audience must be specified", "ValidateJWTSVID")
        if not request.svid:
            raise _refused("Missing required svid parameter", "svid must be specified", "ValidateJWTSVID")
        caller = await self._attest(context, "ValidateJWTSVID")
        svid = self._validate(request, self._cache.view(caller.selectors))
        claims = visible_claims(svid, self.settings.trust_domain, self.settings.allowed_foreign_jwt_claims)
        caller.check_alive()
        return pb.ValidateJWTSVIDResponse(spiffe_id=str(svid.spiffe_id), claims=to_struct(claims))

    @guarded
    async def FetchWITSVID(self, request: pb.WITSVIDRequest, context: Context) -> None:
        """A WIT-SVID with its key for each identity, or for the one asked for: now, on every change and in time."""
        from assay_agent.workload.wits import WitFollower  # noqa: PLC0415 - few domains have WIT-SVIDs

        wanted = _requested_id(request.spiffe_id, "FetchWITSVID")
        self._check_wit("fetching WIT-SVIDs is not implemented")
        caller = await self._attest(context, "FetchWITSVID")
        await WitFollower(self._cache, self._wits, self._instances, self._clock, caller, wanted).follow(context)

    @guarded
    async def FetchWITBundles(self, _request: pb.WITBundlesRequest, context: Context) -> None:
        """The WIT keys of the same bundles as FetchJWTBundles."""
        self._check_wit("fetching WIT bundles is not implemented")
        await self._follow(self._wit_bundles, context)

    def _check_wit(self, refusal: str) -> None:
        """Refuse where the trust domain has no WIT-SVIDs (WIT-SVID section 6.2; Workload API, section 7)."""
        own = self._cache.bundles.get(self.settings.trust_domain)
        if self._cache.synced and (own is None or not own.wit_authorities):
            raise UnimplementedError(refusal)

    async def _attest(self, context: Context, method: str) -> Caller:
        if not self._cache.synced:
            raise UnavailableError("agent has not synced with the server yet")
        caller = await self._callers.attest(context, method)
        if self._limits is not None and not caller.quiet:
            self._limits.check(f"/{wire.SERVICE}/{method}", caller.selectors)
        return caller

    async def _follow(self, what: Streamed, context: Context) -> None:
        caller = await self._attest(context, what.method)
        # Of bundles all workloads with these selectors get the same.
        views = (
            self._instances.subscribe(caller) if what.signed else self._cache.subscribe(caller.selectors, signed=False)
        )
        await follow(views, self._clock, caller, what, context)

    def _may_verify(self, view: WorkloadView) -> bool:
        return view.entitled or self.settings.allow_unauthenticated_verifiers

    async def _is(self, caller: Caller, entry: Entry, wanted: SpiffeId) -> bool:
        """Whether that is the caller's SPIFFE ID by an entry of which it is one instance."""
        try:
            return await self._instances.spiffe_id(caller, entry) == wanted
        except AssayError as error:
            log.warning("Instance is not known", pid=caller.peer.pid, entry=entry.id, error=str(error))
            return False

    async def _jwt_svids(self, caller: Caller, entries: Sequence[Entry], audience: Sequence[str]) -> list[pb.JWTSVID]:
        if len(entries) == 1:
            return [await self._jwt_svid(caller, entries[0], audience)]
        asked = (self._jwt_svid(caller, entry, audience) for entry in entries)
        # All are awaited: what one refusal left under way would run on unwatched.
        answers = await asyncio.gather(*asked, return_exceptions=True)
        svids = [one for one in answers if not isinstance(one, BaseException)]
        refusals = [one for one in answers if isinstance(one, BaseException)]
        # That a principal has no task for it does not keep the caller from its other identities.
        grave = [one for one in refusals if not isinstance(one, PermissionDeniedError)]
        if grave or (refusals and not svids):
            raise (grave or refusals)[0]
        return svids

    async def _jwt_svid(self, caller: Caller, entry: Entry, audience: Sequence[str]) -> pb.JWTSVID:
        fields = {"method": "FetchJWTSVID", "pid": caller.peer.pid, "registered": True, "service": SERVICE}
        spiffe_id = str(entry.spiffe_id)
        try:
            if entry.principal:
                own = await self._instances.jwt(caller, entry, audience)
                token, expires_at, spiffe_id = own.token, own.expires_at, str(own.spiffe_id)
            else:
                issued = await self._jwts.fetch(entry, audience)
                token, expires_at = issued.token, issued.expires_at
        except AssayError as error:
            log.error("Could not fetch JWT-SVID", error=str(error), spiffe_id=spiffe_id, **fields)  # noqa: TRY400 - a refusal
            raise passed_on(error, entry, "JWT-SVID") from error
        ttl = expires_at - self._clock.now().timestamp()
        log.debug("Fetched JWT SVID", spiffe_id=spiffe_id, ttl=ttl, **fields)
        return pb.JWTSVID(spiffe_id=spiffe_id, svid=token, hint=entry.hint)

    def _validate(self, request: pb.ValidateJWTSVIDRequest, view: WorkloadView) -> JwtSvid:
        from assay.svid import jwt  # noqa: PLC0415 - slow to import, so app.py sees to it once SVIDs are out

        bundles = {bundle.trust_domain: bundle for bundle in (view.bundle, *view.federated)}
        try:
            svid = jwt.verify(request.svid, bundles, request.audience, self._clock.now())
        except AssayError as error:
            log.warning("Failed to validate JWT", audience=request.audience, error=str(error), service=SERVICE)
            raise InvalidArgumentError(error.message) from error
        log.debug("Successfully validated JWT", spiffe_id=str(svid.spiffe_id), service=SERVICE)
        return svid


def _has_svid(view: WorkloadView) -> bool:
    return bool(view.identities)


def _audience(audience: Sequence[str]) -> tuple[str, ...]:
    named = tuple(one for one in audience if one)
    if not named:
        raise _refused("Missing required audience parameter", "audience must be specified", "FetchJWTSVID")
    return named


def _requested_id(text: str, method: str) -> SpiffeId | None:
    try:
        return SpiffeId.parse(text) if text else None
    except AssayError as error:
        message = f"invalid requested SPIFFE ID: {error.message}"
        raise _refused("Invalid requested SPIFFE ID", message, method) from None


def _refused(logged: str, message: str, method: str) -> InvalidArgumentError:
    log.error(logged, method=method, service=SERVICE)
    return InvalidArgumentError(message)
