"""Getting to know the server: for the first time, and again after its keys have all changed (rebootstrapping).

How far that has come is kept on disk as SPIRE's agent keeps it, so that a restart does not begin the wait anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from assay.clock import Clock
from assay.errors import AssayError, FailedPreconditionError
from assay_agent.attestation.bootstrap import Attempt, BundleSource
from assay_agent.attestation.decision import time_left
from assay_agent.storage.data import BOOTSTRAP, REBOOTSTRAP, parse_time
from assay_agent.storage.disk import AgentStorage

log = structlog.get_logger(__name__)

Mode: TypeAlias = Literal["never", "auto", "always"]

_NOT_ALLOWED = (
    "you have requested rebootstrap support but the NodeAttestor plugin or the spire server configuration is not "
    "allowing it"
)


@dataclass(frozen=True, slots=True)
class Rebootstrap:
    """Whether a server that the bundle does not vouch for may be met anew, and after how many seconds of that."""

    mode: Mode = "never"
    delay: float = 600.0


class Bootstrapping:
    """Asks the bundle's source, and decides when what the agent knows is to be given up for what the source says."""

    def __init__(
        self, source: BundleSource, storage: AgentStorage, clock: Clock, rebootstrap: Rebootstrap = Rebootstrap()
    ) -> None:
        self._source = source
        self._known: tuple[Callable[[], object], ...] = ()
        self._storage = storage
        self._clock = clock
        self._mode = rebootstrap.mode
        self._delay = rebootstrap.delay
        data = storage.data
        self._use = data.bootstrap_use or (REBOOTSTRAP if data.bundle else BOOTSTRAP)
        self._attempts = data.connection_attempts
        self._started = parse_time(data.bootstrap_start_time)
        # A wall clock that jumps must neither shorten the wait nor prolong it.
        now = clock.now().timestamp()
        self._since = None if self._started is None else clock.monotonic() - max(0.0, now - self._started)

    def when_known(self, *known: Callable[[], object]) -> None:
        """Have each called when the agent has met its server: what it has of an earlier one may be of no use."""
        self._known = known

    @property
    def enabled(self) -> bool:
        """Whether this agent may meet its server anew."""
        return self._mode != "never"

    @property
    def again(self) -> bool:
        """Whether the agent has known its server before."""
        return self._use == REBOOTSTRAP

    def check(self, *, reattestable: bool) -> None:
        """Switch rebootstrapping off for a node that cannot attest again.

        Raises:
            FailedPreconditionError: the mode is `always`.
        """
        if reattestable or self._mode == "never":
            return
        if self._mode == "always":
            raise FailedPreconditionError(
                _NOT_ALLOWED, hint="a join token is good once: use another node attestor, or rebootstrap_mode auto"
            )
        log.warning(f"{_NOT_ALLOWED}. Disabling")  # noqa: G004 - SPIRE's message
        self._mode = "never"

    async def fetch(self) -> tuple[bytes, ...]:
        """The bundle from its source (DER authorities); none if any server is to be believed.

        Raises:
            AssayError: there is none to be had now.
        """
        self._attempts += 1
        if self._started is None:
            self._begin()
        self._keep()
        if self._source.remote:
            what = "reattestation" if self.again else "attestation"
            log.info(f"Server {what} attempt", attempt=self._attempts, started=self._storage.data.bootstrap_start_time)  # noqa: G004 - SPIRE's two messages
        return await self._source.fetch(Attempt(self._attempts, self._started or 0.0, self.again))

    def succeeded(self) -> None:
        """The agent knows the server now."""
        if self._since is not None:
            seconds = self._clock.monotonic() - self._since
            log.info("Server is known", attempts=self._attempts, seconds=round(seconds, 3))
        self._settle()
        for known in self._known:
            known()

    def agreed(self) -> None:
        """The server's certificate fits the bundle: the wait, if there is one, is over."""
        if self._since is not None:
            log.info("Server is known again")
            self._settle()

    def lost(self) -> bool:
        """Whether to give up the bundle, which does not vouch for the server's certificate."""
        if not self.enabled:
            return False
        if self._started is None:
            self._begin()
            self._keep()
        left = time_left(self._delay, self._since, self._clock.monotonic())
        if left > 0:
            log.info("Trust Bundle and Server don't agree, ignoring for now", time_left=f"{left:.3f}s")
            return False
        log.warning("Trust Bundle and Server don't agree, rebootstrapping")
        return True

    def begin_again(self) -> None:
        """SVID and bundle are given up, on disk as well."""
        self._use, self._attempts = REBOOTSTRAP, 0
        self._begin()
        try:
            self._storage.lose_trust(self._started or 0.0)
        except AssayError as error:
            log.error("Failed to remove SVID", error=str(error))  # noqa: TRY400 - the disk's state, no bug

    def _settle(self) -> None:
        self._use, self._attempts, self._started, self._since = REBOOTSTRAP, 0, None, None
        self._keep()

    def _begin(self) -> None:
        self._started, self._since = self._clock.now().timestamp(), self._clock.monotonic()

    def _keep(self) -> None:
        """On disk, if it takes it: in memory it counts anyway."""
        data = (self._use, self._started, self._attempts)
        try:
            self._storage.store_bootstrap(*data)
        except AssayError as error:
            log.warning("Could not store bootstrap state", error=str(error))
