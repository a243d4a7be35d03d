"""The gRPC server behind its front: one set of services on the admin socket and on TLS."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import grpc
import structlog

from assay.errors import FailedPreconditionError
from assay.transport.front import Front
from assay.transport.peer import Peer
from assay.transport.tls import TlsIdentity
from assay_server.api.interceptor import AuthorizationInterceptor, Context
from assay_server.authorization.authorizer import Authorizer

log = structlog.get_logger(__name__)

# SPIRE's: agents come back by name every few minutes, and meet the roots of today.
CONNECTION_AGE_MS = 180_000
# On one connection; a client's next calls wait with the client.
CALLS_AT_ONCE = 100
SOCKET_MODE = 0o770
SOCKET_FOLDER_MODE = 0o750

Register = Callable[[grpc.aio.Server], None]


class Endpoints:
    """Serves on the admin socket and on TLS from `start` to `close`."""

    def __init__(self, authorizer: Authorizer, services: Sequence[Register], *, max_message_bytes: int) -> None:
        self._interceptor = AuthorizationInterceptor(authorizer, self._peer)
        server = grpc.aio.server(
            interceptors=(self._interceptor,),
            options=(
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),  # the receiver's limit is the one that counts
                ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
                ("grpc.max_concurrent_streams", CALLS_AT_ONCE),
                ("grpc.so_reuseport", 0),
            ),
        )
        for register in services:
            register(cast("grpc.aio.Server", _ByName(server)))
        self._front = Front(server)

    def _peer(self, context: Context) -> Peer:
        return self._front.peer(context)

    async def start(self, socket_path: Path, host: str, port: int, tls: TlsIdentity) -> int:
        """Answer callers from now on; the TCP port.

        Raises:
            FailedPreconditionError: the socket or the port is taken.
        """
        await self._front.start()
        bound = await self._listen_tls(host, port, tls)
        log.info("Starting Server APIs", address=f"{host}:{bound}", network="tcp")
        await self._front.listen_unix(socket_path, mode=SOCKET_MODE, folder_mode=SOCKET_FOLDER_MODE, always=True)
        log.info("Starting Server APIs", address=str(socket_path), network="unix")
        return bound

    async def _listen_tls(self, host: str, port: int, tls: TlsIdentity) -> int:
        try:
            return await self._front.listen_tls(host, port, tls)
        except OSError as error:
            raise FailedPreconditionError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint="stop what listens there, or set bind_address and bind_port",
            ) from None

    async def close(self, grace: float) -> None:
        """Take no more callers and let the present ones end, for at most `grace` seconds."""
        log.info("Stopping Server APIs")
        self._interceptor.end_streams()
        await self._front.close(grace)
        log.info("Server APIs have stopped")


class _ByName:
    """What generated code takes for the server: passes handlers on, but does not register their methods one by one.

    For each registered method grpc.aio keeps a task that waits for its next call, and goes through all of them for
    every call: with the methods we have, a fifth of what a bare one costs. Handlers are found by name as well.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Not needed."""
