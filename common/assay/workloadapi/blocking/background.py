"""A thread with an event loop, for programs that have none."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from assay.workloadapi.errors import ForkedError, SourceClosedError

STOP = 5.0
"""Seconds that a thread gets to end. At the interpreter's exit it is left behind after that."""

V = TypeVar("V")


class Background:
    """Started once and stopped once. Everything may be called from any thread but its own.

    The thread is a daemon, so that a program that closes nothing still ends: who owns this stops it at exit.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="assay.workloadapi", daemon=True)

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that made this: the thread is not in it."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Refuse a forked child.

        Raises:
            ForkedError: it is one.
        """
        if self.forked:
            raise ForkedError(
                "opened before this process was forked, and not alive in it",
                hint="open a source or client of its own in each child",
            )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._ready.wait()

    def run(self, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What the coroutine returns or raises, run in the thread.

        Raises:
            ForkedError: in a forked child.
            SourceClosedError: the thread is not running, ended meanwhile, or is the one that calls.
        """
        self.check_process()
        if threading.current_thread() is self._thread:
            raise SourceClosedError("called from a callback, where nothing can be waited for")
        if self._loop is None or not self._thread.is_alive():
            raise SourceClosedError("not open", hint="use it inside its `with`")
        coroutine = work()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise SourceClosedError("closed meanwhile") from None
        try:
            return future.result()
        except CancelledError:
            raise SourceClosedError("closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the thread with whatever runs in it; does nothing in a forked child, or the second time."""
        if self.forked or self._loop is None or self._end is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._end.set)
        except RuntimeError:
            return
        # The garbage collector may call this from anywhere.
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP)

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._end = asyncio.Event()
            self._ready.set()
            runner.run(self._until(self._end))

    async def _until(self, end: asyncio.Event) -> None:
        await end.wait()
