"""A server that is measured from its start on: its CPU, its memory, and the floors of the same run."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from assay.testing.deployment import Deployment
from bench.figure import Figure, cpu_of
from bench.idle import resident
from bench.load import Floor

QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Memory:
    """MiB resident, and those of a server without entries."""

    name: str
    mib: float
    empty: float

    def __str__(self) -> str:
        ratio = f"{self.empty:>9.1f} {self.mib / self.empty:>6.1f}"
        return f"{self.name:48} {'MiB':>9} {self.mib:>9.1f} {ratio}  empty server"


Line = Figure | Memory


class Running:
    """One in a process of its own. `write` is µs that bare SQLite needs for an entry."""

    def __init__(self, house: Deployment, floor: Floor, write: float) -> None:
        self.house = house
        self.floor = floor
        self.write = write
        house.start_server()
        self.empty_start, self.empty_memory = cpu_of(self.pid), resident(self.pid)

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self.house.processes["server"].pid

    async def cost(self, work: Callable[[], Awaitable[object]], times: int = 1) -> tuple[float, float]:
        """How often in a second, and µs of the server's CPU, for one of so many after another."""
        cpu, start = cpu_of(self.pid), time.monotonic()
        for _ in range(times):
            await work()
        return times / (time.monotonic() - start), 1e6 * (cpu_of(self.pid) - cpu) / times

    async def rested(self) -> AsyncIterator[Line]:
        """What it costs to leave it alone, and to restart it with what it has."""
        await asyncio.sleep(2)
        yield Memory("the server then", resident(self.pid), self.empty_memory)
        _, cpu = await self.cost(lambda: asyncio.sleep(QUIET_SECONDS))
        yield Figure("idle, a second", 0, cpu / QUIET_SECONDS)
        self.house.stop("server")
        start = time.monotonic()
        self.house.start_server()
        rate = 1 / (time.monotonic() - start)
        yield Figure("restart to ready", rate, 1e6 * cpu_of(self.pid), "empty server", 1e6 * self.empty_start)
        yield Memory("the server after that", resident(self.pid), self.empty_memory)
