"""The gRPC server: one set of services on the admin socket and on TLS."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from assay.errors import FailedPreconditionError
from assay.http2.limits import Limits
from assay.rpc.method import Method, Service
from assay.rpc.server import Options, Server
from assay.telemetry.rpc import Observer
from assay.transport.proxy import TrustedProxies
from assay.transport.room import Room
from assay.transport.tls import TlsIdentity
from assay_server.api.interceptor import AuthorizationInterceptor
from assay_server.api.reflection import reflection_of
from assay_server.authorization.authorizer import Authorizer
from assay_server.authorization.table import RPCS

log = structlog.get_logger(__name__)

# Seconds, SPIRE's: agents come back by name every few minutes, and meet the roots of today.
CONNECTION_AGE = 180.0
# On one connection; a client's next calls wait with the client.
CALLS_AT_ONCE = 100
SOCKET_MODE = 0o770
SOCKET_FOLDER_MODE = 0o750


class Endpoints:
    """Serves on the admin socket and on TLS from `start` to `close`; each observer stands round those before it.

    `unseen` takes on the admin socket also processes of another PID namespace, such as those of another container.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        services: Sequence[Service],
        *,
        max_message_bytes: int,
        room: Room,
        observers: Sequence[Observer] = (),
        unseen: bool = True,
    ) -> None:
        self._interceptor = AuthorizationInterceptor(authorizer)
        self._observers = observers
        self._unseen = unseen
        options = Options(max_message_bytes, CONNECTION_AGE, Limits(streams=CALLS_AT_ONCE))
        self._server = Server(self._guarded, options, room=room)
        self._server.add_generic_rpc_handlers((*services, reflection_of(services)))

    async def start(
        self, socket_path: Path, host: str, port: int, tls: TlsIdentity, proxies: TrustedProxies | None = None
    ) -> int:
        """Answer callers from now on; the TCP port, which also proxies may pass callers on to.

        Raises:
            FailedPreconditionError: the socket or the port is taken.
        """
        bound = await self._listen_tls(host, port, tls, proxies)
        log.info("Starting Server APIs", address=f"{host}:{bound}", network="tcp")
        await self._server.listen_unix(
            socket_path, mode=SOCKET_MODE, folder_mode=SOCKET_FOLDER_MODE, always=True, unseen=self._unseen
        )
        log.info("Starting Server APIs", address=str(socket_path), network="unix")
        return bound

    def _guarded(self, path: str, method: Method | None) -> Method:
        guarded = self._interceptor(path, method)
        # Names that callers make up are nobody's to count.
        for observe in self._observers if path in RPCS else ():
            guarded = observe(guarded)
        return guarded

    async def _listen_tls(self, host: str, port: int, tls: TlsIdentity, proxies: TrustedProxies | None) -> int:
        if proxies is not None:
            log.info("PROXY protocol enabled on TCP listener", trusted_cidrs=[str(one) for one in proxies.networks])
        try:
            return await self._server.listen_tls(host, port, tls, proxies)
        except OSError as error:
            raise FailedPreconditionError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint="stop what listens there, or set bind_address and bind_port",
            ) from None

    async def close(self, grace: float) -> None:
        """Take no more callers and let the present ones end, for at most `grace` seconds."""
        log.info("Stopping Server APIs")
        self._interceptor.end_streams()
        await self._server.close(grace)
        log.info("Server APIs have stopped")
