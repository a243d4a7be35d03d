"""gRPC as a client: calls over one connection, which is made anew when a call finds it gone."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeAlias

from assay.http2.client import ClientConnection
from assay.http2.headers import Field, encode
from assay.http2.limits import ORDINARY
from assay.http2.protocol import Http2Protocol
from assay.rpc.metadata import to_send
from assay.rpc.reply import Reply
from assay.rpc.status import EndError, Metadata, StatusCode

Dial: TypeAlias = Callable[[Callable[[], Http2Protocol]], Awaitable[tuple[object, Http2Protocol]]]
"""Connects, and gives the connection the protocol that the function makes: as asyncio's loops do."""

HANDSHAKE: Final = 20.0
"""Seconds that connecting may take, until the peer has said that it speaks HTTP/2."""

_HEAD: Final[tuple[Field, ...]] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"localhost"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity,gzip"),
)
_MOST_MILLISECONDS: Final = 99_999_999


class Channel:
    """Requests are one message each. No call is repeated; one whose connection is lost ends as UNAVAILABLE.

    Args:
        dial: makes a connection.
        max_message: bytes of the largest answer.

    Raises (from every call):
        EndError: the call ended with another status than OK.
    """

    def __init__(self, dial: Dial, *, max_message: int) -> None:
        self._dial = dial
        self._max_message = max_message
        self._turn = asyncio.Lock()
        self._newest: _Wire | None = None
        self._wires: set[_Wire] = set()
        self._closed = False

    async def unary(self, path: str, request: bytes, metadata: Metadata, *, timeout: float | None) -> bytes:  # noqa: ASYNC109 - it is sent to the server, too
        """The answer to a call of `/Service/Method`, within `timeout` seconds."""
        reply = await self._begin(path, request, metadata, timeout)
        try:
            return await reply.only()
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
        reply = await self._begin(path, request, metadata, timeout)
        try:
            while (message := await reply.read()) is not None:
                yield message
        finally:
            reply.cancel()

    async def close(self) -> None:
        """End all calls; no socket remains when this returns."""
        self._closed = True
        wires = list(self._wires)
        for wire in wires:
            wire.protocol.transport.abort()
        for wire in wires:
            await wire.gone.wait()

    async def _begin(self, path: str, request: bytes, metadata: Metadata, timeout: float | None) -> Reply:  # noqa: ASYNC109 - as in `unary`
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        wire = await self._connected(end)
        fields = [*_HEAD, (b":path", path.encode()), *to_send(metadata)]
        # Pseudo-fields come first (RFC 9113 section 8.3).
        fields.sort(key=lambda field: not field[0].startswith(b":"))
        if end is not None:
            left = max(1, int((end - loop.time()) * 1000))
            fields.append((b"grpc-timeout", b"%dm" % min(left, _MOST_MILLISECONDS)))
        return Reply(wire.core, wire.lost, encode(fields), request, self._max_message, end)

    async def _connected(self, end: float | None) -> "_Wire":
        limit = asyncio.get_running_loop().time() + HANDSHAKE
        try:
            async with asyncio.timeout_at(limit if end is None else min(end, limit)), self._turn:
                if self._closed:
                    raise EndError(StatusCode.CANCELLED, "channel is closed")
                if self._newest is None or self._newest.lost() or not self._newest.core.usable:
                    self._newest = await self._connect()
                return self._newest
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
        self._wires.add(wire)
        try:
            await wire.greet(lambda: self._wires.discard(wire))
        except BaseException:
            protocol.transport.abort()
            raise
        return wire


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

    async def greet(self, over: Callable[[], None]) -> None:
        """Return when the peer has told how many streams it takes. `over` is called when the socket is closed."""

        def ended() -> None:
            self.gone.set()
            self._ready.set()
            over()

        self.core.start()
        self.protocol.begin(self.core, ended)
        await self._ready.wait()
        if self.lost():
            raise EndError(StatusCode.UNAVAILABLE, "connection was lost")
