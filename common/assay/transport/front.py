"""Accepts callers, finds out who they are, and passes their bytes on to a gRPC server that can ask."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import grpc.aio
from cryptography import x509

from assay.errors import UnauthenticatedError
from assay.spiffeid import SpiffeId
from assay.transport import tcp, unix
from assay.transport.inner import InnerPool, PrivateFolder
from assay.transport.limits import ORDINARY, Limits
from assay.transport.listener import BACKLOG, Listener
from assay.transport.peer import Peer, TlsPeer, UnixPeer
from assay.transport.pump import Pump, Side, close_all
from assay.transport.registry import Registry
from assay.transport.room import Guest, Room
from assay.transport.tls import ALPN, TlsIdentity, presented_chain


class Context(Protocol):
    """The part of a gRPC handler's context that names the connection."""

    def peer(self) -> str:
        """The address as grpc writes it."""
        ...


class Front:
    """Stands before one gRPC server, which it starts and stops.

    The server listens only in a private folder. Three rules keep callers apart: who is not in the registry is
    refused, a name leaves the registry before its socket closes, and nobody else can enter the folder.
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        *,
        folder: Path | None = None,
        limits: Limits = ORDINARY,
        room: Room | None = None,
    ) -> None:
        """Prepare; the private folder is made below `folder`, by default where temporary files belong."""
        self._server = server
        self._limits = limits
        self._room = room if room is not None else Room()
        self._folder = PrivateFolder(folder)
        self._pool = InnerPool(self._folder.socket)
        self._registry = Registry()
        self._listeners: list[Listener] = []
        self._sockets: list[unix.UnixSocket] = []
        self._pumps: set[Pump] = set()
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Bind the inner socket and start the server."""
        self._server.add_insecure_port(f"unix:{self._folder.socket}")
        await self._server.start()
        self._pool.use(self._folder.hold())
        self._pool.refill()

    async def listen_unix(
        self, path: Path, mode: int = 0o770, folder_mode: int = 0o750, *, always: bool = False
    ) -> None:
        """Accept on a Unix socket; its folder is made if missing. `always`: however many connections there are.

        Raises:
            FailedPreconditionError: someone listens there, or what is there is not a socket.
        """
        bound = unix.listen(path, mode=mode, folder_mode=folder_mode, backlog=BACKLOG)
        self._sockets.append(bound)

        def accept(connection: socket.socket, _address: object) -> Coroutine[Any, Any, None]:
            return self._serve_unix(connection, UnixPeer.of(connection), always=always)

        self._listen(Listener(bound.socket, accept))

    async def listen_tls(self, host: str, port: int, identity: TlsIdentity) -> int:
        """Accept TLS, of clients with an X.509-SVID and of those without; the port it got."""
        listening = await tcp.listen(host, port, BACKLOG)

        def accept(connection: socket.socket, address: tuple[Any, ...]) -> Coroutine[Any, Any, None]:
            tcp.watch(connection)
            return self._serve_tls(connection, tcp.address(address), identity)

        self._listen(Listener(listening, accept))
        return int(listening.getsockname()[1])

    def peer(self, context: Context) -> Peer:
        """Who makes this call.

        Raises:
            UnauthenticatedError: the connection did not come through here, or is closed.
        """
        return self._registry.find(context.peer())

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pumps)

    @property
    def buffered(self) -> int:
        """Bytes on their way between callers and server."""
        return sum(pump.buffered for pump in self._pumps)

    async def close(self, grace: float) -> None:
        """Accept no more, let calls end for `grace` seconds, deliver what was answered, remove the socket files."""
        for listener in self._listeners:
            await listener.close()
        # Spares first: a connection that never said a word would keep the server for the whole grace.
        await self._pool.close()
        # The server waits for callers to take what was sent to them, which some never do.
        deadline = self._loop.call_later(grace + self._limits.linger, self._abort)
        await self._server.stop(grace)
        deadline.cancel()
        await close_all(self._pumps)
        for bound in self._sockets:
            bound.remove()
        self._folder.remove()

    def _abort(self) -> None:
        for pump in list(self._pumps):
            pump.abort()

    def _listen(self, listener: Listener) -> None:
        self._listeners.append(listener)
        listener.start()

    async def _serve_unix(self, connection: socket.socket, peer: UnixPeer, *, always: bool) -> None:
        outer = Side()
        try:
            self._room.enter(peer.uid, always=always)
        except BaseException:
            peer.close()
            raise
        leave = partial(self._room.leave, peer.uid)
        try:
            await self._loop.connect_accepted_socket(lambda: outer, connection)
            await self._join(outer, peer, leave)
        except BaseException:
            leave()
            peer.close()
            raise

    async def _serve_tls(self, connection: socket.socket, address: str, identity: TlsIdentity) -> None:
        guest = Guest(_this_task().cancel)
        self._room.welcome(guest)
        try:
            outer, peer = await self._handshake(connection, address, identity)
            if peer.spiffe_id is None:
                await self._join_guest(outer, peer, guest)
            else:
                await self._join_known(outer, peer, peer.spiffe_id)
                self._room.part(guest)
        except BaseException:
            self._room.part(guest)
            raise

    async def _handshake(self, connection: socket.socket, address: str, identity: TlsIdentity) -> tuple[Side, TlsPeer]:
        outer = Side()
        # uvloop returns its own TLS protocol where asyncio returns ours.
        transport, _ = await self._loop.connect_accepted_socket(
            lambda: outer,
            connection,
            ssl=identity.context,
            ssl_handshake_timeout=self._limits.handshake,
            ssl_shutdown_timeout=self._limits.linger,
        )
        try:
            return outer, _tls_peer(transport, address, identity)
        except BaseException:
            transport.abort()
            raise

    async def _join_guest(self, outer: Side, peer: TlsPeer, guest: Guest) -> None:
        def leave() -> None:
            end.cancel()
            self._room.part(guest)

        # What a client leaves undone has no deadline in gRPC: a call without its message, a stream without a word.
        end = self._loop.call_later(self._limits.guest, guest.leave)
        try:
            pump = await self._join(outer, peer, leave)
        except BaseException:
            leave()
            raise
        guest.evict = pump.abort

    async def _join_known(self, outer: Side, peer: TlsPeer, who: SpiffeId) -> None:
        try:
            self._room.enter(who)
        except BaseException:
            outer.transport.abort()
            raise
        leave = partial(self._room.leave, who)
        try:
            await self._join(outer, peer, leave)
        except BaseException:
            leave()
            raise

    async def _join(self, outer: Side, peer: Peer, leave: Callable[[], None]) -> Pump:
        try:
            inner = await self._pool.take()
        except BaseException:
            outer.transport.abort()
            raise

        def on_close(_pump: Pump) -> None:
            self._registry.remove(inner.name)

        def on_lost(pump: Pump) -> None:
            leave()
            self._pumps.discard(pump)

        self._registry.add(inner.name, peer)
        pump = Pump(outer, inner, on_close, on_lost, self._limits.linger)
        self._pumps.add(pump)
        pump.start()
        return pump


def _tls_peer(transport: asyncio.Transport, address: str, identity: TlsIdentity) -> TlsPeer:
    connection = transport.get_extra_info("ssl_object")
    if connection.selected_alpn_protocol() != ALPN:
        raise UnauthenticatedError("client did not offer HTTP/2")
    chain = presented_chain(connection)
    if not chain:
        return TlsPeer(address)
    spiffe_id = identity.verify(chain)
    return TlsPeer(address, tuple(x509.load_der_x509_certificate(one) for one in chain), spiffe_id)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("connections are served in tasks")
    return task
