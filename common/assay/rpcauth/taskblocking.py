"""The interceptor of `assay.rpcauth.task` for servers of grpc without asyncio."""

import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import Context, copy_context
from typing import Any

import grpc

from assay.clock import Clock
from assay.rpcauth.blocking import refusing
from assay.rpcauth.refusal import UNKNOWN_METHOD, refusal
from assay.rpcauth.taskrules import CURRENT, Examined, TaskRules, current_task, report_end
from assay.tasktoken import TaskTokenVerifier
from assay.tasktoken.call import Reporter, TaskCall

__all__ = ["TaskTokenInterceptor", "current_task"]

# Servicer contexts, handlers and what they take are as the user's generated code has them.
Handler = Any


class TaskTokenInterceptor(grpc.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """As `assay.rpcauth.task.TaskTokenInterceptor`; certificates are those of grpc's own TLS."""

    def __init__(
        self,
        verifier: TaskTokenVerifier,
        actions: Mapping[str, str],
        *,
        url: str = "",
        understands: Collection[str] = (),
        reporter: Reporter | None = None,
        public: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._rules = TaskRules(
            verifier, actions, url=url, understands=understands, reporter=reporter, public=public, clock=clock
        )

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler], handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """As grpc has it."""
        method = str(handler_call_details.method)
        if self._rules.public(method):
            return continuation(handler_call_details)
        try:
            examined = self._rules.examine(handler_call_details)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
            return refusing(refusal(error, method))
        return _guarded(self._rules, examined, continuation(handler_call_details))


def _guarded(rules: TaskRules, examined: Examined, handler: Handler) -> Handler:
    def admitted(servicer: Any) -> tuple[Context, TaskCall] | None:  # noqa: ANN401 - grpc's
        try:
            call = rules.admit(examined, lambda: _certificate(servicer))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
            refused = refusal(error, examined.method)
            servicer.set_trailing_metadata(refused.trailers)
            servicer.abort(refused.code, refused.details)
            return None
        if handler is None:
            servicer.abort(UNKNOWN_METHOD.code, UNKNOWN_METHOD.details)
        # Threads are used again: each call has a context of its own.
        context = copy_context()
        context.run(CURRENT.set, call)
        return context, call

    def answer(request: Any, servicer: Any) -> Any:  # noqa: ANN401 - grpc's
        found = admitted(servicer)
        if found is None:
            return None
        context, call = found
        try:
            answered = context.run(behaviour, request, servicer)
        except BaseException as error:
            report_end(call, servicer.code(), error)
            raise
        report_end(call, servicer.code(), None)
        return answered

    def stream(request: Any, servicer: Any) -> Iterator[Any]:  # noqa: ANN401 - grpc's
        found = admitted(servicer)
        if found is None:
            return
        context, call = found
        try:
            yield from _within(context, behaviour, request, servicer)
        except BaseException as error:
            report_end(call, servicer.code(), error)
            raise
        report_end(call, servicer.code(), None)

    if handler is None:
        unknown: Any = grpc.stream_stream_rpc_method_handler
        return unknown(stream)
    behaviour, make = _behaviour(handler)
    return make(
        stream if handler.response_streaming else answer, handler.request_deserializer, handler.response_serializer
    )


def _behaviour(handler: Handler) -> tuple[Any, Any]:
    match handler.request_streaming, handler.response_streaming:
        case True, True:
            return handler.stream_stream, grpc.stream_stream_rpc_method_handler
        case True, False:
            return handler.stream_unary, grpc.stream_unary_rpc_method_handler
        case False, True:
            return handler.unary_stream, grpc.unary_stream_rpc_method_handler
        case _:
            return handler.unary_unary, grpc.unary_unary_rpc_method_handler


_END = object()


def _within(context: Context, behaviour: Any, request: Any, servicer: Any) -> Iterator[Any]:  # noqa: ANN401 - grpc's
    answers = iter(context.run(behaviour, request, servicer) or ())
    try:
        while (answer := context.run(next, answers, _END)) is not _END:
            yield answer
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            context.run(close)


def _certificate(servicer: Any) -> bytes | None:  # noqa: ANN401 - grpc's
    found = servicer.auth_context().get("x509_pem_cert") or ()
    pem = next(iter(found), b"")
    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii", "replace")) if pem else None
