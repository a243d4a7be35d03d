"""Status as the local agent pushes it, and reports the other way: assay.status.v1.Status on the agent's socket.

    async with PushedStatus() as status:
        verifier = TaskTokenVerifier(bundles, issuer, audience, status, trust_domain="example.org")

`assay.tasktoken.blocking` has the same for programs without an event loop.
"""

import asyncio
import logging
import math
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from google.protobuf.message import DecodeError

from assay.backoff import Backoff
from assay.clock import Clock, SystemClock
from assay.errors import AssayError, UnavailableError
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.reply import Reply
from assay.rpc.status import EndError
from assay.standing import Question, Standing
from assay.tasktoken.held import Held
from assay.tasktoken.report import DELAY, Report, ReportBuffer
from assay.tasktoken.wire import reports_message
from assay.waiting import first_of
from assay.wire.status import code_of, refusal
from assay.workloadapi.address import Endpoint
from assay.workloadapi.errors import MalformedResponseError, SourceClosedError, SourceNotReadyError
from assay.workloadapi.wire import METADATA
from assay_proto.status.v1 import status_pb2 as pb

WATCH = "/assay.status.v1.Status/Watch"
RETRY = Backoff(first=0.1, limit=5, factor=2, jitter=0.5)
"""A verifier without status refuses: it comes back sooner than what renews SVIDs long before their end."""
WITHIN = 30.0
"""Seconds to wait for the first snapshot, unless told otherwise."""
FLUSH = 2.0
"""Seconds that reports get to be taken when it is closed."""

_IN_FLIGHT = 1000

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.tasktoken")


class PushedStatus:
    """Follows what has ended, as an async context manager; a `StatusSource`, to be asked from any thread.

    Opening waits for the first snapshot. When the agent goes away, or has no word of its server, what is held grows old,
    and from then on each action is refused as soon as its class needs younger knowledge. It asks again, with growing
    delays, and goes on from what it holds.

    Args:
        endpoint: where the Workload API is; None for what `SPIFFE_ENDPOINT_SOCKET` names.
        within: seconds to wait for the first snapshot, None for as long as it takes.
        reports: where reports are kept until they are taken.
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
        reports: ReportBuffer | None = None,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = Endpoint.of(endpoint, os.environ)
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
        self._reports.added = lambda: loop.call_soon_threadsafe(self._due.set)
        self._task = loop.create_task(self._run(), name="assay.tasktoken status")
        try:
            timer = () if self._within is None else (self._clock.sleep(self._within),)
            await first_of(self.wait_known(), *timer)
            if math.isinf(self.age):
                raise SourceNotReadyError(
                    f"no status from the agent at {self._endpoint.target} within {self._within:g} s",
                    hint=str(self.error or "is the agent running, and connected to its server?"),
                )
        except BaseException:
            await self.close()
            raise

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

    async def changed(self) -> None:
        """Return at the next update, or when the stream is lost."""
        await self._turn.wait()

    async def _flushed(self) -> None:
        # Nobody takes anything while there is no stream: what is kept then is lost with this process.
        while self._reports.kept and self.error is None:
            await self._turn.wait()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._follow()
                error: AssayError = UnavailableError("the agent ended the stream")
            except AssayError as refused:
                error = refused
            except EndError as ended:
                error = refusal(code_of(ended.code), ended.message)
            except Exception:
                # A fault of ours: the next message may be one that we can read.
                log.exception("Status stream ended by a fault")
                error = UnavailableError("the status stream ended by an internal fault")
            failures = 1 if self.error is None else failures + 1
            if failures == 1:
                log.warning("Status stream lost: %s", error)
            self.error = error
            self._reports.again()
            self._tell()
            await self._clock.sleep(self._backoff.delay(failures, self._draw()))

    async def _follow(self) -> None:
        channel = Channel(self._endpoint.connect, max_message=MAX_MESSAGE_BYTES)
        try:
            reply = await channel.begin(WATCH, METADATA)
            self._held.begin()
            self._send(reply, pb.VerifierMessage(start=self._held.start))
            self._due.set()
            sender = asyncio.get_running_loop().create_task(self._send_reports(reply), name="assay.tasktoken reports")
            try:
                while (data := await reply.read()) is not None:
                    self._take(reply, _parsed(data))
            finally:
                sender.cancel()
                await asyncio.wait({sender})
                reply.cancel()
        finally:
            await channel.close()

    def _take(self, reply: Reply, message: pb.StatusMessage) -> None:
        match message.WhichOneof("message"):
            case "update":
                if self._held.apply(message.update):
                    self._obeyed(reply, message.update.position)
            case "taken" if message.taken.reporter == self._reports.reporter:
                self._reports.taken(message.taken.last)
                self._due.set()
            case _:
                return
        self._tell()

    async def _send_reports(self, reply: Reply) -> None:
        while True:
            await self._due.wait()
            if not self._closing:
                await self._clock.sleep(DELAY)
            self._due.clear()
            while self._reports.in_flight < _IN_FLIGHT and (batch := self._reports.next()) is not None:
                message = pb.VerifierMessage(reports=reports_message(self._reports.reporter, batch))
                await reply.write(message.SerializeToString())

    def _obeyed(self, reply: Reply, position: int) -> None:
        """Verdicts obey all until there, which is said only now."""
        self._send(reply, pb.VerifierMessage(held=pb.Held(position=position)))
        if self.error is not None:
            log.info("Status stream is back")
            self.error = None

    def _send(self, reply: Reply, message: pb.VerifierMessage) -> None:
        reply.send(message.SerializeToString(), last=False)

    def _tell(self) -> None:
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()


def _parsed(data: bytes) -> pb.StatusMessage:
    try:
        return pb.StatusMessage.FromString(data)
    except DecodeError:
        raise MalformedResponseError("malformed response: no message of status") from None
