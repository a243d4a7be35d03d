"""assay.task.v1.Tasks: who calls is attested here, and the server is asked on its behalf.

The caller says nothing of itself: which principal and instance it is follows from what was attested.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, ResourceExhaustedError, UnavailableError
from assay.rpc.method import Service
from assay.wire import selector as selector_wire
from assay.workloadapi import wire
from assay.workloadapi.wire import Context
from assay_agent.cache import Cache
from assay_agent.client.tasks import SERVICE as RELAYED
from assay_agent.client.tasks import TaskRelay
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Caller, Callers
from assay_agent.workload.guard import guarded
from assay_agent.workload.streams import no_identity
from assay_proto.task.v1 import task_pb2 as pb

log = structlog.get_logger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["Tasks"]

TIMEOUT = 30.0  # seconds
MAX_REQUEST = 256 * 1024
"""Bytes: more than any request has whose parts are as large as the server lets them be."""

MAX_WATCHES = 50
"""At once: they share the agent's line to its server with everything else."""


class Tasks:
    """Relays for workloads of this host."""

    def __init__(self, cache: Cache, callers: Callers, instances: Instances, server: TaskRelay) -> None:
        self._cache = cache
        self._callers = callers
        self._instances = instances
        self._server = server
        self._watches = 0

    def service(self) -> Service:
        """As the agent's socket serves it."""
        return wire.headed(SERVICE, self._behaviour)

    def _behaviour(self, method: MethodDescriptor) -> Callable[..., Awaitable[Any]]:
        if method.server_streaming:
            return self._follow
        asked = GetMessageClass(RELAYED.methods_by_name[method.name].input_type)
        return _Relayed(self, method.name, asked).answer

    @guarded
    async def _follow(self, request: pb.WatchRequest, context: Context) -> None:
        caller, workload = await self._attest(context, "Watch")
        if self._watches >= MAX_WATCHES:
            raise ResourceExhaustedError(f"{MAX_WATCHES} workloads of this host follow their tasks already")
        self._watches += 1
        try:
            async for task in self._server.watch(workload, dict(request.known)):
                caller.check_alive()
                await context.write(task)
        finally:
            self._watches -= 1

    async def relay(self, method: str, asked: type[Message], request: Message, context: Context) -> Message:
        """What the server answers, once the caller is attested and if it still lives then."""
        if request.ByteSize() > MAX_REQUEST:
            raise InvalidArgumentError(f"request has more than {MAX_REQUEST} bytes")
        caller, workload = await self._attest(context, method)
        remaining = context.time_remaining()
        within = TIMEOUT if remaining is None else min(TIMEOUT, remaining)
        answer = await self._server.ask(method, asked(workload=workload, request=request), within)
        caller.check_alive()
        return answer

    async def _attest(self, context: Context, method: str) -> tuple[Caller, pb.Workload]:
        if not self._cache.synced:
            raise UnavailableError("agent has not synced with the server yet")
        caller = await self._callers.attest(context, method)
        entries = self._cache.entitled(caller.selectors)
        if not entries:
            raise no_identity(caller, method)
        selectors = map(selector_wire.to_proto, sorted(caller.selectors))
        matches = [await self._match(caller, one) for one in entries]
        return caller, pb.Workload(matches=[one for one in matches if one is not None], selectors=selectors)

    async def _match(self, caller: Caller, entry: Entry) -> pb.Match | None:
        """The entry, with the caller's instance of it; None where that cannot be told."""
        try:
            return pb.Match(entry_id=entry.id, instance=await self._instances.value(caller, entry))
        except AssayError as error:
            log.warning("Instance is not known", pid=caller.peer.pid, entry=entry.id, error=str(error))
            return None


def files() -> Iterable[FileDescriptorProto]:
    """The service's descriptors, each after what it imports."""
    from assay.wire.descriptors import relocated  # noqa: PLC0415 - few ever ask

    return relocated([pb.DESCRIPTOR])


@dataclass(frozen=True, slots=True)
class _Relayed:
    """One RPC that has one answer; `asked` is its request to the server."""

    tasks: Tasks
    method: str
    asked: type[Message]

    @guarded
    async def answer(self, request: Message, context: Context) -> Message:
        return await self.tasks.relay(self.method, self.asked, request, context)
