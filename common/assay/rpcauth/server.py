"""The interceptor for servers of grpc.aio."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import grpc
import grpc.aio

from assay.caller import Caller, known
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.rpcauth.current import CURRENT
from assay.rpcauth.refusal import UNKNOWN_METHOD, Refusal, refusal
from assay.rpcauth.rules import Rules
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid
from assay.transport.front import Front
from assay.transport.peer import TlsPeer
from assay.verify import JwtVerifier

# Servicer contexts, handlers and what they take are as the user's generated code has them.
Handler = Any
Context = Any
Identify = Callable[[Context], Caller]


class ServerInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Lets pass calls with a good JWT-SVID in their metadata, `authorization: Bearer …`, or an X.509 peer's.

    X.509 peers are those of `serve_tls`, which has judged them; on any other port there are none. A call that brings
    a token stands or falls with it, if there is a verifier.

    Whoever is not known gets UNAUTHENTICATED, whoever is not wanted PERMISSION_DENIED, with the reason in the trailer
    `assay-reason`; all methods are protected, also those that do not exist, unless they are `public`. Handlers have to
    be coroutines or asynchronous generators.

    Args:
        jwt: judges tokens; None if there are none.
        public: methods that everyone may call, such as `/grpc.health.v1.Health/Check`.

    Raises:
        InvalidArgumentError: a public method is not written like that.
    """

    def __init__(self, *, jwt: JwtVerifier | None = None, public: Collection[str] = ()) -> None:
        self._rules = Rules(jwt, public)
        self._front: Front | None = None

    def use(self, front: Front) -> None:
        """Know peers by that front; `serve_tls` does this."""
        self._front = front

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """As grpc has it."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        if self._rules.public(method):
            return handler
        try:
            # Before a byte of the request is read.
            token = self._rules.token(handler_call_details.invocation_metadata)
            if token is None and self._front is None:
                known(None, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
            return refusing(refusal(error, str(method)))
        return self._guarded(str(method), handler, token)

    def _guarded(self, method: str, handler: Handler, token: JwtSvid | None) -> Handler:
        def identify(context: Context) -> Caller:
            return known(token, self._peer(context))

        if handler is None:
            return guarded_unknown(method, identify)
        return guarded(method, handler, identify)

    def _peer(self, context: Context) -> SpiffeId | None:
        if self._front is None:
            return None
        try:
            peer = self._front.peer(context)
        except UnauthenticatedError:
            return None
        return peer.spiffe_id if isinstance(peer, TlsPeer) else None


def guarded(method: str, handler: Handler, identify: Identify) -> Handler:
    """The handler, for whom `identify` knows."""
    if handler.response_streaming:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        wrapped: Any = _streaming(method, behaviour, identify)
        make: Any = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
    else:
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
        wrapped = _answering(method, behaviour, identify)
        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
    if not (iscoroutinefunction(behaviour) or isasyncgenfunction(behaviour)):
        raise InvalidArgumentError(f"handler of {method} is not asynchronous", hint="write it as `async def`")
    return make(wrapped, handler.request_deserializer, handler.response_serializer)


def guarded_unknown(method: str, identify: Identify) -> Handler:
    """For a method that does not exist: only who is known is told so."""

    async def call(_requests: Any, context: Context) -> None:  # noqa: ANN401 - grpc's
        if await _admitted(method, identify, context):
            await _abort(context, UNKNOWN_METHOD)

    return _stream_stream(call)


def refusing(refused: Refusal) -> Handler:
    """Reads nothing, and ends every call like that."""

    async def call(_requests: Any, context: Context) -> None:  # noqa: ANN401 - grpc's
        await _abort(context, refused)

    return _stream_stream(call)


def _answering(method: str, behaviour: Any, identify: Identify) -> Any:  # noqa: ANN401 - grpc's
    async def call(request: Any, context: Context) -> Any:  # noqa: ANN401 - grpc's
        if await _admitted(method, identify, context):
            return await behaviour(request, context)
        return None

    return call


def _streaming(method: str, behaviour: Any, identify: Identify) -> Any:  # noqa: ANN401 - grpc's
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - grpc's
        if not await _admitted(method, identify, context):
            return
        answers = behaviour(request, context)
        if not hasattr(answers, "__aiter__"):
            # One that writes by its context.
            await answers
            return
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    return call


def _stream_stream(call: Any) -> Handler:  # noqa: ANN401 - grpc's types know handlers without asyncio alone
    make: Any = grpc.stream_stream_rpc_method_handler
    return make(call)


async def _admitted(method: str, identify: Identify, context: Context) -> bool:
    try:
        # The call has a task of its own, so this is no other call's caller.
        CURRENT.set(identify(context))
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
        await _abort(context, refusal(error, method))
        return False
    return True


async def _abort(context: Context, refused: Refusal) -> None:
    await context.abort(refused.code, refused.details, refused.trailers)
