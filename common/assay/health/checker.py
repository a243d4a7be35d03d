"""Looks at every part of the daemon again and again, and says in the log when one fails or is well again."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from assay.clock import Clock
from assay.health.state import Check, State

log = structlog.get_logger(__name__)

# Seconds between looks: until everything was well once, and after that.
FIRST_INTERVAL = 1.0
INTERVAL = 60.0
# Seconds that one look may take.
TIMEOUT = 60.0


@dataclass(slots=True)
class _Failing:
    """A part that fails: since when, how often in a row, and as what."""

    since: float
    times: int
    fault: str


class Checker:
    """`states` has what was found last, None for what was not looked at yet; `run` keeps it fresh."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self.states: dict[str, State | None] = dict.fromkeys(checks)
        self._checks = checks
        self._clock = clock
        self._failing: dict[str, _Failing] = {}
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Look at everything until cancelled."""
        await self.look()
        while self._failing:
            await self._clock.sleep(FIRST_INTERVAL)
            await self.look()
        while True:
            await self._clock.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Look at everything once."""
        for name, check in self._checks.items():
            state = await _looked(check)
            self.states[name] = state
            self._tell(name, state)

    def _tell(self, name: str, state: State) -> None:
        failing, now = self._failing.get(name), self._clock.monotonic()
        if not state.fault:
            if failing is not None:
                del self._failing[name]
                log.info("Health check recovered", check=name, details=_details(state), duration=now - failing.since,
                         error=failing.fault, failures=failing.times)  # fmt: skip
            return
        self._tell_fault(name, state)
        if failing is None:
            log.warning("Health check failed", check=name, details=_details(state), error=state.fault)
            self._failing[name] = _Failing(now, 1, state.fault)
        else:
            failing.times, failing.fault = failing.times + 1, state.fault

    def _tell_fault(self, name: str, state: State) -> None:
        if not state.starting:
            log.error("Health check has failed", check=name, error=state.fault)
        elif self._told.get(name) != state.fault:
            self._told[name] = state.fault
            log.warning("Health check has failed. Starting up still.", check=name, error=state.fault)


async def _looked(check: Check) -> State:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await check()
    except TimeoutError:
        return State(live=False, ready=False)
    except Exception:
        # A check that is broken must neither pass for health nor end the daemon.
        log.exception("Health check could not be made")
        return State(live=False, ready=False)


def _details(state: State) -> str:
    return ", ".join(f"{key}: {text}" for key, text in {**state.live_details, **state.ready_details}.items())
