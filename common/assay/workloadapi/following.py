"""Following one stream of the Workload API for as long as its source is open.

A stream that ends is opened anew, at once if it had brought something, and then with growing delays (Workload API,
section 4.2; Workload Endpoint, section 6). What the agent said last stays good while it is away; PERMISSION_DENIED
withdraws it and is tried again; INVALID_ARGUMENT and UNIMPLEMENTED end the following.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeAlias, TypeVar

from assay.backoff import Backoff
from assay.clock import Clock
from assay.errors import AssayError, Kind, UnavailableError
from assay.workloadapi.client import Refused, WorkloadApiClient
from assay.workloadapi.errors import MalformedResponseError, SourceClosedError
from assay.workloadapi.status import Status

RETRY = Backoff(first=0.5, limit=10, factor=2, jitter=0.5)
# Seconds for which a stream must have stood to be no part of a row of failures.
STEADY = 30.0
_FINAL = frozenset({Kind.INVALID_ARGUMENT, Kind.UNIMPLEMENTED})

T = TypeVar("T")
V = TypeVar("V")
Watch: TypeAlias = Callable[[WorkloadApiClient, Refused], AsyncGenerator[V]]

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.workloadapi")


def retry_delay(error: AssayError, failures: int, *, brought: bool, draw: float, backoff: Backoff) -> float | None:
    """Seconds until the next attempt after that many failures in a row; None if there must be none.

    `brought` is whether the stream that ended had brought a good message.
    """
    if error.kind in _FINAL:
        return None
    if failures == 1 and brought and error.kind is not Kind.PERMISSION_DENIED:
        return 0.0
    return backoff.delay(failures, draw)


class Follower(Generic[V]):
    """Follows what `watch` yields. `status` may be read from any thread, the rest belongs to the loop."""

    def __init__(
        self,
        connect: Callable[[], WorkloadApiClient],
        watch: Watch[V],
        *,
        clock: Clock,
        draw: Callable[[], float],
        backoff: Backoff,
    ) -> None:
        self.status: Status[V] = Status()
        self._connect = connect
        self._watch = watch
        self._clock = clock
        self._draw = draw
        self._backoff = backoff
        self._turn = asyncio.Event()
        self._brought = False
        self._closed = False

    async def run(self) -> None:
        """Follow until cancelled, or until the agent says what no repetition can change."""
        while not self.status.stopped:
            began = self._clock.monotonic()
            self._brought = False
            try:
                await self._follow()
                error: AssayError = UnavailableError("the Workload API ended the stream")
            except AssayError as refusal:
                error = refusal
            except Exception:
                # A fault of ours: what was good is kept, and the next message may be one that we can read.
                log.exception("Workload API stream ended by a fault")
                error = UnavailableError("the Workload API's stream ended by an internal fault")
            if self._clock.monotonic() - began >= STEADY and self._brought:
                self._set(self.status.steady())
            await self._lost(error)

    @property
    def closed(self) -> bool:
        """Whether nothing is followed any more because `close` was called."""
        return self._closed

    def close(self) -> None:
        """Wake who waits for a change: there will be none."""
        self._closed = True
        self._turn.set()

    async def changed(self, since: int) -> int:
        """The version, once it is beyond `since`; raises as `Source.changed` does."""
        while not self._closed:
            status = self.status
            if status.version > since:
                return status.version
            if status.stopped and status.error is not None:
                raise status.error
            await self.turn()
        raise SourceClosedError("source is closed")

    async def turn(self) -> None:
        """Return when the status changes in any way, or this is closed."""
        if not self._closed:
            await self._turn.wait()

    async def _follow(self) -> None:
        async with self._connect() as client, aclosing(self._watch(client, self._dropped)) as values:
            async for value in values:
                self._brought = True
                if self.status.error is not None and self.status.failures:
                    log.info("Workload API is back")
                self._set(self.status.updated(value, self._clock.now()))

    def _dropped(self, error: MalformedResponseError) -> None:
        log.warning("Workload API message dropped: %s", error)
        self._set(self.status.dropped(error, self._clock.now()))

    async def _lost(self, error: AssayError) -> None:
        failures = self.status.failures + 1
        delay = retry_delay(error, failures, brought=self._brought, draw=self._draw(), backoff=self._backoff)
        if delay is None or failures == 1:
            log.warning("Workload API stream lost: %s", error)
        status = self.status.lost(error, self._clock.now(), failures=failures, stopped=delay is None)
        self._set(status.withdrawn() if error.kind is Kind.PERMISSION_DENIED else status)
        await self._clock.sleep(delay or 0.0)

    def _set(self, status: Status[V]) -> None:
        self.status = status
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()


async def converted(values: AsyncGenerator[T], convert: Callable[[T], V], on_malformed: Refused) -> AsyncGenerator[V]:
    """What `convert` makes of the values; those that it finds malformed are dropped."""
    async with aclosing(values):
        async for value in values:
            try:
                made = convert(value)
            except MalformedResponseError as error:
                on_malformed(error)
            else:
                yield made
