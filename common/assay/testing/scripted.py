"""A server whose answers a test scripts, on a real socket: for tests of what an agent makes of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import grpc

from assay.errors import AssayError
from assay.transport.dial import dial_unix
from assay.wire.status import CODES, DETAILS_KEY, details_of
from assay_proto.spire.api.server.agent.v1 import agent_pb2_grpc
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2_grpc
from assay_proto.spire.api.server.entry.v1 import entry_pb2_grpc
from assay_proto.spire.api.server.svid.v1 import svid_pb2_grpc
from assay_proto.sync.v1 import sync_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
# A coroutine function or an async generator function, as grpc.aio takes them.
Handler: TypeAlias = Callable[[Any, Context], Any]

_SERVICES: tuple[tuple[type, Callable[[Any, Any], None]], ...] = (
    (agent_pb2_grpc.AgentServicer, agent_pb2_grpc.add_AgentServicer_to_server),
    (bundle_pb2_grpc.BundleServicer, bundle_pb2_grpc.add_BundleServicer_to_server),
    (entry_pb2_grpc.EntryServicer, entry_pb2_grpc.add_EntryServicer_to_server),
    (svid_pb2_grpc.SVIDServicer, svid_pb2_grpc.add_SVIDServicer_to_server),
    (sync_pb2_grpc.SyncServicer, sync_pb2_grpc.add_SyncServicer_to_server),
)


class ScriptedServer:
    """Says what `on` was told, method by method, and "unimplemented" to the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handlers: dict[str, Handler] = {}
        self._server = grpc.aio.server()

    def on(self, method: str, handler: Handler) -> None:
        """Answer that method, such as `Watch`, by this handler; may replace one while the server runs."""
        self._handlers[method] = handler

    async def start(self) -> None:
        """Listen. Methods that are to be answered have their handler by now."""
        for servicer, add in _SERVICES:
            script = {name: self._scripted(name) for name in vars(servicer) if name in self._handlers}
            add(type("Scripted", (servicer,), script)(), self._server)
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()

    async def stop(self) -> None:
        """End at once."""
        await self._server.stop(None)

    def _scripted(self, method: str) -> Callable[..., Any]:
        if method in {"Watch", "AttestAgent", "SyncAuthorizedEntries"}:

            async def stream(_self: object, request: object, context: Context) -> Any:  # noqa: ANN401 - any message
                async for response in self._handlers[method](request, context):
                    yield response

            return stream

        async def answer(_self: object, request: object, context: Context) -> Any:  # noqa: ANN401 - any message
            return await self._handlers[method](request, context)

        return answer


class UnixDialer:
    """Stands where a SpiffeDialer would, for a server that has no TLS; `last_error` is what the test says."""

    def __init__(self, path: Path, last_error: AssayError | None = None) -> None:
        self.last_error = last_error
        self.path = path

    async def __aenter__(self) -> grpc.aio.Channel:
        """Open the channel."""
        self._channel = dial_unix(self.path)
        return self._channel

    async def __aexit__(self, *exception: object) -> None:
        """Close it."""
        await self._channel.close()


async def refuse(context: Context, error: AssayError) -> NoReturn:
    """End a call as a server does that refuses it."""
    details = details_of(error)
    trailers = ((DETAILS_KEY, details),) if details else ()
    await context.abort(CODES[error.kind], error.message, trailers)
