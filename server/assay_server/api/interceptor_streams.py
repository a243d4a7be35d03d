"""Streams that push for as long as the caller stays: at the end of the server they would never end by themselves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from typing import TypeVar

from assay.errors import UnavailableError

T = TypeVar("T")


class OpenStreams:
    """The streams that wait for something to push; `end` refuses them, so that callers go elsewhere at once.

    One that is sending at that moment is refused when it would wait again.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()
        self._ending = False

    def end(self) -> None:
        """Let none wait any longer."""
        self._ending = True
        for task in self._waiting:
            self._ended.add(task)
            task.cancel()

    async def through(self, responses: AsyncIterator[T]) -> AsyncGenerator[T]:
        """The same responses.

        Raises:
            UnavailableError: the server is about to end.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("streams are served in tasks")
        while True:
            if self._ending:
                raise UnavailableError("server is shutting down")
            with self._refused_at_the_end(task):
                try:
                    response = await anext(responses)
                except StopAsyncIteration:
                    return
            yield response

    @contextmanager
    def _refused_at_the_end(self, task: "asyncio.Task[object]") -> Generator[None]:
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise UnavailableError("server is shutting down") from None
        finally:
            self._waiting.discard(task)
            self._ended.discard(task)
