"""assay.status.v1.Status: who listens is attested here, for reports say who reported."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, UnavailableError
from assay.rpc.method import Service
from assay.status.parts import parts
from assay.waiting import first_of
from assay.workloadapi import wire
from assay.workloadapi.wire import Context
from assay_agent.cache import Cache
from assay_agent.instance.instances import Instances
from assay_agent.status.relay import StatusRelay
from assay_agent.status.verifier import Verifier
from assay_agent.workload.caller import Caller, Callers
from assay_agent.workload.guard import guarded
from assay_agent.workload.streams import no_identity
from assay_proto.status.v1 import status_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Status"]

MAX_REPORTS = 256 * 1024
"""Bytes of one message with reports."""

_WATCH = "Watch"


class StatusApi:
    """The service."""

    def __init__(self, cache: Cache, callers: Callers, instances: Instances, relay: StatusRelay) -> None:
        self._cache = cache
        self._callers = callers
        self._instances = instances
        self._relay = relay

    def service(self) -> Service:
        """As the agent's socket serves it."""
        return wire.headed(SERVICE, self._behaviour)

    def _behaviour(self, _: MethodDescriptor) -> Callable[..., Awaitable[Any]]:
        return self.watch

    @guarded
    async def watch(self, messages: AsyncIterator[pb.VerifierMessage], context: Context) -> None:
        """Tell the caller what it lacks and then what comes, for as long as it lives and has an identity."""
        if not self._cache.synced:
            raise UnavailableError("agent has not synced with the server yet")
        caller = await self._callers.attest(context, _WATCH)
        entry, instance = await self._attested(caller)
        first = await anext(messages, None)
        if first is None or first.WhichOneof("message") != "start":
            raise InvalidArgumentError("the first message says what is held")
        with self._relay.verifier(entry.id, instance) as verifier:
            await first_of(self._hear(messages, verifier), self._tell(first.start, verifier, caller, context))

    async def _attested(self, caller: Caller) -> tuple[Entry, str]:
        """The first entry by which the caller is somebody."""
        refusal: AssayError | None = None
        for entry in self._entries(caller):
            try:
                return entry, await self._instances.value(caller, entry)
            except AssayError as error:
                refusal = error
        raise refusal or no_identity(caller, _WATCH)

    def _entries(self, caller: Caller) -> Sequence[Entry]:
        entries = self._cache.entitled(caller.selectors)
        if not entries:
            raise no_identity(caller, _WATCH)
        return entries

    async def _tell(self, start: pb.Start, verifier: Verifier, caller: Caller, context: Context) -> None:
        position, incarnation = start.position, start.incarnation
        while True:
            while verifier.taken:
                await context.write(pb.StatusMessage(taken=verifier.taken.popleft()))
            told = self._relay.due(verifier, position, incarnation)
            if told is None:
                await verifier.wait()
                continue
            self._entries(caller)
            caller.check_alive()
            for part in parts(told):
                await context.write(pb.StatusMessage(update=part))
            position, incarnation = told.position, told.incarnation

    async def _hear(self, messages: AsyncIterator[pb.VerifierMessage], verifier: Verifier) -> None:
        async for message in messages:
            match message.WhichOneof("message"):
                case "held":
                    verifier.hold(message.held.position)
                case "reports":
                    if message.ByteSize() > MAX_REPORTS:
                        raise InvalidArgumentError(f"reports have more than {MAX_REPORTS} bytes")
                    await verifier.report(message.reports)
                case _:
                    raise InvalidArgumentError("stream has begun already")


def files() -> Iterable[FileDescriptorProto]:
    """The service's descriptors, each after what it imports."""
    from assay.wire.descriptors import relocated  # noqa: PLC0415 - few ever ask

    return relocated([pb.DESCRIPTOR])
