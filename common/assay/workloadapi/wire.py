"""The Workload API on the wire (workloadapi.proto): a service without package, registered and called by hand.

Our messages live in a package of their own, so that another library's copy may live in the same process; packages do
not show on the wire, the service's name does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from assay.rpc.method import Context, MethodHandler, Registry, Service
from assay.rpc.status import StatusCode
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

__all__ = ["HEADER", "HEADER_VALUE", "METADATA", "SERVICE", "Context", "Servicer", "Stub", "headed", "register"]

SERVICE = "SpiffeWorkloadAPI"
HEADER = "workload.spiffe.io"
HEADER_VALUE = "true"
METADATA: tuple[tuple[str, str], ...] = ((HEADER, HEADER_VALUE),)

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)


class Servicer(Protocol):
    """What serves the API. Streams are written with `context.write`, as messages or as bytes serialised already.

    A generator would do for streams, but gRPC closes one late: cancelled while a message is on its way, it would keep
    its subscription until it is collected.
    """

    def FetchX509SVID(self, request: pb.X509SVIDRequest, context: Context, /) -> Awaitable[None]:
        """The caller's X.509-SVIDs, now and on every change."""
        ...

    def FetchX509Bundles(self, request: pb.X509BundlesRequest, context: Context, /) -> Awaitable[None]:
        """The bundles to verify X.509-SVIDs with, now and on every change."""
        ...

    def FetchJWTSVID(self, request: pb.JWTSVIDRequest, context: Context, /) -> Awaitable[pb.JWTSVIDResponse]:
        """JWT-SVIDs for an audience."""
        ...

    def FetchJWTBundles(self, request: pb.JWTBundlesRequest, context: Context, /) -> Awaitable[None]:
        """The bundles to verify JWT-SVIDs with, now and on every change."""
        ...

    def ValidateJWTSVID(
        self, request: pb.ValidateJWTSVIDRequest, context: Context, /
    ) -> Awaitable[pb.ValidateJWTSVIDResponse]:
        """Whether a JWT-SVID is good for an audience, and its claims."""
        ...

    def FetchWITSVID(self, request: pb.WITSVIDRequest, context: Context, /) -> Awaitable[None]:
        """WIT-SVIDs (Workload API, section 7)."""
        ...

    def FetchWITBundles(self, request: pb.WITBundlesRequest, context: Context, /) -> Awaitable[None]:
        """The bundles to verify WIT-SVIDs with."""
        ...


class Stub:
    """The API over a channel; every call must carry the security header (see `METADATA`)."""

    def __init__(self, channel: "aio.Channel") -> None:
        self.fetch_x509_svid = _stream(channel, "FetchX509SVID", pb.X509SVIDRequest, pb.X509SVIDResponse)
        self.fetch_x509_bundles = _stream(channel, "FetchX509Bundles", pb.X509BundlesRequest, pb.X509BundlesResponse)
        self.fetch_jwt_svid = _unary(channel, "FetchJWTSVID", pb.JWTSVIDRequest, pb.JWTSVIDResponse)
        self.fetch_jwt_bundles = _stream(channel, "FetchJWTBundles", pb.JWTBundlesRequest, pb.JWTBundlesResponse)
        self.validate_jwt_svid = _unary(
            channel, "ValidateJWTSVID", pb.ValidateJWTSVIDRequest, pb.ValidateJWTSVIDResponse
        )
        self.fetch_wit_svid = _stream(channel, "FetchWITSVID", pb.WITSVIDRequest, pb.WITSVIDResponse)
        self.fetch_wit_bundles = _stream(channel, "FetchWITBundles", pb.WITBundlesRequest, pb.WITBundlesResponse)


def register(server: Registry, servicer: Servicer) -> None:
    """Serve the API on that server, to calls that have the security header; only then their requests are read."""
    handlers = {
        "FetchX509SVID": _streaming(servicer.FetchX509SVID, pb.X509SVIDRequest),
        "FetchX509Bundles": _streaming(servicer.FetchX509Bundles, pb.X509BundlesRequest),
        "FetchJWTSVID": _answering(servicer.FetchJWTSVID, pb.JWTSVIDRequest),
        "FetchJWTBundles": _streaming(servicer.FetchJWTBundles, pb.JWTBundlesRequest),
        "ValidateJWTSVID": _answering(servicer.ValidateJWTSVID, pb.ValidateJWTSVIDRequest),
        "FetchWITSVID": _streaming(servicer.FetchWITSVID, pb.WITSVIDRequest),
        "FetchWITBundles": _streaming(servicer.FetchWITBundles, pb.WITBundlesRequest),
    }
    server.add_generic_rpc_handlers((Service(SERVICE, handlers),))


def headed(
    service: ServiceDescriptor, behaviour: Callable[[MethodDescriptor], Callable[..., Awaitable[Any]]]
) -> Service:
    """Another service for the same socket, likewise to calls that have the header; streams are written.

    Where the caller streams, too, the behaviour takes an iterator of its messages.
    """
    handlers = {
        method.name: _KINDS[method.client_streaming, method.server_streaming](
            behaviour(method), GetMessageClass(method.input_type)
        )
        for method in service.methods
    }
    return Service(service.full_name, handlers)


def has_security_header(context: Context) -> bool:
    """Whether the request has the header exactly once with its value (Workload Endpoint, section 3).

    A caller that is made to fetch a URL for somebody else cannot set it.
    """
    metadata = context.invocation_metadata() or ()
    return [value for key, value in metadata if key == HEADER] == [HEADER_VALUE]


def _encode(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _streaming(behaviour: Callable[..., Awaitable[Any]], request: type[Message]) -> MethodHandler:
    admitting = _admitting(behaviour, request)
    return MethodHandler(unary_stream=admitting, request_deserializer=None, response_serializer=_encode)


def _answering(behaviour: Callable[..., Awaitable[Any]], request: type[Message]) -> MethodHandler:
    admitting = _admitting(behaviour, request)
    return MethodHandler(unary_unary=admitting, request_deserializer=None, response_serializer=_encode)


def _conversing(behaviour: Callable[..., Awaitable[Any]], request: type[Message]) -> MethodHandler:
    async def admit(messages: AsyncIterator[bytes], context: Context) -> None:
        await _check_header(context)
        await behaviour(_decoded(messages, request, context), context)

    return MethodHandler(stream_stream=admit, request_deserializer=None, response_serializer=_encode)


_KINDS: Mapping[tuple[bool, bool], Callable[..., MethodHandler]] = MappingProxyType(
    {(False, False): _answering, (False, True): _streaming, (True, True): _conversing}
)
"""By whether the caller streams, and whether it is answered by a stream."""


async def _decoded(messages: AsyncIterator[bytes], request: type[M], context: Context) -> AsyncIterator[M]:
    async for data in messages:
        yield await _message(data, request, context)


def _admitting(behaviour: Callable[..., Awaitable[Any]], request: type[Message]) -> Callable[..., Awaitable[Any]]:
    """Takes the request as bytes: gRPC would decode it before the header is looked at, and log a trace of its fault."""

    async def admit(data: bytes, context: Context) -> Any:  # noqa: ANN401 - what the behaviour answers
        await _check_header(context)
        return await behaviour(await _message(data, request, context), context)

    return admit


async def _check_header(context: Context) -> None:
    if not has_security_header(context):
        await context.abort(StatusCode.INVALID_ARGUMENT, "security header missing from request")


async def _message(data: bytes, request: type[M], context: Context) -> M:
    try:
        return request.FromString(data)
    except DecodeError:
        await context.abort(StatusCode.INTERNAL, "error unmarshalling request: not a message of this method")


def _stream(
    channel: "aio.Channel", name: str, request: type[R], response: type[M]
) -> "aio.UnaryStreamMultiCallable[R, M]":
    return channel.unary_stream(f"/{SERVICE}/{name}", request.SerializeToString, response.FromString)


def _unary(
    channel: "aio.Channel", name: str, request: type[R], response: type[M]
) -> "aio.UnaryUnaryMultiCallable[R, M]":
    return channel.unary_unary(f"/{SERVICE}/{name}", request.SerializeToString, response.FromString)
