"""assay.status.v1.Status of a Workload API server for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from assay.rpc.method import MethodHandler, Service
from assay.rpc.status import StatusCode
from assay.testing.status import INTERVAL, InMemoryStatus
from assay.workloadapi.wire import Context, has_security_header
from assay_proto.status.v1 import status_pb2 as pb


class StatusServicer:
    """Tells verifiers what the test says; lives on one loop."""

    def __init__(self, status: InMemoryStatus) -> None:
        self._status = status

    def service(self) -> Service:
        """As the socket serves it."""
        watch = MethodHandler(
            stream_stream=self._watch,
            request_deserializer=pb.VerifierMessage.FromString,
            response_serializer=pb.StatusMessage.SerializeToString,
        )
        return Service("assay.status.v1.Status", {"Watch": watch})

    async def _watch(self, requests: AsyncIterator[pb.VerifierMessage], context: Context) -> None:
        if not has_security_header(context):
            await context.abort(StatusCode.INVALID_ARGUMENT, "security header missing from request")
        first = await anext(requests)
        if first.WhichOneof("message") != "start":
            await context.abort(StatusCode.INVALID_ARGUMENT, "the first message must be start")
        self._status.starts.append(first.start)
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        unwatch = self._status.watch(lambda: loop.call_soon_threadsafe(changed.set))
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell(first.start, changed, context))
                await self._listen(requests, context)
                telling.cancel()
        finally:
            unwatch()

    async def _tell(self, start: pb.Start, changed: asyncio.Event, context: Context) -> None:
        while True:
            changed.clear()
            if not self._status.silent:
                update = self._status.update(start)
                await context.write(pb.StatusMessage(update=update))
                start = pb.Start(position=update.position, incarnation=update.incarnation)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL / 2):
                    await changed.wait()

    async def _listen(self, requests: AsyncIterator[pb.VerifierMessage], context: Context) -> None:
        async for message in requests:
            match message.WhichOneof("message"):
                case "held":
                    self._status.held = message.held.position
                case "reports":
                    if (taken := self._status.take(message.reports)) is not None:
                        await context.write(pb.StatusMessage(taken=taken))
                case _:
                    pass
