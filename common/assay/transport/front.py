"""Accepts callers, finds out who they are, and passes their bytes on to a gRPC server that can ask."""

import asyncio
from pathlib import Path
from typing import Protocol

import grpc.aio

from assay.transport.entrance import Abort, Entrance, Leave
from assay.transport.inner import InnerPool, PrivateFolder
from assay.transport.limits import ORDINARY, Limits
from assay.transport.peer import Peer
from assay.transport.pump import Pump, Side, close_all
from assay.transport.registry import Registry
from assay.transport.room import Room
from assay.transport.tls import Welcome


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
        self._folder = PrivateFolder(folder)
        self._pool = InnerPool(self._folder.socket)
        self._registry = Registry()
        self._pumps: set[Pump] = set()
        self._loop = asyncio.get_running_loop()
        self._entrance = Entrance(Side, self._join, limits, room if room is not None else Room())

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
        await self._entrance.listen_unix(path, mode, folder_mode, always=always)

    async def listen_tls(self, host: str, port: int, identity: Welcome) -> int:
        """Accept TLS, of clients with an X.509-SVID and of those without; the port it got."""
        return await self._entrance.listen_tls(host, port, identity)

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
        await self._entrance.close()
        # Spares first: a connection that never said a word would keep the server for the whole grace.
        await self._pool.close()
        # The server waits for callers to take what was sent to them, which some never do.
        deadline = self._loop.call_later(grace + self._limits.linger, self._abort)
        await self._server.stop(grace)
        deadline.cancel()
        await close_all(self._pumps)
        self._entrance.remove()
        self._folder.remove()

    def _abort(self) -> None:
        for pump in list(self._pumps):
            pump.abort()

    async def _join(self, outer: Side, peer: Peer, leave: Leave) -> Abort:
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
        return pump.abort
