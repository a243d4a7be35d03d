"""What the blocking clients have in common: the client of the same name in a thread of its own."""

import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from assay.workloadapi.address import Endpoint
from assay.workloadapi.blocking.background import Background
from assay.workloadapi.connected import Connected

C = TypeVar("C", bound=Connected)
V = TypeVar("V")


class Backed(Generic[C]):
    """A context manager round a client that `make` makes in the thread.

    What watches should be closed, or run to its end, before the client is.
    """

    def __init__(self, make: type[C], endpoint: Endpoint | Path | str | None = None) -> None:
        self._background = Background()
        self._background.start()
        self._finalizer = weakref.finalize(self, self._background.stop)
        try:
            self._client = self._background.run(lambda: _made(make, endpoint))
        except BaseException:
            self._finalizer()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every call, the connection and the thread; does nothing in a forked child."""
        if self._finalizer.alive and not self._background.forked:
            self._background.run(self._client.close)
            self._finalizer()

    def _iterated(self, watch: Callable[[], AsyncGenerator[V]]) -> Generator[V]:
        values = self._background.run(lambda: _begun(watch))
        try:
            while (found := self._background.run(lambda: _next(values))) is not None:
                yield found[0]
        finally:
            if self._finalizer.alive:
                self._background.run(values.aclose)


async def _made(make: type[C], endpoint: Endpoint | Path | str | None) -> C:
    return make(endpoint)


async def _begun(watch: Callable[[], AsyncGenerator[V]]) -> AsyncGenerator[V]:
    return watch()


async def _next(values: AsyncGenerator[V]) -> tuple[V] | None:
    async for value in values:
        return (value,)
    return None
