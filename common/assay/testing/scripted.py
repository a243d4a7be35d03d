"""A server whose answers a test scripts, on a real socket: for tests of what an agent makes of them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, TypeAlias

from google.protobuf.descriptor import MethodDescriptor

from assay.errors import AssayError
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.method import Context
from assay.rpc.server import Server
from assay.wire.service import AGENT, BUNDLE, ENTRY, SVID, SYNC, served
from assay.wire.status import CODES, DETAILS_KEY, details_of
from assay.workloadapi.address import Endpoint

__all__ = ["Context", "Handler", "ScriptedServer", "channel_to", "refuse"]

# A coroutine function or an async generator function, as servers take them.
Handler: TypeAlias = Callable[[Any, Context], Any]


class ScriptedServer:
    """Says what `on` was told, method by method, and "unimplemented" to the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handlers: dict[str, Handler] = {}
        self._server = Server()

    def on(self, method: str, handler: Handler) -> None:
        """Answer that method, such as `Watch`, by this handler; may replace one while the server runs."""
        self._handlers[method] = handler

    async def start(self) -> None:
        """Listen. Methods that are to be answered have their handler by now."""
        for service in (AGENT, BUNDLE, ENTRY, SVID, SYNC):
            found = {method.name: self._scripted(method) for method in service.methods if method.name in self._handlers}
            self._server.add_generic_rpc_handlers((served(service, SimpleNamespace(**found)),))
        await self._server.listen_unix(self.path, folder_mode=0o700)

    async def stop(self) -> None:
        """End at once."""
        await self._server.close(0)

    def _scripted(self, method: MethodDescriptor) -> Handler:
        if method.server_streaming:

            async def stream(request: object, context: Context) -> Any:  # noqa: ANN401 - any message
                async for response in self._handlers[method.name](request, context):
                    yield response

            return stream

        async def answer(request: object, context: Context) -> Any:  # noqa: ANN401 - any message
            return await self._handlers[method.name](request, context)

        return answer


def channel_to(path: Path) -> Channel:
    """To the server on that socket."""
    return Channel(Endpoint.of_path(path).connect, max_message=MAX_MESSAGE_BYTES)


async def refuse(context: Context, error: AssayError) -> NoReturn:
    """End a call as a server does that refuses it."""
    details = details_of(error)
    trailers = ((DETAILS_KEY, details),) if details else ()
    await context.abort(CODES[error.kind], error.message, trailers)
