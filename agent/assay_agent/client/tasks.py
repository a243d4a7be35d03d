"""Tasks of workloads, as the agent asks its server about them."""

from collections.abc import AsyncGenerator

from google.protobuf.message import Message

from assay.errors import UnavailableError
from assay.wire.service import Exchange, Stub
from assay_agent.client.connection import Connection
from assay_agent.client.refusal import refusals
from assay_proto.task.v1 import task_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["AgentTasks"]
WATCH = SERVICE.methods_by_name["Watch"]


class TaskRelay:
    """assay.task.v1.AgentTasks on the agent's line to its server. Every method raises AssayError on refusal."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, method: str, request: Message, within: float) -> Message:
        """The answer to one of the RPCs that have one, or UnavailableError after `within` seconds."""
        async with self._connection.line() as line:
            with refusals():
                answer: Message = await getattr(Stub(line.channel, SERVICE), method)(request, timeout=within)
            return answer

    async def watch(self, workload: pb.Workload, known: dict[str, int]) -> AsyncGenerator[pb.Task]:
        """Tasks that are newer than `known` says, which is kept; the agent's renewed SVID does not end it."""
        while True:
            try:
                async for task in self._watch(workload, known):
                    known[task.id] = task.revision
                    yield task
            except _RenewedError:
                continue

    async def _watch(self, workload: pb.Workload, known: dict[str, int]) -> AsyncGenerator[pb.Task]:
        request = pb.AgentWatchRequest(workload=workload, request=pb.WatchRequest(known=known))
        async with self._connection.line() as line:
            call = Exchange[pb.AgentWatchRequest, pb.Task](line.channel, WATCH, pb.Task)
            try:
                with line.ended_by_renewal(call.cancel), refusals():
                    async with call:
                        await call.write(request, last=True)
                        while (task := await call.read()) is not None:
                            yield task
            except UnavailableError:
                if line.outdated:
                    raise _RenewedError from None
                raise
        raise UnavailableError("server ended the stream")


class _RenewedError(Exception):
    """The line stood on an SVID that the agent has no more."""
