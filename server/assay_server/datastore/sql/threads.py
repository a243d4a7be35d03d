"""Threads that run functions for the loop: a third of what an executor's futures and their locks cost."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

R = TypeVar("R")

Call = Callable[[R], Any]


class Threads(Generic[R]):
    """One thread for each resource; functions run in the order they come and get the resource of their thread."""

    def __init__(self, name: str, resources: list[R]) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[tuple[asyncio.Future[Any], Call[R]] | None] = SimpleQueue()
        # Daemons: a store that nobody closes, because the program failed, must not keep it from ending.
        self._threads = [
            Thread(target=self._serve, args=(resource,), name=f"{name}_{number}", daemon=True)
            for number, resource in enumerate(resources)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, call: Call[R]) -> "asyncio.Future[Any]":
        """What the function returns or raises. It runs also when nobody waits for it any longer."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.put((future, call))
        return future

    async def close(self) -> None:
        """Finish what was taken and end."""
        for _ in self._threads:
            self._waiting.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _serve(self, resource: R) -> None:
        while (job := self._waiting.get()) is not None:
            self._do(resource, *job)
            del job  # what it refers to must not live on until the next one comes

    def _do(self, resource: R, future: "asyncio.Future[Any]", call: Call[R]) -> None:
        value, error = None, None
        try:
            value = call(resource)
        except BaseException as raised:  # noqa: BLE001 - it belongs to whoever waits, and the thread must go on
            error = raised
        with suppress(RuntimeError):  # the loop was closed: nobody waits any longer
            self._loop.call_soon_threadsafe(_resolve, future, value, error)


def _resolve(future: "asyncio.Future[Any]", value: object, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration):  # a future takes none
        future.set_exception(RuntimeError("a function of the datastore raised StopIteration"))
    else:
        future.set_exception(error)
