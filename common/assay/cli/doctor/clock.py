"""The machine's clock: whether something keeps it right, and whether it jumps."""

import ctypes
import time
from dataclasses import dataclass

from assay.cli.doctor.finding import Finding, ok, skipped, warning
from assay.clock import Clock
from assay.config.duration import format_duration

# Seconds between two looks, and how far the two clocks may come apart in that time.
PAUSE = 0.2
MOST_DRIFT = 0.05
# adjtimex(2): the structure's size with room to spare, and the answer when nothing keeps the clock.
_TIMEX_BYTES = 512
_TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class Watched:
    """Two looks at the clocks. `synchronized` is None where the kernel does not say; the others are seconds."""

    synchronized: bool | None
    drift: float
    suspended: float


async def look_at_clock(clock: Clock) -> Watched:
    """Look twice, a fifth of a second apart."""
    first = clock.now().timestamp() - clock.monotonic()
    await clock.sleep(PAUSE)
    drift = clock.now().timestamp() - clock.monotonic() - first
    suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return Watched(_synchronized(), drift, max(0.0, suspended))


def check_clock(watched: Watched) -> list[Finding]:
    """What to think of it."""
    return [_check_synchronized(watched.synchronized), _check_steady(watched)]


def _check_synchronized(synchronized: bool | None) -> Finding:
    check = "clock synchronized"
    if synchronized is None:
        return skipped(check, "the kernel does not say whether anything keeps the clock")
    if synchronized:
        return ok(check, "the kernel says that the clock is kept")
    return warning(
        check, "the kernel says that nothing keeps the clock right",
        "run an NTP client such as chronyd or systemd-timesyncd; SVIDs are good for minutes",
    )  # fmt: skip


def _check_steady(watched: Watched) -> Finding:
    check = "clock steady"
    if abs(watched.drift) > MOST_DRIFT:
        return warning(
            check, f"the clock jumped by {watched.drift:+.2f} s in {PAUSE} s",
            "find what sets it: two time services, or a virtual machine's host beside one",
        )  # fmt: skip
    if watched.suspended >= 1:
        slept = format_duration(round(watched.suspended))
        return ok(
            check, f"no jump; this machine was suspended for {slept} since it started: SVIDs were not renewed then"
        )
    return ok(check, "no jump, and never suspended since this machine started")


def _synchronized() -> bool | None:
    try:
        state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
