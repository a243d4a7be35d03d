"""How often workloads may call: SPIRE's limits by what a caller is, and one by whose process it is."""

from collections.abc import Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

import structlog

from assay.clock import Clock
from assay.errors import UnavailableError
from assay.rpc.method import Method
from assay.rpc.server import peer_of
from assay.rpc.status import EndError, StatusCode
from assay.selector import Selector
from assay.telemetry.metrics import OFF, Metrics
from assay.transport.peer import UnixPeer

log = structlog.get_logger(__name__)

# Seconds between looks for callers that have not called for long, and so are no different from new ones.
_SWEEP = 60.0
EXCEEDED = ("workload_api", "rate_limit_exceeded")
# SPIRE's name for all callers without a selector.
_UNATTESTED = "<unattested>"


class RateLimit:
    """`rate` calls a second for each key, in bursts of at most `rate`; more are refused, nobody waits."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self.rate = rate
        self._clock = clock
        # How many calls were left, and when.
        self._left: dict[Hashable, tuple[float, float]] = {}
        self._swept = clock.monotonic()

    def __len__(self) -> int:
        return len(self._left)

    def allows(self, key: Hashable) -> bool:
        """Whether there is one more now; then it is used."""
        now = self._clock.monotonic()
        if now - self._swept >= _SWEEP:
            self._sweep(now)
        left = self._now(key, now)
        if left < 1:
            return False
        self._left[key] = left - 1, now
        return True

    def _now(self, key: Hashable, now: float) -> float:
        left, at = self._left.get(key, (float(self.rate), now))
        return min(self.rate, left + (now - at) * self.rate)

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._left = {key: one for key, one in self._left.items() if self._now(key, now) < self.rate}


class SelectorLimits:
    """SPIRE's `ratelimit`: for each method so many calls a second of all callers that have the same selectors.

    `rates` are by the method's path; a method without one is not limited.
    """

    def __init__(self, rates: Mapping[str, int], clock: Clock, metrics: Metrics = OFF) -> None:
        self._clock = clock
        self._metrics = metrics
        self._limits: dict[str, RateLimit] = {}
        self.use(rates)

    def use(self, rates: Mapping[str, int]) -> None:
        """Take these from now on; what was counted for one that stays as it is goes on."""
        before, self._limits = self._limits, {}
        for path, rate in rates.items():
            kept = before.get(path)
            if kept is None or kept.rate != rate:
                kept = RateLimit(rate, self._clock)
                log.info("Workload API/SDS rate limiting enabled", method=path, limit=rate)
            self._limits[path] = kept

    def check(self, path: str, selectors: AbstractSet[Selector]) -> None:
        """Count a call.

        Raises:
            UnavailableError: it is one too many.
        """
        limit = self._limits.get(path)
        if limit is not None and not limit.allows(frozenset(selectors) or _UNATTESTED):
            self._metrics.count(EXCEEDED, 1, (("method", path),))
            raise UnavailableError(f"rate limit exceeded for {path}")


class UserLimit:
    """Stands round methods so that each user's processes together call `rate` times a second, before attestation.

    It counts a user's calls of all the methods that it stands round. The agent's own (`own_pid`) are free, and without
    a rate all are.
    """

    def __init__(self, rate: int | None, clock: Clock, own_pid: int) -> None:
        self._clock = clock
        self._own_pid = own_pid
        self._limit: RateLimit | None = None
        self.use(rate)

    def use(self, rate: int | None) -> None:
        """Take this one from now on."""
        if rate != (None if self._limit is None else self._limit.rate):
            self._limit = None if rate is None else RateLimit(rate, self._clock)

    def __call__(self, method: Method) -> Method:
        """The method with the limit round it."""

        def behavior(request: object, context: object) -> object:
            if self._limit is not None and self._refuses(self._limit, context):
                raise EndError(StatusCode.UNAVAILABLE, f"rate limit exceeded for {method.path}")
            return method.behavior(request, context)

        return replace(method, behavior=behavior)

    def _refuses(self, limit: RateLimit, context: object) -> bool:
        peer = peer_of(context)
        return isinstance(peer, UnixPeer) and peer.pid != self._own_pid and not limit.allows(peer.uid)
