"""What every source is: an async context around one followed stream."""

import asyncio
import os
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from assay.backoff import Backoff
from assay.clock import Clock, SystemClock
from assay.errors import AssayError, PermissionDeniedError
from assay.waiting import first_of
from assay.workloadapi.address import Endpoint
from assay.workloadapi.client import Refused, WorkloadApiClient
from assay.workloadapi.errors import NoIdentityError, SourceClosedError, SourceNotReadyError
from assay.workloadapi.following import RETRY, Follower
from assay.workloadapi.status import Status

WITHIN = 30.0
"""Seconds to wait for the first update, unless told otherwise."""

V = TypeVar("V")


class Source(ABC, Generic[V]):
    """Use as an async context manager, or `await open()` and `await close()`.

    Opening waits until there is something to serve. From then on every read answers at once from what the agent sent
    last, from any thread; opening, closing and what is awaited belong to one event loop.

    Args:
        endpoint: where the Workload API is; None for what `SPIFFE_ENDPOINT_SOCKET` names.
        within: seconds to wait for the first update, None for as long as it takes.
        clock: what time it is; the machine's if None.
        backoff: delays between attempts to reach the agent.
        draw: random numbers in [0, 1) to spread the delays by.

    Raises (when it is made):
        InvalidArgumentError: the endpoint is none, or neither given nor in the environment.
    """

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = Endpoint.of(endpoint, os.environ)
        self._within = within
        self._clock = clock or SystemClock()
        self._follower = Follower(self._connect, self._watch, clock=self._clock, draw=draw, backoff=backoff)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Begin to follow, and wait until there is something to serve. A source is opened once.

        Raises:
            SourceNotReadyError: nothing came within the time.
            NoIdentityError: nothing came, because the agent has no identity for this workload.
            InvalidArgumentError, UnimplementedError: the agent's refusal, where no repetition can change it.
        """
        if self._task is not None or self._follower.closed:
            raise SourceClosedError("source was opened before", hint="make a new one")
        self._task = asyncio.get_running_loop().create_task(self._follower.run(), name="assay.workloadapi source")
        try:
            await self._opened()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the stream and its connection; nothing of it remains when this returns. May be called again."""
        self._follower.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def status(self) -> Status[V]:
        """How the source stands with its agent: one snapshot."""
        return self._follower.status

    @property
    def version(self) -> int:
        """Grows by one with every change of what is served, withdrawal included."""
        return self._follower.status.version

    async def changed(self, since: int, *, within: float | None = None) -> int:
        """Wait until `version` is beyond `since`; returns the version, still `since` if that many seconds are over.

        Raises:
            SourceClosedError: the source is closed, or was while this waited.
            InvalidArgumentError, UnimplementedError: there will be no change, for the source has given up.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._follower.changed(since)
        return self.version

    def age(self, now: datetime) -> float:
        """Seconds since the last good message. While nothing changes the agent sends none: see `Status.stale_since`.

        Raises:
            SourceClosedError: there was none yet.
        """
        updated_at = self.status.updated_at
        if updated_at is None:
            raise SourceClosedError("source has heard nothing yet", hint="open it first")
        return (now - updated_at).total_seconds()

    @abstractmethod
    def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[V]:
        """The stream to follow, once."""

    def _current(self) -> V:
        """What the agent sent last; raises if it has withdrawn it."""
        status = self._open_status()
        if status.value is None:
            raise no_identity(status.error)
        return status.value

    def _current_or(self, nothing: V) -> V:
        """What the agent sent last, or `nothing` if it has withdrawn it."""
        value = self._open_status().value
        return nothing if value is None else value

    def _open_status(self) -> Status[V]:
        if self._task is None or self._follower.closed:
            raise SourceClosedError("source is not open", hint="use it inside its `with`")
        return self.status

    def _serves(self) -> bool:
        """Whether there is what opening waits for."""
        return self.status.value is not None

    async def _opened(self) -> None:
        timer = () if self._within is None else (self._clock.sleep(self._within),)
        await first_of(self._served(), *timer)
        if self._serves():
            return
        error = self.status.error
        if error is not None and self.status.stopped:
            raise error
        raise self._not_ready(error)

    async def _served(self) -> None:
        while not (self._serves() or self.status.stopped or self._follower.closed):
            await self._follower.turn()

    def _not_ready(self, error: AssayError | None) -> AssayError:
        if isinstance(error, PermissionDeniedError):
            return no_identity(error)
        seconds = f"within {self._within:g} s" if self._within is not None else "before it was closed"
        refused = SourceNotReadyError(
            f"nothing usable from the Workload API at {self._endpoint.target} {seconds}",
            hint=str(error or "is the agent running?"),
        )
        refused.__cause__ = error
        return refused

    def _connect(self) -> WorkloadApiClient:
        return WorkloadApiClient(self._endpoint)


def no_identity(error: AssayError | None) -> NoIdentityError:
    """The refusal of a source whose agent has nothing for the workload, as that agent worded it."""
    refused = NoIdentityError(
        "the agent has no identity for this workload" + (f": {error.message}" if error else ""),
        hint="is there an entry whose selectors this process has?",
    )
    refused.__cause__ = error
    return refused
