"""A gRPC server that knows its callers: it accepts itself, and every call's context has the peer of its connection."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import UnauthenticatedError
from assay.http2.limits import ORDINARY as HTTP2_ORDINARY
from assay.http2.limits import Limits as Http2Limits
from assay.http2.protocol import Http2Protocol
from assay.rpc.call import Call
from assay.rpc.connection import RpcConnection
from assay.rpc.crowd import Crowd
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.method import Details, GenericHandler, Method, method_of, unserved
from assay.rpc.stock import Stock
from assay.rpc.turns import Turns
from assay.transport.entrance import Abort, Entrance, Leave
from assay.transport.limits import ORDINARY, Limits
from assay.transport.peer import Peer
from assay.transport.proxy import TrustedProxies
from assay.transport.room import Room
from assay.transport.tls import TlsIdentity

Guard = Callable[[str, Method | None], Method]

# Seconds that a client gets to learn that no more calls are taken, before those it sends are dropped.
_FAREWELL = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a server grants.

    `max_message` bounds a request, in bytes. Connections older than `max_age` seconds, more or less a tenth, are told
    to come anew; calls on them go on. `http2` and `transport` bound what one connection may do. `calls_per_user` bounds
    the calls under way of a user on Unix sockets; this process's own do not count, so it never looks ill to itself.
    """

    max_message: int = MAX_MESSAGE_BYTES
    max_age: float | None = None
    http2: Http2Limits = HTTP2_ORDINARY
    transport: Limits = ORDINARY
    calls_per_user: int | None = None


ORDINARY_OPTIONS = Options()


def peer_of(context: object) -> Peer:
    """Who makes the call that `context` belongs to.

    Raises:
        UnauthenticatedError: it is no context of this server's.
    """
    if not isinstance(context, Call):
        raise UnauthenticatedError("caller's connection is not known")
    return context.remote


class Server:
    """Serves what is registered, as generated code does it, from `listen_unix` and `listen_tls` to `close`.

    `guard` is given each method when it is first called, or None where there is none, and says what serves it.

    Its connections own the tasks of their calls (`RpcConnection.running`): a TaskGroup would end them all when one
    fails. `close` waits for every one.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        options: Options = ORDINARY_OPTIONS,
        *,
        room: Room | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._guard = guard if guard is not None else _found
        self._options = options
        self._draw = draw
        self._handlers: list[GenericHandler] = []
        self._methods: dict[str, Method] = {}
        self._connections: set[RpcConnection] = set()
        self._stock = Stock()
        self._crowd = Crowd(options.calls_per_user) if options.calls_per_user is not None else None
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(self._loop)
        self._entrance = Entrance(
            Http2Protocol, self._join, options.transport, room if room is not None else Room(per_connection=2)
        )

    def add_generic_rpc_handlers(self, handlers: Iterable[GenericHandler]) -> None:
        """Serve these."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:  # noqa: ANN401 - grpc's
        """Generated code registers each method once more by name; they are found already."""

    async def listen_unix(
        self,
        path: Path,
        mode: int = 0o770,
        folder_mode: int = 0o750,
        *,
        always: bool = False,
        unseen: bool = False,
    ) -> None:
        """Serve on a Unix socket; its folder is made if missing.

        `always`: however many connections there are. `unseen`: also callers whose process cannot be known.

        Raises:
            FailedPreconditionError: someone listens there, or what is there is not a socket.
        """
        await self._entrance.listen_unix(path, mode, folder_mode, always=always, unseen=unseen)

    async def listen_tls(
        self, host: str, port: int, identity: TlsIdentity, proxies: TrustedProxies | None = None
    ) -> int:
        """Serve on TLS clients with an X.509-SVID and those without, also from proxies; the port it got.

        Raises:
            OSError: the address cannot be had.
        """
        return await self._entrance.listen_tls(host, port, identity, proxies)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def close(self, grace: float) -> None:
        """Accept no more, let calls end for `grace` seconds, end the rest, remove the socket files.

        Callers who do not read get what was sent to them for the linger of the transport's limits, no longer.
        """
        await self._entrance.close()
        if grace > 0:
            await self._drain(grace)
        for connection in list(self._connections):
            connection.end_calls()
            connection.core.drain_now()
            connection.protocol.flush()
            connection.protocol.close(self._options.transport.linger)
        await self._gone()
        self._entrance.remove()

    async def _drain(self, grace: float) -> None:
        for connection in list(self._connections):
            connection.drain(min(_FAREWELL, grace))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._gone()

    async def _gone(self) -> None:
        for connection in list(self._connections):
            await connection.wait_gone()

    async def _join(self, protocol: Http2Protocol, peer: Peer, leave: Leave) -> Abort:
        options = self._options
        connection = RpcConnection(
            protocol, peer, self._method, options.http2, options.max_message, self._stock, self._turns, self._crowd
        )
        self._connections.add(connection)

        def over() -> None:
            self._connections.discard(connection)
            peer.close()
            leave()

        connection.begin(over, options.transport, self._age())
        return protocol.transport.abort

    def _age(self) -> float | None:
        age = self._options.max_age
        return None if age is None else age * (0.9 + 0.2 * self._draw())

    def _method(self, path: str) -> Method:
        method = self._methods.get(path)
        if method is not None:
            return method
        found = self._registered(path)
        method = self._guard(path, found)
        if found is not None:  # callers could make up names without end
            self._methods[path] = method
        return method

    def _registered(self, path: str) -> Method | None:
        for generic in self._handlers:
            handler = generic.service(Details(path))
            if handler is not None:
                return method_of(path, handler)
        return None


def _found(path: str, method: Method | None) -> Method:
    """The guard that admits everybody."""
    return method if method is not None else unserved(path)
