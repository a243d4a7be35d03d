"""A clock that moves only when a test says so."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Implements assay.clock.Clock. Time stands still until `advance`; who sleeps wakes when its time has come."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._slept = asyncio.Condition()

    def now(self) -> datetime:
        """The time it was set to."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was advanced by that much; after one turn of the loop if not positive."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        done = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._order, done))
        async with self._slept:
            self._slept.notify_all()
        await done

    async def wait_sleepers(self, count: int = 1) -> None:
        """Return as soon as at least that many tasks sleep on this clock: then advancing reaches them."""
        async with self._slept:
            await self._slept.wait_for(lambda: self.sleepers >= count)

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock."""
        return sum(not done.done() for _, _, done in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move on in one step and wake, in order of their time, those who are due."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            done = heapq.heappop(self._sleepers)[2]
            if not done.done():
                done.set_result(None)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back; nobody wakes, and what `monotonic` counts goes on as before."""
        self._start += timedelta(seconds=seconds)

    async def run(self, seconds: float, step: float = 1.0) -> None:
        """Advance in steps, letting the tasks that wake run between them, so that loops tick as they should."""
        end = self._elapsed + seconds
        while self._elapsed < end:
            self.advance(min(step, end - self._elapsed))
            for _ in range(20):
                await asyncio.sleep(0)
