"""Following what has ended, whatever it is told over: one stream at a time, and reports the other way."""

import asyncio
import logging
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from assay.backoff import Backoff
from assay.clock import Clock, SystemClock
from assay.errors import AssayError, UnavailableError
from assay.rpc.status import EndError
from assay.standing import Question, Standing
from assay.tasktoken.held import Held
from assay.tasktoken.report import Report, ReportBuffer
from assay.waiting import first_of
from assay.wire.status import code_of, refusal
from assay.workloadapi.errors import SourceClosedError, SourceNotReadyError

RETRY = Backoff(first=0.1, limit=5, factor=2, jitter=0.5)
"""A verifier without status refuses: it comes back sooner than what renews SVIDs long before their end."""
WITHIN = 30.0
"""Seconds to wait for the first snapshot, unless told otherwise."""
FLUSH = 2.0
"""Seconds that reports get to be taken when it is closed."""

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.tasktoken")


class StatusFollower(ABC):
    """An async context manager and a `StatusSource`, to be asked from any thread.

    Opening waits for the first snapshot. When whoever tells goes away, or has no word itself, what is held grows old,
    and from then on each action is refused as soon as its class needs younger knowledge. It asks again, with growing
    delays, and goes on from what it holds.

    Args:
        within: seconds to wait for the first snapshot, None for as long as it takes.
        reports: where reports are kept until they are taken.
        clock: what time it is; the machine's if None.
        backoff: delays between attempts.
        draw: random numbers in [0, 1) to spread the delays by.
    """

    def __init__(
        self,
        *,
        within: float | None = WITHIN,
        reports: ReportBuffer | None = None,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._within = within
        self._clock = clock or SystemClock()
        self._backoff = backoff
        self._draw = draw
        self._held = Held(self._clock)
        self._reports = reports or ReportBuffer()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._turn = asyncio.Event()
        self._due = asyncio.Event()
        self.error: AssayError | None = None
        """Why the stream was lost, or could not be had; None while it stands."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def standing(self, question: Question, /) -> Standing:
        """What is known now."""
        return self._held.standing(question)

    def report(self, report: Report) -> None:
        """Have that written down, soon; kept while nobody takes it, up to the buffer's limit."""
        self._reports.add(report)

    @property
    def age(self) -> float:
        """Seconds since what is held was the whole truth; infinity before it ever was."""
        return self._held.age()

    async def open(self) -> None:
        """Begin to follow, and wait until everything is known. Opened once.

        Raises:
            SourceNotReadyError: it was not, within the time.
        """
        if self._task is not None or self._closing:
            raise SourceClosedError("status was opened before", hint="make a new one")
        loop = asyncio.get_running_loop()

        def added() -> None:
            # A loop that was closed under it takes no call; reports wait all the same.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._due.set)

        self._reports.added = added
        self._task = loop.create_task(self._run(), name="assay.tasktoken status")
        try:
            timer = () if self._within is None else (self._clock.sleep(self._within),)
            await first_of(self.wait_known(), *timer)
        except BaseException:
            await self.close()
            raise
        if math.isinf(self.age):
            await self.close()
            raise SourceNotReadyError(
                f"no status from {self._where} within {self._within:g} s",
                hint=str(self.error or "is it running, and connected to the server?"),
            )

    async def close(self) -> None:
        """Have reports taken, end the stream and its connection. May be called again."""
        if self._task is None:
            self._closing = True
            return
        if not self._closing:
            self._closing = True
            self._due.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH):
                    await self._flushed()
        self._reports.added = lambda: None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def wait_known(self) -> None:
        """Return when there was a whole snapshot."""
        while math.isinf(self.age):
            await self._turn.wait()

    @property
    @abstractmethod
    def _where(self) -> str:
        """Who tells, in words."""

    @abstractmethod
    async def _follow(self) -> None:
        """One stream, until it ends; raises AssayError or EndError as it does."""

    def _stands(self) -> None:
        """What came is obeyed: the stream is well."""
        if self.error is not None:
            log.info("Status stream is back")
            self.error = None

    def _tell(self) -> None:
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _flushed(self) -> None:
        # Nobody takes anything while there is no stream: what is kept then is lost with this process.
        while self._reports.kept and self.error is None:
            await self._turn.wait()

    async def _run(self) -> None:
        failures = 0
        while True:
            error = await self._ended()
            failures = 1 if self.error is None else failures + 1
            if failures == 1:
                log.warning("Status stream lost: %s", error)
            self.error = error
            self._reports.again()
            self._tell()
            await self._clock.sleep(self._backoff.delay(failures, self._draw()))

    async def _ended(self) -> AssayError:
        try:
            await self._follow()
        except AssayError as refused:
            return refused
        except EndError as ended:
            return refusal(code_of(ended.code), ended.message)
        except Exception:
            # A fault of ours: the next message may be one that we can read.
            log.exception("Status stream ended by a fault")
            return UnavailableError("the status stream ended by an internal fault")
        return UnavailableError("the stream was ended")
