"""Counts and times every RPC, as SPIRE's metrics do."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from assay.rpc.method import Method
from assay.telemetry.metrics import Metrics, measured
from assay.telemetry.names import rpc_key


class RpcMetrics:
    """Puts a call counter round methods."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, method: Method) -> Method:
        """The same method, counted."""
        metrics, key, behavior = self._metrics, rpc_key(method.path), method.behavior

        async def unary(request: object, context: object) -> object:
            with measured(metrics, key):
                return await behavior(request, context)

        async def stream(request: object, context: object) -> AsyncIterator[object]:
            with measured(metrics, key):
                async with aclosing(behavior(request, context)) as responses:
                    async for response in responses:
                        yield response

        return replace(method, behavior=stream if method.response_streaming else unary)
