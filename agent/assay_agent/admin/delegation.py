"""The Delegated Identity API: identities of other workloads, for processes that the operator trusts with them.

Order of checks, codes and words are SPIRE's. More than SPIRE's agent does: a stream ends as soon as its delegate's own
entries no longer admit it, not with the next update; and a PID that was handed in stands for the process that had it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from time import perf_counter
from typing import Protocol, TypeVar

import structlog
from google.protobuf.message import Message

from assay.bundle import Bundle
from assay.bundle.jwks import emit_jwt
from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, Kind, PermissionDeniedError, UnavailableError
from assay.rpc.method import Context
from assay.telemetry.metrics import OFF, Metrics
from assay.waiting import first_of
from assay.wire import spiffeid as spiffeid_wire
from assay_agent.admin.delegates import Delegates
from assay_agent.admin.subject import Subjects, check_one
from assay_agent.cache import Cache, Identity, WorkloadView
from assay_agent.cache.jwt import JwtCache
from assay_agent.workload.caller import Caller
from assay_proto.spire.api.agent.delegatedidentity.v1 import delegatedidentity_pb2 as pb
from assay_proto.spire.api.types import jwtsvid_pb2, x509svid_pb2

log = structlog.get_logger(__name__)

V_co = TypeVar("V_co", covariant=True)


class Updates(Protocol[V_co]):
    """What can be followed: a subscription of the cache."""

    @property
    def changed(self) -> bool:
        """Whether there is something that was not taken yet."""
        ...

    async def wait_changed(self) -> None:
        """Return when there is."""
        ...

    async def __anext__(self) -> V_co:
        """Take the newest."""
        ...


FIRST_UPDATE = ("delegated_identity_api", "subscribe_x509_svids", "first_update", "elapsed_time")
# Bundles whose JWK Set is kept: a trust domain has one at a time.
MAX_BUNDLES = 256


class DelegatedIdentityApi:
    """The DelegatedIdentity service. Admin and downstream identities are given to nobody."""

    def __init__(
        self,
        cache: Cache,
        jwts: JwtCache,
        delegates: Delegates,
        subjects: Subjects,
        clock: Clock,
        metrics: Metrics = OFF,
    ) -> None:
        self._metrics = metrics
        self._cache = cache
        self._jwts = jwts
        self._delegates = delegates
        self._subjects = subjects
        self._clock = clock
        self._jwks = lru_cache(MAX_BUNDLES)(emit_jwt)

    async def SubscribeToX509SVIDs(self, request: pb.SubscribeToX509SVIDsRequest, context: Context) -> None:
        """The X.509-SVIDs of a workload, now and on every change."""
        began: float | None = perf_counter()
        caller = await self._delegates.admit(context, "SubscribeToX509SVIDs")
        check_one(request.pid, len(request.selectors))
        with self._subjects.process(request.pid) as process:
            subject = await self._subjects.of(process, request.selectors)

            def respond(view: WorkloadView) -> pb.SubscribeToX509SVIDsResponse:
                nonlocal began
                subject.check_alive()
                if began is not None and view.identities:
                    self._metrics.sample(FIRST_UPDATE, (perf_counter() - began) * 1000)
                    began = None
                return self._x509_svids(view)

            with self._cache.subscribe(subject.selectors) as views:
                await self._follow(caller, "SubscribeToX509SVIDs", views, respond, context)

    async def SubscribeToX509Bundles(self, _request: pb.SubscribeToX509BundlesRequest, context: Context) -> None:
        """The X.509 authorities of all trust domains that the agent knows, now and on every change."""
        caller = await self._delegates.admit(context, "SubscribeToX509Bundles")
        with self._cache.subscribe_bundles() as bundles:
            await self._follow(caller, "SubscribeToX509Bundles", bundles, _x509_bundles, context)

    async def SubscribeToJWTBundles(self, _request: pb.SubscribeToJWTBundlesRequest, context: Context) -> None:
        """The JWT authorities of the same, as JWK Sets."""
        caller = await self._delegates.admit(context, "SubscribeToJWTBundles")
        with self._cache.subscribe_bundles() as bundles:
            await self._follow(caller, "SubscribeToJWTBundles", bundles, self._jwt_bundles, context)

    async def FetchJWTSVIDs(self, request: pb.FetchJWTSVIDsRequest, context: Context) -> pb.FetchJWTSVIDsResponse:
        """A JWT-SVID for each identity of a workload."""
        if not request.audience:
            log.error("Missing required audience parameter", method="FetchJWTSVIDs")
            raise InvalidArgumentError("audience must be specified")
        caller = await self._delegates.admit(context, "FetchJWTSVIDs")
        check_one(request.pid, len(request.selectors))
        with self._subjects.process(request.pid) as process:
            subject = await self._subjects.of(process, request.selectors)
            entries = [entry for entry in self._cache.entitled(subject.selectors) if may_be_delegated(entry)]
            svids = [await self._jwt_svid(entry, request.audience) for entry in entries]
            subject.check_alive()
        if not svids:
            log.error("No identity issued", method="FetchJWTSVIDs", pid=caller.peer.pid)
            raise PermissionDeniedError("no identity issued")
        # The server may have taken its time to sign.
        self._delegates.check(caller, "FetchJWTSVIDs")
        caller.check_alive()
        return pb.FetchJWTSVIDsResponse(svids=svids)

    async def _follow(
        self, caller: Caller, method: str, updates: Updates[V_co], respond: Callable[[V_co], Message], context: Context
    ) -> None:
        """Send what is new, for as long as the caller is a delegate. Responses equal to the last are left out."""
        sent: Message | None = None
        with self._cache.subscribe(caller.selectors, signed=False) as own:
            while True:
                if not (updates.changed or own.changed):
                    await first_of(updates.wait_changed(), own.wait_changed())
                if own.changed:
                    await anext(own)
                    self._delegates.check(caller, method)
                if not updates.changed:
                    continue
                response = respond(await anext(updates))
                # To have something signed may have taken its time.
                self._delegates.check(caller, method)
                caller.check_alive()
                if response != sent:
                    await context.write(response)
                    sent = response

    def _x509_svids(self, view: WorkloadView) -> pb.SubscribeToX509SVIDsResponse:
        given = [identity for identity in view.all_identities if may_be_delegated(identity.entry)]
        now = self._clock.now().timestamp()
        for identity in given:
            log.debug(
                "Fetched X.509 SVID for delegated identity",
                count=len(given),
                spiffe_id=str(identity.entry.spiffe_id),
                ttl=identity.svid.not_after - now,
            )
        return pb.SubscribeToX509SVIDsResponse(
            x509_svids=[_x509_svid(identity) for identity in given],
            federates_with=sorted(str(one.trust_domain.id) for one in view.federated),
        )

    def _jwt_bundles(self, bundles: Sequence[Bundle]) -> pb.SubscribeToJWTBundlesResponse:
        return pb.SubscribeToJWTBundlesResponse(bundles={str(one.trust_domain.id): self._jwks(one) for one in bundles})

    async def _jwt_svid(self, entry: Entry, audience: Sequence[str]) -> jwtsvid_pb2.JWTSVID:
        spiffe_id = str(entry.spiffe_id)
        try:
            issued = await self._jwts.fetch(entry, audience)
        except AssayError as error:
            log.error("Could not fetch JWT-SVID", error=str(error), spiffe_id=spiffe_id)  # noqa: TRY400 - a refusal
            # A profile that the operator has switched off stays Unimplemented; clients must not retry that.
            if error.kind is Kind.UNIMPLEMENTED:
                raise
            raise UnavailableError(f"could not fetch JWT-SVID: {error.message}") from error
        log.debug("Fetched JWT SVID", spiffe_id=spiffe_id, ttl=issued.expires_at - self._clock.now().timestamp())
        return jwtsvid_pb2.JWTSVID(
            token=issued.token,
            id=spiffeid_wire.to_proto(entry.spiffe_id),
            expires_at=issued.expires_at,
            issued_at=issued.issued_at,
            hint=entry.hint,
        )


def may_be_delegated(entry: Entry) -> bool:
    """Whether a delegate may have the entry's identity: not one that commands the server, or signs below it.

    Nor one of which each process has an identity of its own: nobody else can be that process.
    """
    return not (entry.admin or entry.downstream or entry.instance_from)


def _x509_svid(identity: Identity) -> pb.X509SVIDWithKey:
    return pb.X509SVIDWithKey(
        x509_svid=x509svid_pb2.X509SVID(
            id=spiffeid_wire.to_proto(identity.entry.spiffe_id),
            cert_chain=identity.svid.chain,
            expires_at=identity.svid.not_after,
            hint=identity.entry.hint,
        ),
        x509_svid_key=identity.svid.key_pkcs8,
    )


def _x509_bundles(bundles: Sequence[Bundle]) -> pb.SubscribeToX509BundlesResponse:
    found = {str(one.trust_domain.id): b"".join(authority.der for authority in one.x509_authorities) for one in bundles}
    return pb.SubscribeToX509BundlesResponse(ca_certificates=found)
