"""The interceptors of `assay.rpcauth` for servers and channels of grpc without asyncio. Tokens only: no TLS."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from assay.caller import SCHEME, known
from assay.rpcauth.current import CURRENT, current_caller
from assay.rpcauth.refusal import UNKNOWN_METHOD, Refusal, refusal
from assay.rpcauth.rules import AUTHORIZATION, Rules
from assay.svid import JwtSvid
from assay.verify import JwtVerifier

__all__ = ["ClientInterceptor", "ServerInterceptor", "TokenSource", "current_caller"]

# Servicer contexts, handlers and what they take are as the user's generated code has them.
Handler = Any


class ServerInterceptor(grpc.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Lets pass calls with a good JWT-SVID in their metadata; as `assay.rpcauth.ServerInterceptor` otherwise."""

    def __init__(self, *, jwt: JwtVerifier, public: Collection[str] = ()) -> None:
        self._rules = Rules(jwt, public)

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler], handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """As grpc has it."""
        method = handler_call_details.method
        if self._rules.public(method):
            return continuation(handler_call_details)
        try:
            caller = known(self._rules.token(handler_call_details.invocation_metadata), None)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
            return refusing(refusal(error, str(method)))
        handler = continuation(handler_call_details)
        if handler is None:
            return refusing(UNKNOWN_METHOD)
        # Threads are used again: each call has a context of its own.
        context = copy_context()
        context.run(CURRENT.set, caller)
        return _within(context, handler)


def _within(context: Context, handler: Handler) -> Handler:
    def call(request: Any, servicer: Any) -> Any:  # noqa: ANN401 - grpc's
        return context.run(behaviour, request, servicer)

    def stream(request: Any, servicer: Any) -> Iterator[Any]:  # noqa: ANN401 - grpc's
        return within(context, behaviour, request, servicer)

    behaviour: Any
    if handler.response_streaming:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make: Any = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
        return make(stream, handler.request_deserializer, handler.response_serializer)
    behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
    make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
    return make(call, handler.request_deserializer, handler.response_serializer)


_END = object()


def within(context: Context, behaviour: Any, request: Any, servicer: Any) -> Iterator[Any]:  # noqa: ANN401 - grpc's
    """What the behaviour answers, each of it made in that context."""
    answers = iter(context.run(behaviour, request, servicer) or ())
    try:
        while (answer := context.run(next, answers, _END)) is not _END:
            yield answer
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            context.run(close)


def refusing(refused: Refusal) -> Handler:
    """Reads nothing, and ends every call like that."""

    def call(_requests: Any, servicer: Any) -> Any:  # noqa: ANN401 - grpc's
        servicer.set_trailing_metadata(refused.trailers)
        servicer.abort(refused.code, refused.details)
        return iter(())

    make: Any = grpc.stream_stream_rpc_method_handler
    return make(call)


class TokenSource(Protocol):
    """Where tokens come from, such as an open `assay.workloadapi.blocking.JwtSource`."""

    def fetch(self, audience: str | Sequence[str], /) -> JwtSvid:
        """A token for that audience."""
        ...


@dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):  # type: ignore[misc, unused-ignore]
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class ClientInterceptor(  # type: ignore[misc, unused-ignore]
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """For `grpc.intercept_channel`: each call brings a token for `audience` (JWT-SVID section 5.3).

    The source is asked at each call, and has the token at hand while it is fresh. What it raises ends the call. Tokens
    are secrets: the channel has to be one over TLS, or to this machine.
    """

    def __init__(self, source: TokenSource, audience: str) -> None:
        self._source = source
        self._audience = audience

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401 - grpc's
        """As grpc has it."""
        return continuation(self._with_token(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401 - grpc's
        """As grpc has it."""
        return continuation(self._with_token(client_call_details), request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:  # noqa: ANN401 - grpc's
        """As grpc has it."""
        return continuation(self._with_token(client_call_details), request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:  # noqa: ANN401 - grpc's
        """As grpc has it."""
        return continuation(self._with_token(client_call_details), request_iterator)

    def _with_token(self, details: Any) -> grpc.ClientCallDetails:  # noqa: ANN401 - grpc's
        token = self._source.fetch(self._audience).token
        kept = [(key, value) for key, value in details.metadata or () if key.lower() != AUTHORIZATION]
        return _Details(
            method=details.method,
            timeout=details.timeout,
            metadata=(*kept, (AUTHORIZATION, f"{SCHEME} {token}")),
            credentials=details.credentials,
            wait_for_ready=getattr(details, "wait_for_ready", None),
            compression=getattr(details, "compression", None),
        )
