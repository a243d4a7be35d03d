"""An API behind the real interceptor on a real Unix socket, with a caller of the test's choice."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import grpc
import pytest

from assay.rpc.method import Service
from assay.rpc.server import Server
from assay.transport.dial import dial_unix
from assay_server.api.interceptor import AuthorizationInterceptor
from assay_server.authorization.authorizer import Approach, Authorizer
from assay_server.authorization.caller import Caller

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]


class Admitting(Authorizer):
    """Takes everybody for the same caller."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def admit(self, method: str, approach: Approach) -> Caller:  # noqa: ARG002 - everybody, for everything
        return self._caller


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Start a server of that service, the first at FOLDER/api.sock; answers a channel to it."""
    paths = (tmp_path / f"api{number or ''}.sock" for number in count())
    async with AsyncExitStack() as stack:

        async def start(service: Service, caller: Caller) -> grpc.aio.Channel:
            server = Server(AuthorizationInterceptor(Admitting(caller)))
            server.add_generic_rpc_handlers((service,))
            path = next(paths)
            await server.listen_unix(path)
            stack.push_async_callback(server.close, 0)
            return await stack.enter_async_context(dial_unix(path))

        yield start
