"""Channels to servers on Unix sockets, and to servers known by their SPIFFE ID."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc.aio

from assay.clock import Clock
from assay.errors import AssayError, InvalidArgumentError, UnauthenticatedError
from assay.spiffeid import SpiffeId
from assay.transport import unix
from assay.transport.inner import PrivateFolder
from assay.transport.known import Identity, KnownServer, Roots
from assay.transport.limits import ORDINARY, Limits
from assay.transport.listener import BACKLOG, Listener
from assay.transport.peer import UnixPeer
from assay.transport.pump import Pump, Side, close_all

Options = Sequence[tuple[str, Any]]

# grpc shares connections between channels to one address unless told not to, and waits long after a failure.
_OPTIONS: Options = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def dial_unix(path: Path, options: Options = ()) -> grpc.aio.Channel:
    """A channel to the server on a Unix socket.

    Raises:
        InvalidArgumentError: the path is longer than the kernel takes.
    """
    if len(bytes(path)) > unix.MAX_PATH_BYTES:
        raise InvalidArgumentError(f"socket path {path} is longer than {unix.MAX_PATH_BYTES} bytes")
    return grpc.aio.insecure_channel(f"unix:{quote(str(path))}", options=[*_OPTIONS, *options])


class SpiffeDialer:
    """A channel over mTLS to the server at `host:port`, if it is `expected`.

    grpc's own TLS refuses certificates without a DNS name. So the channel leads to a private socket, and each
    connection made there becomes one to a `KnownServer`. What a handshake failed by reaches the caller of an RPC only
    as "unavailable"; `last_error` has it.

    With `insecure` nothing but the name in the certificate is looked at, which anyone can claim: for a bootstrap
    that will be checked otherwise.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        expected: SpiffeId,
        roots: Roots,
        identity: Identity,
        clock: Clock,
        insecure: bool = False,
        options: Options = (),
        limits: Limits = ORDINARY,
    ) -> None:
        self.last_error: AssayError | None = None
        self._known = KnownServer(
            host,
            port,
            expected=expected,
            roots=roots,
            identity=identity,
            clock=clock,
            insecure=insecure,
            limits=limits,
        )
        self._options = options
        self._linger = limits.linger
        self._pumps: set[Pump] = set()

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """What the server presented last (DER, leaf first)."""
        return self._known.peer_chain

    async def __aenter__(self) -> grpc.aio.Channel:
        """Open the channel; it connects when it is first used."""
        self._folder = PrivateFolder()
        bound = unix.listen(self._folder.socket, mode=0o600, folder_mode=0o700, backlog=BACKLOG)
        self._listener = Listener(bound.socket, self._accept)
        self._listener.start()
        authority = ("grpc.default_authority", self._known.authority)
        self._channel = dial_unix(self._folder.hold(), [authority, *self._options])
        return self._channel

    async def __aexit__(self, *_: object) -> None:
        """Close the channel and what it was bridged to."""
        await self._channel.close()
        await self._listener.close()
        await close_all(self._pumps)
        self._folder.remove()

    def _accept(self, connection: socket.socket, _address: object) -> Coroutine[Any, Any, None]:
        peer = UnixPeer.of(connection)
        peer.close()
        # Who gets in here would speak with our identity.
        if peer.pid != os.getpid():
            raise UnauthenticatedError("private socket was dialled by another process")
        return self._bridge(connection)

    async def _bridge(self, connection: socket.socket) -> None:
        try:
            _, outer = await self._known.connect(lambda: _Server(self._on_answer, self._on_hang_up))
        except AssayError as error:
            self.last_error = error
            raise
        try:
            _, local = await asyncio.get_running_loop().connect_accepted_socket(Side, connection)
        except BaseException:
            outer.transport.abort()
            raise
        pump = Pump(outer, local, _ignore, self._pumps.discard, self._linger)
        self._pumps.add(pump)
        pump.start()

    def _on_answer(self) -> None:
        self.last_error = None

    def _on_hang_up(self, error: Exception | None) -> None:
        self.last_error = self._known.hung_up(error)


class _Server(Side):
    """The server's end; its first byte shows that it took us."""

    def __init__(self, on_answer: Callable[[], None], on_hang_up: Callable[[Exception | None], None]) -> None:
        super().__init__()
        self._on_answer = on_answer
        self._on_hang_up = on_hang_up
        self._waiting = False

    def join(self, pump: Pump, other: Side) -> None:
        """Wait for the first byte, unless it is there already."""
        if self._early:
            self._answered()
        else:
            self._waiting = True
        super().join(pump, other)
        if not self._waiting:
            return
        if self.lost:
            self._on_hang_up(self.error)
        forward = self._forward

        def first(data: bytes) -> None:
            self._answered()
            self._forward = forward
            forward(data)

        self._forward = first

    def stop(self) -> None:
        """Close; that the server does not answer is our own doing then."""
        self._waiting = False
        super().stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell if it came before the first byte."""
        if self._waiting:
            self._on_hang_up(exc)
        super().connection_lost(exc)

    def _answered(self) -> None:
        self._waiting = False
        self._on_answer()


def _ignore(_pump: Pump) -> None:
    pass
