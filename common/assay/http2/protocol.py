"""A connection on asyncio's transports: bytes to the core and back, and no faster than the peer reads."""

import asyncio
from collections.abc import Callable

from assay.http2.connection import Connection
from assay.http2.errors import ErrorCode
from assay.transport.arrival import Arrival, Gone, pause, resume

# Bytes that the peer has not read, at which it is not listened to either: answers to its frames would pile up.
DEAF_AT = 256 * 1024
# Bytes of one connection that are looked at in one turn of the loop, which others wait for.
TURN = 16 * 1024


class Http2Protocol(Arrival):
    """Carries one connection, once `begin` has given it one. `over` is called when the socket is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._core: Connection | None = None
        self._over: Callable[[], None] = _nothing
        self.loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._rest = b""

    def begin(self, core: Connection, over: Callable[[], None]) -> None:
        """Carry that connection, from what came already."""
        self._core = core
        self._over = over
        if self.lost:
            over()
            return
        self.data_received(self.early())

    def wake(self) -> None:
        """Send in the next turn of the loop what was made ready until then."""
        self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is ready, and close when nothing more is to come."""
        core = self._core
        if core is None or self.transport.is_closing():
            return
        while data := core.take():
            self.transport.write(data)
        if core.finished:
            self.close()

    def data_received(self, data: bytes) -> None:
        """Have the core look at it, in turns with other connections, and send what that makes ready."""
        if self._core is None:
            self.keep(data)
        elif self._rest:
            self._rest += data
        else:
            self._look(self._core, data)

    def _look(self, core: Connection, data: bytes) -> None:
        core.receive(data[:TURN])
        self._rest = data[TURN:]
        if core.finished:
            self.flush()
        else:
            # Handlers that this began and that have nothing to wait for answer before that: one write for all.
            self.loop.call_soon(self.flush)
        if self._rest:
            self.loop.call_soon(self._look_on, core)
        if self._rest or core.held_back:
            self._listen()

    def _look_on(self, core: Connection) -> None:
        rest, self._rest = self._rest, b""
        if self.transport.is_closing():
            return
        try:
            self._look(core, rest)
            self._listen()
        except BaseException:
            # As loops do when `data_received` raises: what is lost of the stream of bytes would never be missed.
            self.transport.abort()
            raise

    def _listen(self) -> None:
        """Read on, or not while there is enough to do."""
        deaf = self._core is not None and self._core.held_back and self.transport.get_write_buffer_size() > DEAF_AT
        if self._rest or deaf:
            pause(self.transport)
        else:
            resume(self.transport)

    def pause_writing(self) -> None:
        """The peer is slow."""
        if self._core is not None:
            self._core.held_back = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._core is not None:
            self._core.held_back = False
            self.flush()
            self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all streams."""
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()
        # A transport knows its protocol, the core and its owner know it too: they would keep one another, and TLS's
        # buffers, until the next collection of garbage.
        core, over = self._core, self._over
        self._core, self._over = None, _nothing
        self.transport = Gone()
        if core is not None:
            core.lose_all(ErrorCode.CANCEL)
            over()

    def close(self, linger: float = 0.0) -> None:
        """Close once the peer has read what was sent, with `linger` after that many seconds whatever it does."""
        if linger and self._deadline is None and not self.lost:
            self._deadline = self.loop.call_later(linger, self.transport.abort)
        self.transport.close()


def _nothing() -> None:
    pass
