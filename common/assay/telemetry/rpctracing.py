"""A span round every RPC that a daemon answers, which continues its caller's trace."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from assay.rpc.method import Method
from assay.rpc.status import Metadata, StatusCode
from assay.telemetry import tracing
from assay.telemetry.rpc import within
from assay.telemetry.tracing import STATUS, Attributes, Kind, Span, Tracer

ITEMS = "assay.request.items"
# Asked every few seconds by whoever watches the daemon.
_UNTRACED = "/grpc.health.v1.Health/"
# Where requests that are about many things have them.
_MANY = ("params", "entries", "ids", "bundle", "trust_domains", "federation_relationships")
# How a call ends that the server, not its caller, is to be blamed for.
_FAULTS = frozenset({
    StatusCode.UNKNOWN, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNIMPLEMENTED, StatusCode.INTERNAL,
    StatusCode.UNAVAILABLE, StatusCode.DATA_LOSS,
})  # fmt: skip


class RpcTracing:
    """Puts a span round methods.

    `caller` says what came with a call that may be continued, or None where the call is not traced at all; `about`
    says who called, when the call has ended.
    """

    def __init__(
        self, tracer: Tracer, caller: Callable[[Any], Metadata | None], about: Callable[[Any], Attributes]
    ) -> None:
        self._tracer = tracer
        self._caller = caller
        self._about = about

    def __call__(self, method: Method) -> Method:
        """The same method, traced."""
        if method.path.startswith(_UNTRACED):
            return method
        name, known = method.path[1:], tracing.names_of(method.path)

        @contextmanager
        def traced(request: object, context: object) -> Generator[None]:
            caller = self._caller(context)
            if caller is None:
                tracing.use(None)
                yield
                return
            with self._tracer.span(name, known, Kind.SERVER, caller) as span:
                tracing.use(self._tracer)
                _put_items(span, request)
                yield from self._watched(span, context)

        return within(method, traced)

    def _watched(self, span: Span, context: object) -> Generator[None]:
        code = StatusCode.OK
        try:
            yield
        except BaseException as error:
            code = tracing.ending_of(error)
            raise
        finally:
            span.put(STATUS, int(code))
            for key, value in self._about(context).items():
                span.put(key, value)
            if code in _FAULTS:
                span.fail()


def _put_items(span: Span, request: object) -> None:
    fields: Any = getattr(getattr(request, "DESCRIPTOR", None), "fields_by_name", {})
    many = next((name for name in _MANY if name in fields and fields[name].is_repeated), None)
    if many is not None:
        span.put(ITEMS, len(getattr(request, many)))
