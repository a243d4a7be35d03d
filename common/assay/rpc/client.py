"""gRPC as a client: calls over one connection, which is made anew when a call finds it gone."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeAlias

from assay.http2.client import ClientConnection
from assay.http2.headers import encode
from assay.http2.limits import ORDINARY
from assay.http2.protocol import Http2Protocol
from assay.rpc.metadata import to_send
from assay.rpc.reply import Reply
from assay.rpc.status import EndError, Metadata, StatusCode

Dial: TypeAlias = Callable[[Callable[[], Http2Protocol]], Awaitable[tuple[object, Http2Protocol]]]
"""Connects, and gives the connection the protocol that the function makes: as asyncio's loops do."""

Silent: TypeAlias = Callable[[Exception | None], Exception]
"""What a call fails by whose peer hung up, with what the transport says of it."""

HANDSHAKE: Final = 20.0
"""Seconds that connecting may take, until the peer has said that it speaks HTTP/2."""

_POST: Final = encode(((b":method", b"POST"),))
# After the pseudo-fields, which come first (RFC 9113 section 8.3).
_REST: Final = encode(
    (
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"grpc-accept-encoding", b"identity,gzip"),
    )
)
_MOST_MILLISECONDS: Final = 99_999_999


def _silent(_error: Exception | None) -> Exception:
    return EndError(StatusCode.UNAVAILABLE, "connection was lost")


class Channel:
    """Calls whose connection is lost end as UNAVAILABLE.

    A unary call is repeated, once, if the server says that it has not looked at it, as it may when it closes a
    connection that was old enough. No other call is repeated.

    Args:
        dial: makes a connection.
        max_message: bytes of the largest answer.
        scheme: "https" when `dial` does TLS.
        authority: what the server is called, `host:port`.
        metadata: goes with every call, before its own.
        silent: what to raise when the peer hung up before it said anything, given what ended the connection.

    Raises (from every call):
        EndError: the call ended with another status than OK.
        AssayError: `dial` refuses, or `silent` says so.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        max_message: int,
        scheme: str = "http",
        authority: str = "localhost",
        metadata: Metadata = (),
        silent: Silent = _silent,
    ) -> None:
        self._dial = dial
        self._silent = silent
        self._max_message = max_message
        self._head = _POST + encode(((b":scheme", scheme.encode()), (b":authority", authority.encode())))
        self._metadata = encode(to_send(metadata)) if metadata else b""
        self._turn = asyncio.Lock()
        self._wires: dict[_Wire, None] = {}
        self._closed = False

    async def unary(self, path: str, request: bytes, metadata: Metadata, *, timeout: float | None) -> bytes:  # noqa: ASYNC109 - it is sent to the server, too
        """The answer to a call of `/Service/Method`, within `timeout` seconds."""
        end = _end(timeout)
        reply = await self._begin(path, metadata, end)
        try:
            return await reply.ask(request)
        except EndError:
            if not reply.refused:
                raise
        finally:
            reply.cancel()
        reply = await self._begin(path, metadata, end)
        try:
            return await reply.ask(request)
        finally:
            reply.cancel()

    async def stream(
        self,
        path: str,
        request: bytes,
        metadata: Metadata,
        *,
        timeout: float | None,  # noqa: ASYNC109 - as in `unary`
    ) -> AsyncGenerator[bytes]:
        """The answers, until the server ends them."""
        reply = await self.begin(path, metadata, timeout=timeout)
        try:
            reply.send(request, last=True)
            while (message := await reply.read()) is not None:
                yield message
        finally:
            reply.cancel()

    async def begin(self, path: str, metadata: Metadata = (), *, timeout: float | None = None) -> Reply:  # noqa: ASYNC109 - as in `unary`
        """A call whose requests are to be sent on it. Whoever began it has to `cancel` it at the end."""
        return await self._begin(path, metadata, _end(timeout))

    async def _begin(self, path: str, metadata: Metadata, end: float | None) -> Reply:
        wire = await self._connected(end)
        block = self._head + encode(((b":path", path.encode()),)) + _REST + self._metadata
        if metadata:
            block += encode(to_send(metadata))
        if end is not None:
            # Rounded up: the server's deadline is not before ours.
            left = max(1, math.ceil((end - asyncio.get_running_loop().time()) * 1000))
            block += encode(((b"grpc-timeout", b"%dm" % min(left, _MOST_MILLISECONDS)),))
        return Reply(wire.core, wire.lost, block, self._max_message, end)

    async def close(self) -> None:
        """End all calls; no socket remains when this returns."""
        self._closed = True
        wires = list(self._wires)
        for wire in wires:
            wire.protocol.transport.abort()
        for wire in wires:
            await wire.gone.wait()

    async def _connected(self, end: float | None) -> "_Wire":
        limit = asyncio.get_running_loop().time() + HANDSHAKE
        try:
            async with asyncio.timeout_at(limit if end is None else min(end, limit)), self._turn:
                if self._closed:
                    raise EndError(StatusCode.CANCELLED, "channel is closed")
                for wire in self._wires:
                    if wire.usable():
                        return wire
                return await self._connect()
        except OSError as error:
            # TimeoutError is one, too.
            why = error.strerror or "no connection in time"
            raise EndError(StatusCode.UNAVAILABLE, f"cannot connect: {why}") from error

    async def _connect(self) -> "_Wire":
        _, protocol = await self._dial(Http2Protocol)
        if self._closed:
            protocol.transport.abort()
            raise EndError(StatusCode.CANCELLED, "channel is closed")
        wire = _Wire(protocol)
        self._wires[wire] = None
        try:
            await wire.greet(lambda: self._wires.pop(wire, None))
        except BaseException:
            protocol.transport.abort()
            raise
        if wire.lost():
            raise self._silent(protocol.error)
        return wire


def _end(timeout: float | None) -> float | None:
    return None if timeout is None else asyncio.get_running_loop().time() + timeout


class _Wire:
    """A connection."""

    def __init__(self, protocol: Http2Protocol) -> None:
        self.protocol = protocol
        self.gone = asyncio.Event()
        self._ready = asyncio.Event()
        self.core = ClientConnection(ORDINARY, protocol.wake, protocol.loop.time, self._ready.set)

    def lost(self) -> bool:
        """Whether it is of no more use, whatever becomes of its streams."""
        return self.protocol.lost or self.core.failed is not None

    def usable(self) -> bool:
        """Whether it takes another call now."""
        return self._ready.is_set() and not self.lost() and self.core.usable

    async def greet(self, over: Callable[[], object]) -> None:
        """Return when the peer has told how many streams it takes, or is gone.

        `over` is called when the socket is closed.
        """

        def ended() -> None:
            self.gone.set()
            self._ready.set()
            over()

        self.core.start()
        self.protocol.begin(self.core, ended)
        await self._ready.wait()
