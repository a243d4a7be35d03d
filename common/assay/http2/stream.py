"""One stream: what is left to send on it, and who takes what comes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.flow import Grant

if TYPE_CHECKING:
    from assay.http2.connection import Connection

# Bytes of a frame that is worth as much as the end of a message.
_WORTHY: Final = 1024


class Receiver(Protocol):
    """Takes what comes on a stream. Nothing may be raised."""

    def data_received(self, data: bytes) -> None:
        """Part of the body, without padding; give the room back with `Stream.taken`."""
        ...

    def ended(self) -> None:
        """The peer has sent all it will."""
        ...

    def reset(self, code: ErrorCode) -> None:
        """The stream is gone, by the peer's will or with its connection."""
        ...

    def drained(self) -> None:
        """All that was to be sent has been handed to the transport."""
        ...


class _Nobody:
    """Takes what comes on a stream that is over."""

    def data_received(self, data: bytes) -> None: ...
    def ended(self) -> None: ...
    def reset(self, code: ErrorCode) -> None: ...
    def drained(self) -> None: ...


NOBODY: Final = _Nobody()


class Stream:
    """A stream that is open at one end at least. `receiver` is set by whoever accepts it."""

    __slots__ = (
        "_body_left",
        "_ends",
        "_grant",
        "_queue",
        "_tail",
        "answered",
        "connection",
        "id",
        "local_open",
        "receiver",
        "remote_open",
        "unsent",
        "window",
    )

    receiver: Receiver

    def __init__(self, connection: Connection, stream_id: int, window: int, grant: int, body: int | None) -> None:
        """`window` is what may be sent, `grant` what may come, `body` how much must (its content-length)."""
        self.connection = connection
        self.id = stream_id
        self.window = window
        self.remote_open = True
        self.local_open = True
        self.answered = False
        self.unsent = 0
        self._grant: Grant | int = grant  # an object once something came
        self._queue: deque[memoryview] | None = None
        self._tail: bytes | None = None
        self._ends = False  # with the last frame of the queue
        self._body_left = body

    def receive(self, size: int, body: int) -> ErrorCode | None:
        """Count a DATA frame of that size that carries `body` bytes; what is wrong with it."""
        grant = self._grant
        if isinstance(grant, int):
            grant = self._grant = Grant(grant)
        grant.left -= size
        if grant.left < 0:
            return ErrorCode.FLOW_CONTROL_ERROR
        if self._body_left is not None:
            self._body_left -= body
            if self._body_left < 0:
                return ErrorCode.PROTOCOL_ERROR
        return None

    @property
    def complete(self) -> bool:
        """Whether as much came as was announced, if anything was."""
        return not self._body_left

    def taken(self, count: int) -> None:
        """The handler has taken so many bytes: the peer may send as many again."""
        if not self.remote_open or isinstance(self._grant, int):
            return
        increment = self._grant.take(count)
        if increment:
            self.connection.emit(frame.window_update(self.id, increment))

    def send_headers(self, block: bytes, *, ended: bool = False) -> None:
        """Send the head of the answer, or with `ended` all of it."""
        self.answered = True
        self.connection.send_block(self.id, block, ended=ended)
        if ended:
            self._close()

    def send(self, data: bytes, *, ended: bool = False) -> None:
        """Send at once as far as windows and the peer's reading allow; `drained` tells when the rest is gone."""
        connection = self.connection
        size = len(data)
        if size <= self.window and not self.unsent and connection.may_send(size):
            self.window -= size
            connection.spare()
            connection.emit_data(self.id, data, ended=ended)
            if ended:
                self._close()
            return
        self._ends = ended
        if self._queue is None:
            self._queue = deque()
        self._queue.append(memoryview(data))
        self.unsent += size
        connection.unsent += size
        connection.queue(self)

    def answer(self, head: bytes, body: bytes, tail: bytes) -> None:
        """Send all of an answer, if possible in one piece."""
        connection = self.connection
        size = len(body)
        if size <= self.window and connection.may_send(size):
            self.answered = True
            self.window -= size
            connection.emit_answer(self.id, head, body, tail)
            self._close()
        else:
            self.send_headers(head)
            self.send(body)
            self.finish(tail)

    def finish(self, block: bytes) -> None:
        """Send trailers once all else is sent, and with that end the stream."""
        if self.unsent:
            self._tail = block
        elif self.local_open:
            self.send_headers(block, ended=True)

    def reset(self, code: ErrorCode) -> None:
        """Drop what is unsent and end the stream; nothing happens to one that has ended."""
        if self.remote_open or self.local_open:
            self.connection.reset(self, code)

    def forget(self) -> None:
        """Let go of what is unsent and of the receiver: nothing more leaves on this stream, or comes."""
        self.local_open = self.remote_open = False
        self.connection.unsent -= self.unsent
        self.unsent = 0
        self._queue = self._tail = None
        # Receivers know their stream: the two would keep each other until the next collection of garbage.
        self.receiver = NOBODY

    def emit_some(self) -> None:
        """Send one frame of the queue; there must be room for it."""
        connection, queue = self.connection, self._queue
        if not queue:
            return
        first = queue[0]
        room = min(len(first), self.window, connection.window, connection.peer.max_frame)
        # Windows of a byte would make a message thousands of frames.
        if room == len(first) or room >= _WORTHY:
            connection.spare()
        if room == len(first):
            queue.popleft()
        else:
            queue[0] = first[room:]
        self.window -= room
        self.unsent -= room
        connection.unsent -= room
        connection.emit_data(self.id, first[:room], ended=self._ends and not queue)
        if not queue:
            self._emptied()

    def _emptied(self) -> None:
        receiver = self.receiver
        if self._ends:
            self._close()
        elif self._tail is not None:
            self.send_headers(self._tail, ended=True)
        receiver.drained()

    def _close(self) -> None:
        self.local_open = False
        self.connection.sent_all(self)
