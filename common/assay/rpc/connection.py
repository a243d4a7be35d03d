"""A connection of the server: its peer, and the calls that are under way on it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from assay.http2.server import ServerConnection
from assay.rpc.call import Call
from assay.rpc.deadline import Deadlines
from assay.rpc.head import HTTP_OK, Opening, Openings
from assay.rpc.status import StatusCode
from assay.rpc.unspoken import Unspoken
from assay.transport.peer import TlsPeer, UnixPeer, caller_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from assay.http2.limits import Limits
    from assay.http2.protocol import Http2Protocol
    from assay.http2.stream import Receiver, Stream
    from assay.rpc.crowd import Crowd
    from assay.rpc.method import Method
    from assay.rpc.stock import Stock
    from assay.rpc.turns import Turns
    from assay.transport.limits import Limits as TransportLimits
    from assay.transport.peer import Peer


class RpcConnection:
    """Owns the tasks of its calls: each is in `running` from its start until it has ended, whatever ends it."""

    def __init__(
        self,
        protocol: Http2Protocol,
        peer: Peer,
        find: Callable[[str], Method],
        limits: Limits,
        max_message: int,
        stock: Stock,
        turns: Turns,
        crowd: Crowd | None = None,
    ) -> None:
        self.loop = protocol.loop
        self.peer = peer
        self.max_message = max_message
        self.protocol = protocol
        self.core = ServerConnection(limits, protocol.wake, protocol.loop.time, Openings(), self._accept)
        self.deadlines = Deadlines(protocol.loop)
        self.running: dict[Call, asyncio.Task[None]] = {}
        self._find = find
        self._stock = stock
        self._turns = turns
        self._caller = caller_of(peer)
        # Whose calls are counted.
        self._user = peer.uid if isinstance(peer, UnixPeer) and peer.pid != os.getpid() else None
        self._crowd = crowd
        self._gone = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._over: Callable[[], None] = _nothing

    @property
    def address(self) -> str:
        """Where the peer is, much as grpc writes it."""
        return f"tcp:{self.peer.address}" if isinstance(self.peer, TlsPeer) else "unix:"

    def begin(self, over: Callable[[], None], limits: TransportLimits, age: float | None) -> None:
        """Serve. `over` is called when the socket is closed; after `age` seconds the client is told to come anew."""
        self._over = over
        # A client says at once that it speaks HTTP/2, or is none.
        self._later(limits.handshake, self._check_greeted)
        if age is not None:
            self._later(age, lambda: self.drain(limits.linger))
        self.protocol.begin(self.core, self._lost)

    def drain(self, farewell: float) -> None:
        """Take no more calls; those that come within `farewell` seconds still are."""
        self.core.drain()
        self._later(farewell, self.core.drain_now)

    async def wait_gone(self) -> None:
        """Return when the socket is closed and every handler has ended."""
        await self._gone.wait()
        if self.running:
            await asyncio.wait(self.running.values())

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        self._timers.append(self.loop.call_later(seconds, work))

    def _check_greeted(self) -> None:
        if not self.core.greeted:
            self.protocol.transport.abort()

    def _lost(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self.deadlines.close()
        self._gone.set()
        over, self._over = self._over, _nothing  # it knows this connection, too
        over()

    def end_calls(self) -> None:
        """Refuse what is under way, so that callers go elsewhere."""
        for stream in list(self.core.streams.values()):
            if isinstance(stream.receiver, Call):
                stream.receiver.end(StatusCode.UNAVAILABLE, "server is shutting down")

    def _accept(self, stream: Stream, opening: Opening) -> Receiver | None:
        head = opening.head
        if head.http_status != HTTP_OK:
            return Unspoken(stream, head.http_status)
        # Handlers that were cancelled and have not ended yet cost what they cost before.
        if len(self.running) >= 2 * self.core.limits.streams:
            return None
        if not self._enter():
            return None
        call = Call(self, stream, head, self._find(head.method_name))
        if not self.hold(head.size):
            self.release(head.size)
            self.over()
            return None
        stream.receiver = call
        call.start(opening.timeout)
        return call

    def _enter(self) -> bool:
        return self._crowd is None or self._user is None or self._crowd.enter(self._user)

    # What calls ask of it

    def over(self) -> None:
        """A call has ended, for its caller."""
        if self._crowd is not None and self._user is not None:
            self._crowd.leave(self._user)

    def run(self, call: Call, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a handler, which calls `left` at its end."""
        task = self.running[call] = self.loop.create_task(work)
        return task

    def begin_turn(self) -> asyncio.Future[None] | None:
        """What a call has to wait for before it begins, if anything."""
        return self._turns.begin(self._caller)

    async def whole_turn(self) -> None:
        """Return when other callers had their turns."""
        await self._turns.whole(self._caller)

    def cancel(self, call: Call, task: asyncio.Task[None]) -> None:
        """Cancel a handler. One that had not begun never gets to its end."""
        task.cancel()
        task.add_done_callback(lambda _: self.left(call))

    def left(self, call: Call) -> None:
        """A handler has ended."""
        self.running.pop(call, None)

    def hold(self, size: int) -> bool:
        """Keep so many bytes of a request; False when that is too much."""
        self.core.held += size
        self._stock.kept += size
        return self.core.held <= self.core.limits.held and self._stock.allows(self.core.held)

    def release(self, size: int) -> None:
        """They were taken."""
        self.core.held -= size
        self._stock.kept -= size

    def may_queue(self, size: int) -> bool:
        """Whether an answer of that size may wait for the peer to read."""
        return not self.core.unsent or self.core.unsent + size <= self.core.limits.unsent


def _nothing() -> None:
    pass
