"""Who calls: from a gRPC context to a live process and its selectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from assay.errors import AssayError, UnauthenticatedError, UnavailableError
from assay.rpc.server import peer_of
from assay.selector import Selector
from assay.telemetry.tracing import Attributes
from assay.transport.peer import Peer, UnixPeer
from assay.workloadapi.wire import Context
from assay_agent.workload.attestor import Attestor, check_alive

log = structlog.get_logger(__name__)


def _nobody(_peer: UnixPeer, _selectors: frozenset[Selector]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Caller:
    """An attested process. `log_selectors` are what selectors begin with that may be in a log."""

    peer: UnixPeer
    selectors: frozenset[Selector]
    quiet: bool
    on_refused: Callable[[UnixPeer, frozenset[Selector]], None] = field(default=_nobody)
    log_selectors: Sequence[str] = ()

    @property
    def loggable(self) -> str:
        """Those of its selectors, such as `unix:uid:0` of the prefix `unix:uid`: in SPIRE's form, and maybe none."""
        shown = [str(one) for one in self.selectors]
        return ",".join(
            sorted(one for one in shown if any(f"{one}:".startswith(f"{prefix}:") for prefix in self.log_selectors))
        )

    def refused(self) -> None:
        """It got nothing, for want of an entry: whoever explains that is told."""
        if not self.quiet:
            self.on_refused(self.peer, self.selectors)

    def check_alive(self) -> None:
        """Raise UnauthenticatedError unless the process still runs: before every response."""
        check_alive(self.peer)


class Callers:
    """Attests who is behind a call. Calls of the agent itself (`own_pid`), its health check, are quiet in the log.

    `on_refused` is told of callers that no entry is for, and `log_selectors` is what of their selectors may be logged.
    """

    def __init__(
        self,
        peer: Callable[[Context], Peer],
        attestor: Attestor,
        *,
        own_pid: int,
        on_refused: Callable[[UnixPeer, frozenset[Selector]], None] = _nobody,
        log_selectors: Sequence[str] = (),
    ) -> None:
        self.log_selectors = log_selectors
        self._peer = peer
        self.attestor = attestor
        self._own_pid = own_pid
        self._on_refused = on_refused

    async def attest(self, context: Context, method: str) -> Caller:
        """The caller.

        Raises:
            UnavailableError: it could not be attested; the log says why, the caller is not told.
        """
        try:
            peer = self._peer(context)
            if not isinstance(peer, UnixPeer):
                raise UnauthenticatedError("caller is not a process of this host")
            selectors = await self.attestor.attest(peer)
            return Caller(peer, selectors, peer.pid == self._own_pid, self._on_refused, self.log_selectors)
        except AssayError as error:
            log.error("Workload attestation failed", method=method, error=str(error))  # noqa: TRY400 - a refusal
            raise UnavailableError("workload attestation failed") from error


def process_attributes(context: Context) -> Attributes:
    """What a span round a call says of the process that makes it."""
    peer = peer_of(context)
    if not isinstance(peer, UnixPeer):
        return {}
    return {"assay.caller.kind": "process", "assay.caller.pid": peer.pid, "assay.caller.uid": peer.uid}
