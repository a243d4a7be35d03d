"""The interceptor for servers of grpc.aio."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator
from contextlib import aclosing, contextmanager
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import grpc
import grpc.aio

from assay.caller import known
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
Admit = Callable[[Context], None]
"""Has the handler know who calls, or raises."""
Ended = Callable[[Context, BaseException | None], None]
"""Told how a call ended that was admitted."""


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
        def admit(context: Context) -> None:
            # The call has a task of its own, so this is no other call's caller.
            CURRENT.set(known(token, self._peer(context)))

        if handler is None:
            return guarded_unknown(method, admit)
        return guarded(method, handler, admit)

    def _peer(self, context: Context) -> SpiffeId | None:
        peer = tls_peer(self._front, context)
        return peer.spiffe_id if peer is not None else None


def tls_peer(front: Front | None, context: Context) -> TlsPeer | None:
    """Who is at the other end, on a port of `serve_tls`; None on any other."""
    if front is None:
        return None
    try:
        peer = front.peer(context)
    except UnauthenticatedError:
        return None
    return peer if isinstance(peer, TlsPeer) else None


def guarded(method: str, handler: Handler, admit: Admit, ended: Ended | None = None) -> Handler:
    """The handler, for whom `admit` knows."""
    if handler.response_streaming:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        wrapped: Any = _streaming(method, behaviour, admit, ended or _nobody)
        make: Any = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
    else:
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
        wrapped = _answering(method, behaviour, admit, ended or _nobody)
        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
    if not (iscoroutinefunction(behaviour) or isasyncgenfunction(behaviour)):
        raise InvalidArgumentError(f"handler of {method} is not asynchronous", hint="write it as `async def`")
    return make(wrapped, handler.request_deserializer, handler.response_serializer)


def _nobody(_context: Context, _error: BaseException | None) -> None:
    pass


def guarded_unknown(method: str, admit: Admit) -> Handler:
    """For a method that does not exist: only who is known is told so."""

    async def call(_requests: Any, context: Context) -> None:  # noqa: ANN401 - grpc's
        if await _admitted(method, admit, context):
            await _abort(context, UNKNOWN_METHOD)

    return _stream_stream(call)


def refusing(refused: Refusal) -> Handler:
    """Reads nothing, and ends every call like that."""

    async def call(_requests: Any, context: Context) -> None:  # noqa: ANN401 - grpc's
        await _abort(context, refused)

    return _stream_stream(call)


def _answering(method: str, behaviour: Any, admit: Admit, ended: Ended) -> Any:  # noqa: ANN401 - grpc's
    async def call(request: Any, context: Context) -> Any:  # noqa: ANN401 - grpc's
        if not await _admitted(method, admit, context):
            return None
        with _ending(context, ended):
            return await behaviour(request, context)

    return call


def _streaming(method: str, behaviour: Any, admit: Admit, ended: Ended) -> Any:  # noqa: ANN401 - grpc's
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - grpc's
        if not await _admitted(method, admit, context):
            return
        with _ending(context, ended):
            answers = behaviour(request, context)
            if not hasattr(answers, "__aiter__"):
                # One that writes by its context.
                await answers
                return
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    return call


@contextmanager
def _ending(context: Context, ended: Ended) -> Generator[None]:
    try:
        yield
    except BaseException as error:
        ended(context, error)
        raise
    ended(context, None)


def _stream_stream(call: Any) -> Handler:  # noqa: ANN401 - grpc's types know handlers without asyncio alone
    make: Any = grpc.stream_stream_rpc_method_handler
    return make(call)


async def _admitted(method: str, admit: Admit, context: Context) -> bool:
    try:
        admit(context)
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
        await _abort(context, refusal(error, method))
        return False
    return True


async def _abort(context: Context, refused: Refusal) -> None:
    await context.abort(refused.code, refused.details, refused.trailers)
