"""spire.agent.debug.v1.Debug: how long the agent runs, who it is, what it keeps and when it last synced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from cryptography import x509

from assay.clock import Clock
from assay.errors import AssayError
from assay.rpc.status import EndError, StatusCode
from assay.spiffeid import TrustDomain
from assay.svid.x509 import verified_path
from assay.wire.certificate import described
from assay_agent.cache import Cache
from assay_agent.cache.jwt import JwtCache
from assay_proto.spire.api.agent.debug.v1 import debug_pb2 as pb

log = structlog.get_logger(__name__)

# Seconds for which an answer is given again, as in SPIRE.
CACHED = 5.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What the agent is asked about. `own_chain` is its X.509-SVID (DER, leaf first; empty before it is attested).

    `last_sync` is when it last knew what the server says, in Unix seconds, 0 before it ever did.
    """

    trust_domain: TrustDomain
    cache: Cache
    jwts: JwtCache
    own_chain: Callable[[], Sequence[bytes]]
    last_sync: Callable[[], float]


class DebugApi:
    """The Debug service; uptime counts from here."""

    def __init__(self, observed: Observed, clock: Clock) -> None:
        self._observed = observed
        self._clock = clock
        self._started = clock.monotonic()
        self._answer: pb.GetInfoResponse | None = None
        self._answered = 0.0

    async def GetInfo(self, _request: pb.GetInfoRequest, _context: object) -> pb.GetInfoResponse:
        """The agent's state, at most five seconds old."""
        now = self._clock.monotonic()
        if self._answer is None or now - self._answered >= CACHED:
            self._answer, self._answered = self._counted(int(now - self._started)), now
        return self._answer

    def _counted(self, uptime: int) -> pb.GetInfoResponse:
        observed = self._observed
        x509_svids = len(observed.cache.svids)
        return pb.GetInfoResponse(
            svid_chain=[pb.GetInfoResponse.Cert(**described(one)) for one in self._path()],
            uptime=uptime,
            svids_count=x509_svids,
            cached_x509_svids_count=x509_svids,
            cached_jwt_svids_count=len(observed.jwts),
            last_sync_success=int(observed.last_sync()),
        )

    def _path(self) -> Sequence[x509.Certificate]:
        chain = self._observed.own_chain()
        bundle = self._observed.cache.bundles.get(self._observed.trust_domain)
        if not chain or bundle is None:
            return ()
        try:
            return verified_path(chain, bundle, self._clock.now())
        except AssayError as error:
            log.error("Failed to verify agent SVID", error=str(error))  # noqa: TRY400 - a refusal
            message = f"failed to verify agent SVID: {error.message}"
            raise EndError(StatusCode.INTERNAL, message) from error
