"""What serves an RPC, and how generated code registers it."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from assay.rpc.status import EndError, StatusCode

Codec = Callable[[Any], Any]


class Handler(Protocol):
    """A method handler as grpc's factories make it."""

    request_streaming: bool
    response_streaming: bool
    request_deserializer: Codec | None
    response_serializer: Codec | None
    unary_unary: Callable[..., Any] | None
    unary_stream: Callable[..., Any] | None
    stream_unary: Callable[..., Any] | None
    stream_stream: Callable[..., Any] | None


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
