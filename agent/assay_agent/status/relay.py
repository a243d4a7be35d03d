"""One stream from the server for all verifiers of the host, who are served from what it said.

While the server is away they keep their streams and hear nothing: each sees how old its knowledge becomes.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from typing import Protocol

import structlog

from assay.backoff import Backoff
from assay.clock import Clock
from assay.errors import AssayError, ResourceExhaustedError, UnavailableError, UnimplementedError
from assay.status.log import Item, StatusLog
from assay.status.parts import whole
from assay.status.values import Told
from assay.waiting import first_of
from assay_agent.client.status import RenewedError, StatusStream
from assay_agent.status.verifier import Verifier
from assay_proto.status.v1 import status_pb2 as pb

RECONNECT = Backoff(first=0.25, limit=10, factor=2, jitter=0.5)
LINGER = 60.0
"""Seconds for which the server is listened to after the last verifier has gone: one that restarts is told at once."""
MOST = 500
"""Verifiers at once."""

log = structlog.get_logger(__name__)


class Streams(Protocol):
    """Opens streams from the server."""

    def open(self) -> AbstractAsyncContextManager[StatusStream]:
        """One; raises AssayError wherever it fails."""
        ...


class StatusRelay:
    """`draw` gives numbers in [0, 1)."""

    def __init__(self, streams: Streams, clock: Clock, draw: Callable[[], float], *, linger: float = LINGER) -> None:
        self._streams = streams
        self._clock = clock
        self._draw = draw
        self._linger = linger
        self._log = StatusLog()
        self._last = Told(0, "", snapshot=False)
        self._updates = 0
        self._parts: list[pb.Update] = []
        self._verifiers: set[Verifier] = set()
        self._come_or_gone = asyncio.Event()
        self._to_say = asyncio.Event()
        self._refusal: AssayError | None = None
        self._heard = False

    @contextmanager
    def verifier(self, entry_id: str, instance: str) -> Generator[Verifier]:
        """A place among those who are told.

        Raises:
            ResourceExhaustedError: there are too many.
        """
        if len(self._verifiers) >= MOST:
            raise ResourceExhaustedError(f"{MOST} verifiers of this host listen already")
        one = Verifier(entry_id, instance, self._to_say.set)
        self._verifiers.add(one)
        self._changed()
        try:
            yield one
        finally:
            self._verifiers.discard(one)
            self._changed()

    def due(self, verifier: Verifier, position: int, incarnation: str) -> Told | None:
        """What is to be told now to one who holds that; None while there is nothing.

        Raises:
            UnimplementedError: the server is one that tells nothing.
        """
        if not self._log.position:
            if self._refusal is not None:
                raise self._refusal
            return None
        if verifier.told == self._updates:
            return None
        verifier.told = self._updates
        told = self._log.since(position, incarnation)
        last = self._last
        bounds: Mapping[str, int] = last.staleness if told.snapshot else {}
        return replace(told, at=last.at, interval=last.interval, staleness=bounds)

    async def run(self) -> None:
        """Listen to the server while there are verifiers, until cancelled."""
        failures = 0
        while True:
            await self._wanted()
            try:
                await self._listen()
                failures = 0
            except RenewedError:
                continue
            except UnimplementedError as error:
                self._refuse(error)
                await self._clock.sleep(RECONNECT.limit)
            except AssayError as error:
                failures = 1 if self._heard else failures + 1
                delay = RECONNECT.delay(failures, self._draw())
                log.warning("Lost the server's word of revocations", error=str(error), retry_interval=f"{delay:.3f}s")
                await self._clock.sleep(delay)

    async def _wanted(self) -> None:
        while not self._verifiers:
            self._come_or_gone.clear()
            await self._come_or_gone.wait()

    async def _listen(self) -> None:
        """One stream; returns when nobody has wanted it for a while."""
        self._parts, self._heard = [], False
        for one in self._verifiers:
            one.unheard()
        async with self._streams.open() as stream:
            start = pb.Start(position=self._log.position, incarnation=self._log.incarnation)
            await stream.write(pb.AgentMessage(start=start))
            await first_of(self._hear(stream), self._say(stream), self._unwanted())
        # Whoever comes next begins with what counts then.
        self._log = StatusLog()

    async def _hear(self, stream: StatusStream) -> None:
        while (message := await stream.read()) is not None:
            if message.HasField("update"):
                self._part(message.update)
            elif message.HasField("taken"):
                for one in self._verifiers:
                    one.take(message.taken, self._clock.monotonic())
        raise UnavailableError("server ended the stream")

    def _part(self, update: pb.Update) -> None:
        self._parts.append(update)
        if update.more:
            return
        told, self._parts = whole(self._parts), []
        items: list[Item] = [*told.revoked, *told.identities]
        if told.snapshot:
            self._log.begin(told.incarnation, told.position, items)
        elif told.incarnation != self._log.incarnation:
            raise UnavailableError("server goes on with what was never begun")
        else:
            self._log.advance(told.position, items)
        self._log.prune(self._clock.now().timestamp())
        self._last = told if told.snapshot or told.staleness else replace(told, staleness=self._last.staleness)
        self._updates += 1
        self._heard, self._refusal = True, None
        for one in self._verifiers:
            one.wake()
        self._to_say.set()

    async def _say(self, stream: StatusStream) -> None:
        said: pb.AgentHeld | None = None
        while True:
            self._to_say.clear()
            held = self._held()
            if held != said:
                await stream.write(pb.AgentMessage(held=held))
                said = held
            pause: float | None = None
            for one in tuple(self._verifiers):
                due = one.due_in(self._clock.monotonic())
                if due == 0:
                    await stream.write(pb.AgentMessage(reports=one.next()))
                elif due is not None:
                    pause = due if pause is None else min(pause, due)
            await (self._to_say.wait() if pause is None else first_of(self._to_say.wait(), self._clock.sleep(pause)))

    def _held(self) -> pb.AgentHeld:
        position = self._log.position
        confirmed = sum(one.held >= position for one in self._verifiers) if position else 0
        return pb.AgentHeld(position=position, verifiers=len(self._verifiers), confirmed=confirmed)

    async def _unwanted(self) -> None:
        while True:
            self._come_or_gone.clear()
            if self._verifiers:
                await self._come_or_gone.wait()
                continue
            await first_of(self._come_or_gone.wait(), self._clock.sleep(self._linger))
            if not self._verifiers:
                return

    def _refuse(self, error: AssayError) -> None:
        self._refusal = error
        for one in self._verifiers:
            one.wake()

    def _changed(self) -> None:
        self._come_or_gone.set()
        self._to_say.set()
