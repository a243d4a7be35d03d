"""A grpc.aio channel over mTLS by SPIFFE ID."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import grpc.aio

from assay.authorize import Authorizer
from assay.clock import Clock
from assay.errors import UnauthenticatedError, UnavailableError
from assay.tls import SpiffeContext, X509Identity, client_context
from assay.transport import tcp, unix
from assay.transport.inner import PrivateFolder
from assay.transport.limits import ORDINARY, Limits
from assay.transport.listener import BACKLOG, Listener
from assay.transport.peer import UnixPeer
from assay.transport.pump import Pump, Side, close_all
from assay.transport.tls import ALPN

log = logging.getLogger("assay.rpcauth")


@asynccontextmanager
async def dial(
    host: str,
    port: int,
    source: X509Identity,
    authorize: Authorizer,
    *,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    options: Sequence[tuple[str, Any]] = (),
    clock: Clock | None = None,
) -> AsyncGenerator[grpc.aio.Channel]:
    """A channel to the server at `host:port`, if `authorize` admits it; its host name proves nothing.

    Each connection uses the SVID and the bundles that `source` has when it begins. The channel connects when it is
    first used, and again when a connection is lost; calls fail with UNAVAILABLE while there is none, and the logs
    `assay.rpcauth` and `assay.tls` say why.

    Args:
        host: a name or an address.
        port: of that host.
        source: such as an open `assay.workloadapi.X509Source`.
        authorize: which servers will do.
        interceptors: the channel's, such as those of `client_interceptors`.
        options: the channel's.
        clock: what time it is; the machine's if None.
    """
    context = client_context(source, authorize, clock=clock)
    context.set_alpn_protocols([ALPN])
    bridge = _Bridge(host, port, context, ORDINARY)
    try:
        target = bridge.start()
        made = [
            ("grpc.default_authority", f"{host}:{port}"),
            # grpc shares connections between channels to one address unless told not to; it waits long after a failure.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            *options,
        ]
        async with grpc.aio.insecure_channel(target, options=made, interceptors=list(interceptors)) as channel:
            yield channel
    finally:
        await bridge.close()


class _Bridge:
    """From a private socket, which grpc dials, to the server: grpc's own TLS knows servers by host names alone."""

    def __init__(self, host: str, port: int, context: SpiffeContext, limits: Limits) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._limits = limits
        self._folder = PrivateFolder()
        self._listener: Listener | None = None
        self._pumps: set[Pump] = set()

    def start(self) -> str:
        """Listen; where grpc shall dial."""
        bound = unix.listen(self._folder.socket, mode=0o600, folder_mode=0o700, backlog=BACKLOG)
        self._listener = Listener(bound.socket, self._accept)
        self._listener.start()
        return f"unix:{quote(str(self._folder.hold()))}"

    async def close(self) -> None:
        """End what is open."""
        if self._listener is not None:
            await self._listener.close()
        await close_all(self._pumps)
        self._folder.remove()

    def _accept(self, connection: socket.socket, _address: object) -> Coroutine[Any, Any, None]:
        peer = UnixPeer.of(connection)
        peer.close()
        # Who gets in here would speak with our identity.
        if peer.pid != os.getpid():
            raise UnauthenticatedError("private socket was dialled by another process")
        return self._join(connection)

    async def _join(self, connection: socket.socket) -> None:
        outer = await self._dialled()
        try:
            _, inner = await asyncio.get_running_loop().connect_accepted_socket(Side, connection)
        except BaseException:
            outer.transport.abort()
            raise
        pump = Pump(outer, inner, _ignore, self._pumps.discard, self._limits.linger)
        self._pumps.add(pump)
        pump.start()

    async def _dialled(self) -> Side:
        try:
            async with asyncio.timeout(self._limits.connect + self._limits.handshake):
                transport, side = await asyncio.get_running_loop().create_connection(
                    Side,
                    self._host,
                    self._port,
                    ssl=self._context,
                    server_hostname=self._host,
                    ssl_handshake_timeout=self._limits.handshake,
                    ssl_shutdown_timeout=self._limits.linger,
                )
        except (OSError, TimeoutError) as error:
            why = f"could not connect to {self._host}:{self._port}: {str(error) or 'timed out'}"
            log.warning("%s", why)
            raise UnavailableError(why) from error
        tcp.watch(transport.get_extra_info("socket"))
        return side


def _ignore(_pump: Pump) -> None:
    pass
