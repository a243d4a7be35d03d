"""Stands before every handler: finds out who calls, admits by the table, and turns refusals into status once.

Handlers read `current_caller()` and raise assay.errors; streaming ones are async generators.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError

from assay.errors import AssayError
from assay.transport.peer import Peer, TlsPeer
from assay.wire.status import CODES, DETAILS_KEY, details_of
from assay_server.api.interceptor_streams import OpenStreams
from assay_server.api.unserved import unserved
from assay_server.authorization.authorizer import Approach, Authorizer, caller_fields
from assay_server.authorization.caller import Credential, set_current_caller
from assay_server.authorization.table import RPCS

log = structlog.get_logger(__name__)

# gRPC's types name request and response of one RPC; here they are whatever the handler's are.
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Admission and error mapping for all four kinds of RPC."""

    def __init__(self, authorizer: Authorizer, peer_of: Callable[[Context], Peer]) -> None:
        self._authorizer = authorizer
        self._peer_of = peer_of
        self._guarded: dict[str, Handler] = {}
        self._streams = OpenStreams()

    def end_streams(self) -> None:
        """Refuse the streams that only push, before the server stops."""
        self._streams.end()

    async def intercept_service(  # pyright: ignore[reportIncompatibleMethodOverride] - generic per call in the stubs
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler":
        """The handler behind its guard; one that refuses when there is none."""
        method = handler_call_details.method
        if method not in self._guarded:
            handler = await continuation(handler_call_details)
            if handler is None and method not in RPCS:
                return unserved(method)  # not kept: callers could make up names without end
            self._guarded[method] = self._guard(method, handler or unserved(method))
        return self._guarded[method]

    def _guard(self, method: str, handler: Handler) -> Handler:
        make, behavior = _kind(handler)
        if handler.response_streaming:

            async def stream(request: object, context: Context) -> AsyncIterator[object]:
                async with (
                    self._answering(method, context),
                    aclosing(behavior(_parsed(request), context)) as responses,
                ):
                    async for response in responses if handler.request_streaming else self._streams.through(responses):
                        yield response

            return make(stream, _tolerant(handler), handler.response_serializer)

        async def unary(request: object, context: Context) -> object:
            async with self._answering(method, context):
                return await behavior(_parsed(request), context)

        return make(unary, _tolerant(handler), handler.response_serializer)

    @asynccontextmanager
    async def _answering(self, method: str, context: Context) -> AsyncGenerator[None]:
        approach: Approach | None = None
        try:
            approach = approach_of(self._peer_of(context))
            caller = await self._authorizer.admit(method, approach)
            set_current_caller(caller)
            yield
        except AssayError as error:
            await _refuse(method, context, approach, error)
        except grpc.aio.AbortError:
            raise
        except DecodeError as error:
            await context.abort(grpc.StatusCode.INTERNAL, f"grpc: error unmarshalling request: {error}")
        except Exception:
            log.exception("Unexpected error", method=method, **(caller_fields(approach) if approach else {}))
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")


def approach_of(peer: Peer) -> Approach:
    """What the transport knows of the caller, in the domain's words."""
    if not isinstance(peer, TlsPeer):
        return Approach(local=True)
    spiffe_id = peer.spiffe_id
    if spiffe_id is None:
        return Approach(local=False, address=peer.address)
    leaf = peer.chain[0]
    credential = Credential(spiffe_id, str(leaf.serial_number), int(leaf.not_valid_after_utc.timestamp()))
    return Approach(local=False, credential=credential, address=peer.address)


async def _refuse(method: str, context: Context, approach: Approach | None, error: AssayError) -> None:
    code = CODES[error.kind]
    fields = caller_fields(approach) if approach else {}
    log.warning("Request refused", method=method, status=code.name, error=str(error), **fields)
    # What to do next is for operators: callers over TLS learn the standard's words only.
    message = str(error) if approach is not None and approach.local else error.message
    details = details_of(error)
    await context.abort(code, message, ((DETAILS_KEY, details),) if details else ())


def _tolerant(handler: Handler) -> Callable[[bytes], object] | None:
    """The deserializer; one message that it cannot read becomes the error, since gRPC would answer with a traceback."""
    decode = handler.request_deserializer
    if decode is None or handler.request_streaming:
        return decode

    def tolerant(data: bytes) -> object:
        try:
            return decode(data)
        except DecodeError as error:
            return error

    return tolerant


def _parsed(request: object) -> object:
    if isinstance(request, DecodeError):
        raise request
    return request


def _kind(handler: Handler) -> tuple[Callable[..., Handler], Callable[..., Any]]:
    """The maker of handlers of this kind and the behaviour in this one."""
    kinds: dict[tuple[bool, bool], tuple[Callable[..., Handler], Callable[..., Any] | None]] = {
        (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
    }
    make, behavior = kinds[bool(handler.request_streaming), bool(handler.response_streaming)]
    if behavior is None:
        raise TypeError("handler has no behaviour of its kind")
    return make, behavior
