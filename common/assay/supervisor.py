"""Who owns a daemon's long-lived tasks: started in order, ended in reverse order, the first failure ends them all.

A TaskGroup would cancel everything at once; a daemon must first stop answering, then stop what the answers stand on.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Item:
    """Something to end: a task to cancel, or a closing function to call."""

    name: str
    task: asyncio.Task[None] | None = None
    close: Work | None = None


class Supervisor:
    """An async context whose body builds the daemon and then waits in `wait_stopped`.

    A task that fails, or `stop()`, cancels the body wherever it is. On the way out everything is ended in reverse order
    of `start` and `defer`, all of it within `grace` seconds; what takes longer is left behind with an error logged.
    The first failure is raised from the context; a stop that was asked for leaves it quietly.
    """

    def __init__(self, *, grace: float) -> None:
        self._grace = grace
        self._items: list[_Item] = []
        self._failure: BaseException | None = None
        self._owner: asyncio.Task[object] | None = None
        self._stopping = False
        self._signals: list[signal.Signals] = []

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        asked = self._stopping
        self._stopping = True
        if asked and self._owner is not None:
            self._owner.uncancel()
        try:
            await self._unwind()
        finally:
            self._release_signals()
        if self._failure is not None:
            raise self._failure
        return asked and isinstance(error, asyncio.CancelledError)

    def start(self, name: str, work: Work) -> None:
        """Run `work` as a task until the end; it may return early, and if it raises the daemon ends."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(_run(work), name=name)
        task.add_done_callback(self._done)
        self._items.append(_Item(name, task=task))

    def defer(self, name: str, close: Work) -> None:
        """Call `close` when everything started or deferred after this has ended."""
        self._items.append(_Item(name, close=close))

    def stop(self) -> None:
        """Ask for the end; returns at once, does nothing the second time."""
        if not self._stopping and self._owner is not None:
            self._stopping = True
            self._owner.cancel()

    def stop_on_signals(self) -> None:
        """Take SIGTERM and SIGINT as `stop()`; a process that is PID 1 has no default action for them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
            self._signals.append(number)

    def on_signals(self, numbers: Iterable[signal.Signals], call: Callable[[], None]) -> None:
        """Call that on the loop whenever one of these comes, until the end."""
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, call)
            self._signals.append(number)

    async def wait_stopped(self) -> None:
        """Return never: the end comes as cancellation of the body."""
        await asyncio.get_running_loop().create_future()

    def _signalled(self, number: signal.Signals) -> None:
        log.info("Signal received, shutting down", signal=number.name)
        self.stop()

    def _release_signals(self) -> None:
        loop = asyncio.get_running_loop()
        while self._signals:
            loop.remove_signal_handler(self._signals.pop())

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        log.error("Task failed", task=task.get_name(), error=str(error) or type(error).__name__)
        if self._failure is None and not self._stopping:
            self._failure = error
            self.stop()

    async def _unwind(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._grace
        while self._items:
            item = self._items.pop()
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await _end(item, left)


async def _run(work: Work) -> None:
    await work()


async def _end(item: _Item, seconds: float) -> None:
    if item.task is not None:
        item.task.cancel()
        _, late = await asyncio.wait({item.task}, timeout=seconds)
        if late:
            log.error("Task did not stop in time", task=item.name)
    if item.close is not None:
        await _close(item.name, item.close, seconds)


async def _close(name: str, close: Work, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await close()
    except TimeoutError:
        log.error("Part did not close in time", part=name)  # noqa: TRY400 - the trace would show only the wait
    except Exception:
        # One part's failure must not keep the others, the store above all, from closing.
        log.exception("Part failed to close", part=name)
