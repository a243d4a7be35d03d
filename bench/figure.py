"""What a benchmark yields, and the clocks it reads."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """CPU in µs for one operation, and what the named floor takes in the same run (0 where there is none)."""

    name: str
    rate: float
    cpu: float
    floor_name: str = ""
    floor: float = 0.0

    def __str__(self) -> str:
        ratio = f"{self.floor:>9.1f} {self.cpu / self.floor:>6.1f}  {self.floor_name}" if self.floor else ""
        return f"{self.name:48} {self.rate:>9,.0f} {self.cpu:>9.1f} {ratio}"


@dataclass(frozen=True)
class Bare:
    """What a library takes for the one thing that nobody can do without, in µs of CPU."""

    name: str
    cpu: float


HEADER = f"{'operation':48} {'rate /s':>9} {'CPU µs':>9} {'floor µs':>9} {'ratio':>6}  floor"


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, to the nanosecond (/proc counts in hundredths)."""
    # How Linux makes a process number into a clock: what clock_getcpuclockid(3) returns.
    return time.clock_gettime((~pid << 3) | 2)


def best(work: Callable[[], object], count: int, rounds: int = 5) -> float:
    """µs of this thread's CPU for one call of `work`: the best round, for other work can only make it slower."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.thread_time()
        for _ in range(count):
            work()
        times.append(time.thread_time() - start)
    return 1e6 * min(times) / count
