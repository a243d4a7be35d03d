"""How often workloads may call: SPIRE's limits by what a caller is, and one by whose process it is."""

from collections.abc import Callable, Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

import structlog

from assay.clock import Clock
from assay.errors import UnavailableError
from assay.rpc.method import Method
from assay.rpc.server import peer_of
from assay.rpc.status import EndError, StatusCode
from assay.selector import Selector
from assay.transport.peer import UnixPeer

log = structlog.get_logger(__name__)

# Seconds between looks for callers that have not called for long, and so are no different from new ones.
_SWEEP = 60.0
# SPIRE's name for all callers without a selector.
_UNATTESTED = "<unattested>"


class RateLimit:
    """`rate` calls a second for each key, in bursts of at most `rate`; more are refused, nobody waits."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
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
        left, at = self._left.get(key, (float(self._rate), now))
        return min(self._rate, left + (now - at) * self._rate)

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._left = {key: one for key, one in self._left.items() if self._now(key, now) < self._rate}


class SelectorLimits:
    """SPIRE's `ratelimit`: for each method so many calls a second of all callers that have the same selectors.

    `rates` are by the method's path; a method without one is not limited.
    """

    def __init__(self, rates: Mapping[str, int], clock: Clock) -> None:
        self._limits = {path: RateLimit(rate, clock) for path, rate in rates.items()}
        for path, rate in rates.items():
            log.info("Workload API/SDS rate limiting enabled", method=path, limit=rate)

    def check(self, path: str, selectors: AbstractSet[Selector]) -> None:
        """Count a call.

        Raises:
            UnavailableError: it is one too many.
        """
        limit = self._limits.get(path)
        if limit is not None and not limit.allows(frozenset(selectors) or _UNATTESTED):
            raise UnavailableError(f"rate limit exceeded for {path}")


def user_limit(rate: int, clock: Clock, own_pid: int) -> Callable[[Method], Method]:
    """What stands round a method so that each user's processes together call so often a second, before attestation.

    It counts a user's calls of all the methods that it stands round. The agent's own (`own_pid`) are free.
    """
    limit = RateLimit(rate, clock)

    def limited(method: Method) -> Method:
        def refused(context: object) -> bool:
            peer = peer_of(context)
            return isinstance(peer, UnixPeer) and peer.pid != own_pid and not limit.allows(peer.uid)

        def behavior(request: object, context: object) -> object:
            if refused(context):
                raise EndError(StatusCode.UNAVAILABLE, f"rate limit exceeded for {method.path}")
            return method.behavior(request, context)

        return replace(method, behavior=behavior)

    return limited
