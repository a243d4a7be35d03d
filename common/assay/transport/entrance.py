"""Accepts callers and finds out who they are, as far as there is room for them; what they say is for others."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from cryptography import x509

from assay.errors import UnauthenticatedError
from assay.spiffeid import SpiffeId
from assay.transport import tcp, unix
from assay.transport.arrival import Arrival
from assay.transport.guests import Guest
from assay.transport.limits import Limits
from assay.transport.listener import BACKLOG, Listener, hung_up
from assay.transport.peer import Peer, TlsPeer, UnixPeer, neighbourhood, uid_of, whence_of
from assay.transport.proxy import TrustedProxies
from assay.transport.room import Room
from assay.transport.tls import ALPN, Welcome, presented_chain

A = TypeVar("A", bound=Arrival)

Leave = Callable[[], None]
Abort = Callable[[], None]


class Entrance(Generic[A]):
    """Listens where it is told to.

    `make` makes the protocol of a connection. Once its peer is known and admitted, `join` takes connection and peer
    over: from then on it closes the peer, calls `leave` when the connection is gone, and what it returns aborts it.
    A `join` that fails has aborted the connection.
    """

    def __init__(
        self, make: Callable[[], A], join: Callable[[A, Peer, Leave], Awaitable[Abort]], limits: Limits, room: Room
    ) -> None:
        self._make = make
        self._join = join
        self._limits = limits
        self._room = room
        self._listeners: list[Listener] = []
        self._sockets: list[unix.UnixSocket] = []
        self._loop = asyncio.get_running_loop()

    async def listen_unix(
        self, path: Path, mode: int, folder_mode: int, *, always: bool = False, unseen: bool = False
    ) -> None:
        """Accept on a Unix socket; its folder is made if missing.

        `always`: however many connections there are. `unseen`: also callers whose process cannot be known.

        Raises:
            FailedPreconditionError: someone listens there, or what is there is not a socket.
        """
        bound = unix.listen(path, mode=mode, folder_mode=folder_mode, backlog=BACKLOG)
        self._sockets.append(bound)

        def accept(connection: socket.socket, _address: object) -> Coroutine[Any, Any, None]:
            uid = uid_of(connection)
            self._room.enter(uid, always=always)
            try:
                return self._serve_unix(connection, UnixPeer.of(connection, unseen=unseen))
            except BaseException:
                self._room.leave(uid)
                raise

        self._listen(Listener(bound.socket, accept, whence_of))

    async def listen_tls(self, host: str, port: int, identity: Welcome, proxies: TrustedProxies | None = None) -> int:
        """Accept TLS, of clients with an X.509-SVID and of those without, also from proxies; the port it got."""
        listening = await tcp.listen(host, port, BACKLOG)

        def accept(connection: socket.socket, address: tuple[Any, ...]) -> Coroutine[Any, Any, None]:
            tcp.watch(connection)
            return self._serve_tls(connection, address, identity, proxies)

        self._listen(Listener(listening, accept))
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Accept no more, and drop those who are not in yet."""
        for listener in self._listeners:
            await listener.close()

    def remove(self) -> None:
        """Delete the socket files."""
        for bound in self._sockets:
            bound.remove()

    def _listen(self, listener: Listener) -> None:
        self._listeners.append(listener)
        listener.start()

    async def _serve_unix(self, connection: socket.socket, peer: UnixPeer) -> None:
        leave = partial(self._room.leave, peer.uid)
        try:
            _require_there(connection)
            outer = self._make()
            await self._loop.connect_accepted_socket(lambda: outer, connection)
            await self._join(outer, peer, leave)
        except BaseException:
            leave()
            peer.close()
            raise

    async def _serve_tls(
        self, connection: socket.socket, found: tuple[Any, ...], identity: Welcome, proxies: TrustedProxies | None
    ) -> None:
        address = tcp.address(found)
        guest = Guest(_this_task().cancel, neighbourhood(address))
        self._room.welcome(guest)
        try:
            if proxies is not None:
                address = await proxies.caller(connection, found, self._limits.handshake)
                self._room.turned_out(guest, neighbourhood(address))
            outer, peer = await self._handshake(connection, address, identity)
            if peer.spiffe_id is None:
                await self._join_guest(outer, peer, guest)
            else:
                await self._join_known(outer, peer, peer.spiffe_id)
                self._room.part(guest)
        except BaseException:
            self._room.part(guest)
            raise

    async def _handshake(self, connection: socket.socket, address: str, identity: Welcome) -> tuple[A, TlsPeer]:
        outer = self._make()
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

    async def _join_guest(self, outer: A, peer: TlsPeer, guest: Guest) -> None:
        def leave() -> None:
            end.cancel()
            self._room.part(guest)

        # What a client leaves undone has no deadline in gRPC: a call without its message, a stream without a word.
        end = self._loop.call_later(self._limits.guest, guest.leave)
        try:
            guest.evict = await self._join(outer, peer, leave)
        except BaseException:
            leave()
            raise

    async def _join_known(self, outer: A, peer: TlsPeer, who: SpiffeId) -> None:
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


def _require_there(connection: socket.socket) -> None:
    """Raise ConnectionResetError when the caller has gone: in a flood most have, and to set one up takes long."""
    if hung_up(connection):
        raise ConnectionResetError("caller has hung up")


def _tls_peer(transport: asyncio.Transport, address: str, identity: Welcome) -> TlsPeer:
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
