"""The interceptor of `assay.rpcauth.task` for servers of grpc without asyncio."""

import ssl
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

import grpc

from assay.clock import Clock
from assay.rpcauth.blocking import refusing, within
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


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A handler for whom `rules` admit, and its end reported."""

    rules: TaskRules
    examined: Examined
    behaviour: Any

    def answer(self, request: Any, servicer: Any) -> Any:  # noqa: ANN401 - grpc's
        """Of methods with one response."""
        call = self._admitted(servicer)
        with _ending(call, servicer):
            return _context(call).run(self.behaviour, request, servicer)

    def stream(self, request: Any, servicer: Any) -> Iterator[Any]:  # noqa: ANN401 - grpc's
        """Of methods with any number of them."""
        call = self._admitted(servicer)
        with _ending(call, servicer):
            yield from within(_context(call), self.behaviour, request, servicer)

    def unknown(self, _request: Any, servicer: Any) -> Iterator[Any]:  # noqa: ANN401 - grpc's
        """Of a method that does not exist: only who may call something here is told so."""
        self._admitted(servicer)
        servicer.abort(UNKNOWN_METHOD.code, UNKNOWN_METHOD.details)
        return iter(())

    def _admitted(self, servicer: Any) -> TaskCall:  # noqa: ANN401 - grpc's
        try:
            return self.rules.admit(self.examined, lambda: _certificate(servicer))
        except Exception as error:
            refused = refusal(error, self.examined.method)
            servicer.set_trailing_metadata(refused.trailers)
            servicer.abort(refused.code, refused.details)
            raise


def _guarded(rules: TaskRules, examined: Examined, handler: Handler) -> Handler:
    if handler is None:
        unknown: Any = grpc.stream_stream_rpc_method_handler
        return unknown(_Guarded(rules, examined, None).unknown)
    behaviour, make = _behaviour(handler)
    guarded = _Guarded(rules, examined, behaviour)
    return make(
        guarded.stream if handler.response_streaming else guarded.answer,
        handler.request_deserializer,
        handler.response_serializer,
    )


@contextmanager
def _ending(call: TaskCall, servicer: Any) -> Generator[None]:  # noqa: ANN401 - grpc's
    try:
        yield
    except BaseException as error:
        report_end(call, servicer.code(), error)
        raise
    report_end(call, servicer.code(), None)


def _context(call: TaskCall) -> Context:
    """Threads are used again: each call has a context of its own."""
    context = copy_context()
    context.run(CURRENT.set, call)
    return context


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


def _certificate(servicer: Any) -> bytes | None:  # noqa: ANN401 - grpc's
    found = servicer.auth_context().get("x509_pem_cert") or ()
    pem = next(iter(found), b"")
    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii", "replace")) if pem else None
