"""Services by their descriptors: what calls them and what serves them, without grpc and the code made for it."""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from assay.rpc.client import Channel
from assay.rpc.method import MethodHandler, Service
from assay.rpc.reply import Reply
from assay.rpc.status import EndError, StatusCode
from assay.telemetry import tracing
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.debug.v1 import debug_pb2
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.logger.v1 import logger_pb2
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.server.trustdomain.v1 import trustdomain_pb2
from assay_proto.sync.v1 import sync_pb2

if TYPE_CHECKING:  # these exist in the stubs only
    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub
    from assay_proto.spire.api.server.debug.v1.debug_pb2_grpc import DebugAsyncStub
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub
    from assay_proto.spire.api.server.logger.v1.logger_pb2_grpc import LoggerAsyncStub
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub
    from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainAsyncStub

AGENT: ServiceDescriptor = agent_pb2.DESCRIPTOR.services_by_name["Agent"]
BUNDLE: ServiceDescriptor = bundle_pb2.DESCRIPTOR.services_by_name["Bundle"]
DEBUG: ServiceDescriptor = debug_pb2.DESCRIPTOR.services_by_name["Debug"]
ENTRY: ServiceDescriptor = entry_pb2.DESCRIPTOR.services_by_name["Entry"]
LOGGER: ServiceDescriptor = logger_pb2.DESCRIPTOR.services_by_name["Logger"]
SVID: ServiceDescriptor = svid_pb2.DESCRIPTOR.services_by_name["SVID"]
SYNC: ServiceDescriptor = sync_pb2.DESCRIPTOR.services_by_name["Sync"]
TRUST_DOMAIN: ServiceDescriptor = trustdomain_pb2.DESCRIPTOR.services_by_name["TrustDomain"]

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class Stub:
    """The unary RPCs of a service as coroutine functions, typed by the stubs that grpc's tools make.

    Raises (from every call):
        EndError: the call ended with another status than OK.
    """

    def __init__(self, channel: Channel, service: ServiceDescriptor) -> None:
        self._channel = channel
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The RPC of that name."""
        method = self._service.methods_by_name.get(name)
        if method is None or method.client_streaming or method.server_streaming:
            raise AttributeError(f"{self._service.full_name} has no unary RPC {name}")
        path, kind = path_of(method), GetMessageClass(method.output_type)
        channel = self._channel  # what is kept with the stub must not know it: neither would go before a collection

        async def call(request: Message, *, timeout: float | None = None) -> Message:  # noqa: ASYNC109 - it is sent to the server, too
            data = request.SerializeToString()
            with tracing.calling(path):
                return _decoded(kind, await channel.unary(path, data, tracing.carried(), timeout=timeout))

        setattr(self, name, call)
        return call


def agent_stub(channel: Channel) -> "AgentAsyncStub":
    """Calls spire.api.server.agent.v1.Agent."""
    return cast("AgentAsyncStub", Stub(channel, AGENT))


def bundle_stub(channel: Channel) -> "BundleAsyncStub":
    """Calls spire.api.server.bundle.v1.Bundle."""
    return cast("BundleAsyncStub", Stub(channel, BUNDLE))


def debug_stub(channel: Channel) -> "DebugAsyncStub":
    """Calls spire.api.server.debug.v1.Debug."""
    return cast("DebugAsyncStub", Stub(channel, DEBUG))


def entry_stub(channel: Channel) -> "EntryAsyncStub":
    """Calls spire.api.server.entry.v1.Entry."""
    return cast("EntryAsyncStub", Stub(channel, ENTRY))


def logger_stub(channel: Channel) -> "LoggerAsyncStub":
    """Calls spire.api.server.logger.v1.Logger."""
    return cast("LoggerAsyncStub", Stub(channel, LOGGER))


def svid_stub(channel: Channel) -> "SVIDAsyncStub":
    """Calls spire.api.server.svid.v1.SVID."""
    return cast("SVIDAsyncStub", Stub(channel, SVID))


def trust_domain_stub(channel: Channel) -> "TrustDomainAsyncStub":
    """Calls spire.api.server.trustdomain.v1.TrustDomain."""
    return cast("TrustDomainAsyncStub", Stub(channel, TRUST_DOMAIN))


class Exchange(Generic[Q, A]):
    """A call of a streaming RPC; an async context manager that begins it, and leaves nothing of it behind.

    Args:
        channel: to the server.
        method: the RPC.
        answer: its messages.
        timeout: seconds for all of it.

    Raises (from every method):
        EndError: the call ended with another status than OK.
    """

    def __init__(
        self, channel: Channel, method: MethodDescriptor, answer: type[A], *, timeout: float | None = None
    ) -> None:
        self._channel = channel
        self._path = path_of(method)
        self._answer = answer
        self._timeout = timeout
        self._reply: Reply | None = None
        self._cancelled = False
        self._traced = ExitStack()

    async def __aenter__(self) -> Self:
        with ExitStack() as traced:
            traced.enter_context(tracing.calling(self._path))
            self._reply = await self._channel.begin(self._path, tracing.carried(), timeout=self._timeout)
            self._traced = traced.pop_all()
        if self._cancelled:
            self._reply.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._traced.__exit__(kind, error, trace)

    def cancel(self) -> None:
        """End it; whoever reads learns that it is CANCELLED."""
        self._cancelled = True
        if self._reply is not None:
            self._reply.cancel()

    async def write(self, request: Q, *, last: bool = False) -> None:
        """Send a request. Nothing happens when the server has ended the call: reading says why."""
        await self._begun().write(request.SerializeToString(), last=last)

    async def read(self) -> A | None:
        """The next answer; None when the server has ended them well."""
        answer = await self._begun().read()
        return None if answer is None else _decoded(self._answer, answer)

    def _begun(self) -> Reply:
        if self._reply is None:
            raise RuntimeError("exchange was not entered")
        return self._reply


def served(service: ServiceDescriptor, servicer: object) -> Service:
    """A service as a server registers it: those of its RPCs that `servicer` has as methods."""
    handlers = {
        method.name: _handler(method, getattr(servicer, method.name))
        for method in service.methods
        if hasattr(servicer, method.name)
    }
    return Service(service.full_name, handlers)


def path_of(method: MethodDescriptor) -> str:
    """What the RPC is called on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _handler(method: MethodDescriptor, behaviour: Callable[..., Any]) -> MethodHandler:
    requests = "stream" if method.client_streaming else "unary"
    responses = "stream" if method.server_streaming else "unary"
    handler = MethodHandler(
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
    setattr(handler, f"{requests}_{responses}", behaviour)
    return handler


def _decoded(kind: type[A], answer: bytes) -> A:
    try:
        return kind.FromString(answer)
    except DecodeError:
        raise EndError(StatusCode.INTERNAL, f"answer is no {kind.DESCRIPTOR.name}") from None
