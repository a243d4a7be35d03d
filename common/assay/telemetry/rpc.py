"""What stands round every RPC that a daemon answers: its counters, under SPIRE's names, whatever service it is of."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeAlias

from assay.rpc.method import Method
from assay.telemetry.metrics import Key, Metrics, counted
from assay.telemetry.names import rpc_key

# What is held while a call is answered, given its request, or its requests, and its context.
Scope: TypeAlias = Callable[[object, object], AbstractContextManager[object]]
# Stands round a method and sees what comes and goes.
Observer: TypeAlias = Callable[[Method], Method]

_current: ContextVar[Key] = ContextVar("rpc", default=())


def current_key() -> Key:
    """The key of the counted RPC that is being answered; empty where there is none."""
    return _current.get()


def within(method: Method, scope: Scope) -> Method:
    """The same method, answered within a scope of its own; a stream's lasts as long as the stream."""
    behavior = method.behavior

    async def unary(request: object, context: object) -> object:
        with scope(request, context):
            return await behavior(request, context)

    async def written(request: object, context: object, done: Awaitable[object]) -> None:
        with scope(request, context):
            await done

    async def generated(request: object, context: object, responses: Any) -> AsyncIterator[object]:  # noqa: ANN401 - a generator or an iterator
        with scope(request, context):
            async with aclosing(responses):
                async for response in responses:
                    yield response

    def stream(request: object, context: object) -> object:
        responses = behavior(request, context)
        kind = generated if hasattr(responses, "__aiter__") else written
        return kind(request, context, responses)

    return replace(method, behavior=stream if method.response_streaming else unary)


class RpcMetrics:
    """Puts a call counter round methods; calls whose context `uncounted` says so of are answered all the same."""

    def __init__(self, metrics: Metrics, uncounted: Callable[[object], bool] = lambda _context: False) -> None:
        self._metrics = metrics
        self._uncounted = uncounted

    def __call__(self, method: Method) -> Method:
        """The same method, counted."""
        metrics, key, uncounted = self._metrics, rpc_key(method.path), self._uncounted

        @contextmanager
        def scope(_request: object, context: object) -> Generator[None]:
            if uncounted(context):
                yield
                return
            _current.set(key[1:])
            with counted(metrics, key):
                yield

        return within(method, scope)


class RpcConnections:
    """Counts calls of some services, and those that are open: what SPIRE's agent calls its connections.

    `names` are the first words of the metrics, by the services' names on the wire.
    """

    def __init__(self, metrics: Metrics, names: Mapping[str, str]) -> None:
        self._metrics = metrics
        self._names = names
        self._open = dict.fromkeys(names.values(), 0)

    def __call__(self, method: Method) -> Method:
        """The same method, counted while it is answered; any of another service as it is."""
        name = self._names.get(method.path[1:].rpartition("/")[0])
        return method if name is None else within(method, lambda _request, _context: self._connected(name))

    @contextmanager
    def _connected(self, name: str) -> Generator[None]:
        self._metrics.count((name, "connection"))
        self._change(name, 1)
        try:
            yield
        finally:
            self._change(name, -1)

    def _change(self, name: str, by: int) -> None:
        self._open[name] += by
        self._metrics.gauge((name, "connections"), self._open[name])
