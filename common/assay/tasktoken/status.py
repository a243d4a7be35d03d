"""Status as the local agent pushes it, and reports the other way: assay.status.v1.Status on the agent's socket.

    async with PushedStatus() as status:
        verifier = TaskTokenVerifier(bundles, issuer, audience, status, trust_domain="example.org")

`assay.tasktoken.blocking` has the same for programs without an event loop.
"""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from assay.backoff import Backoff
from assay.clock import Clock
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.reply import Reply
from assay.tasktoken.following import RETRY, WITHIN, StatusFollower
from assay.tasktoken.report import DELAY, ReportBuffer
from assay.tasktoken.wire import reports_message
from assay.workloadapi.address import Endpoint
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.wire import METADATA
from assay_proto.status.v1 import status_pb2 as pb

WATCH = "/assay.status.v1.Status/Watch"

_IN_FLIGHT = 1000


class PushedStatus(StatusFollower):
    """Follows what the local agent tells.

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
        super().__init__(within=within, reports=reports, clock=clock, backoff=backoff, draw=draw)
        self._endpoint = Endpoint.of(endpoint, os.environ)

    @property
    def _where(self) -> str:
        return f"the agent at {self._endpoint.target}"

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
        self._stands()

    def _send(self, reply: Reply, message: pb.VerifierMessage) -> None:
        reply.send(message.SerializeToString(), last=False)


def _parsed(data: bytes) -> pb.StatusMessage:
    try:
        return pb.StatusMessage.FromString(data)
    except DecodeError:
        raise MalformedResponseError("malformed response: no message of status") from None
