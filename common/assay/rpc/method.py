"""What serves an RPC, and how generated code registers it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol

from assay.rpc.status import EndError, Metadata, StatusCode

Codec = Callable[[Any], Any]


class Handler(Protocol):
    """A method handler as grpc's factories make it."""

    request_deserializer: Codec | None
    response_serializer: Codec | None
    unary_unary: Callable[..., Any] | None
    unary_stream: Callable[..., Any] | None
    stream_unary: Callable[..., Any] | None
    stream_stream: Callable[..., Any] | None

    @property
    def request_streaming(self) -> bool:
        """Whether the caller sends any number of requests."""
        ...

    @property
    def response_streaming(self) -> bool:
        """Whether it is answered by any number of responses."""
        ...


class Context(Protocol):
    """What a handler knows of its call; grpc.aio's contexts have it all but `turn`, too."""

    def invocation_metadata(self) -> Metadata | None:
        """What the caller sent beside its request."""
        ...

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None when it set none."""
        ...

    async def turn(self) -> None:
        """Wait for this caller's turn to do what holds the loop for some milliseconds."""
        ...

    async def read(self) -> Any:  # noqa: ANN401 - the method's request, or an object that says that there are no more
        """The next request of a stream."""
        ...

    async def write(self, message: Any, /) -> None:  # noqa: ANN401 - the method's response
        """Send one response of a stream, no faster than the caller reads."""
        ...

    async def abort(self, code: Any, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:  # noqa: ANN401 - a code of ours or of grpc's
        """End the call with this status."""
        ...


@dataclass(slots=True, kw_only=True)
class MethodHandler:
    """A handler as grpc's factories make it, without grpc: one of the four behaviours is its own."""

    request_deserializer: Codec | None
    response_serializer: Codec | None
    unary_unary: Callable[..., Any] | None = None
    unary_stream: Callable[..., Any] | None = None
    stream_unary: Callable[..., Any] | None = None
    stream_stream: Callable[..., Any] | None = None

    @property
    def request_streaming(self) -> bool:
        """Whether the caller sends any number of requests."""
        return self.unary_unary is None and self.unary_stream is None

    @property
    def response_streaming(self) -> bool:
        """Whether it is answered by any number of responses."""
        return self.unary_unary is None and self.stream_unary is None


class Service:
    """The methods of a service, by their names."""

    def __init__(self, name: str, handlers: Mapping[str, Handler]) -> None:
        self.name = name
        self._handlers = {f"/{name}/{method}": handler for method, handler in handlers.items()}

    def service(self, handler_call_details: Any, /) -> Handler | None:  # noqa: ANN401 - grpc's type or ours
        """The handler of that method, or None."""
        return self._handlers.get(handler_call_details.method)


class Details(NamedTuple):
    """What a generic handler is asked by."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class GenericHandler(Protocol):
    """Finds the handler of a method, as grpc's `method_handlers_generic_handler` makes it."""

    def service(self, handler_call_details: Any, /) -> Any:  # noqa: ANN401 - grpc's type or ours
        """The handler of that method, or None."""
        ...


class Registry(Protocol):
    """What generated code takes for a server."""

    def add_generic_rpc_handlers(self, handlers: Iterable[Any], /) -> None:
        """Serve these."""
        ...

    def add_registered_method_handlers(self, service: str, handlers: Any, /) -> None:  # noqa: ANN401 - grpc's
        """The same handlers one by one."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: `behavior` takes the request, or an iterator of them, and the context.

    It answers with a coroutine of the response; for streams with an async iterator, or with a coroutine that writes.
    """

    path: str
    behavior: Callable[[Any, Any], Any]
    request_streaming: bool = False
    response_streaming: bool = False
    decode: Codec | None = None
    encode: Codec | None = None


def method_of(path: str, handler: Handler) -> Method:
    """A handler of grpc's as a method.

    Raises:
        TypeError: it has no behaviour of its kind.
    """
    kinds = {
        (False, False): handler.unary_unary,
        (False, True): handler.unary_stream,
        (True, False): handler.stream_unary,
        (True, True): handler.stream_stream,
    }
    request_streaming, response_streaming = bool(handler.request_streaming), bool(handler.response_streaming)
    behavior = kinds[request_streaming, response_streaming]
    if behavior is None:
        raise TypeError("handler has no behaviour of its kind")
    return Method(
        path,
        behavior,
        request_streaming,
        response_streaming,
        handler.request_deserializer,
        handler.response_serializer,
    )


def unserved(path: str, words: str = "Method not found!") -> Method:
    """A method that answers UNIMPLEMENTED, whatever kind of RPC the caller takes it for."""

    async def refuse(_requests: object, _context: object) -> AsyncIterator[bytes]:
        raise EndError(StatusCode.UNIMPLEMENTED, words)
        yield b""  # never: it makes this function a stream

    return Method(path, refuse, request_streaming=True, response_streaming=True)
