"""The client's end: it opens streams until the peer says that it takes no more."""

from collections.abc import Callable
from typing import Final, Protocol

from assay.http2 import frame, settings
from assay.http2.connection import Connection
from assay.http2.errors import ErrorCode, Http2Error, StreamFaultError
from assay.http2.headers import Fields
from assay.http2.limits import Limits
from assay.http2.stream import Receiver, Stream

_LAST_ID: Final = frame.MAX_STREAM_ID - 1
_GOAWAY_BYTES: Final = 8


class Answer(Receiver, Protocol):
    """Takes what comes on a stream that we opened."""

    def fields_received(self, fields: Fields) -> None:
        """A header block: the head of the answer, or its trailers. ValueError says that it is malformed."""
        ...


class ClientConnection(Connection):
    """Streams are opened by us; the peer pushes none. `greeted` is called when it has told its settings."""

    def __init__(
        self, limits: Limits, wake: Callable[[], None], now: Callable[[], float], greeted: Callable[[], None]
    ) -> None:
        super().__init__(limits, wake, now)
        self._greeted = greeted
        self._answers: dict[int, Answer] = {}
        self._refusing = False

    def start(self) -> None:
        """Say what a client says first (section 3.4)."""
        announced = settings.announced(self.limits)
        del announced[settings.MAX_CONCURRENT_STREAMS]
        self.emit(frame.PREFACE + frame.settings({settings.ENABLE_PUSH: 0, **announced}))
        self.emit(frame.window_update(0, self.limits.connection_window - settings.DEFAULT_WINDOW))

    @property
    def usable(self) -> bool:
        """Whether a stream can be opened now."""
        room = len(self.streams) < self.peer.max_streams and self.last_id < _LAST_ID
        return room and self.failed is None and not self._refusing

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come: it failed, or the peer takes no more and all is answered."""
        return self.failed is not None or (self._refusing and not self.streams)

    def open(self, block: bytes, answer: Answer) -> Stream:
        """Begin a request by its head; its body is sent on the stream."""
        self.last_id = self.last_id + 2 if self.last_id else 1
        stream = Stream(self, self.last_id, self.peer.initial_window, self.limits.stream_window, None)
        stream.receiver = answer
        self.streams[stream.id] = stream
        self._answers[stream.id] = answer
        stream.send_headers(block)
        return stream

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        super()._on_settings(flags, stream_id, payload)
        if not flags & frame.ACK:
            self._greeted()

    def _on_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        super()._on_rare(kind, flags, stream_id, payload)
        if kind == frame.GOAWAY:
            self._on_goaway(payload)

    def _on_goaway(self, payload: bytes) -> None:
        """Streams above the one it names were not looked at (section 6.8)."""
        if len(payload) < _GOAWAY_BYTES:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        self._refusing = True
        last = int.from_bytes(payload[:4], "big") & frame.STREAM_BITS
        for stream in [one for one in self.streams.values() if one.id > last]:
            self._lose(stream, ErrorCode.REFUSED_STREAM)

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        fields = self._decoder.decode(block)
        stream, answer = self.streams.get(stream_id), self._answers.get(stream_id)
        if stream is None or answer is None:
            self._unknown(stream_id)
            return
        if not stream.remote_open:
            raise StreamFaultError(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
        try:
            answer.fields_received(fields)
        except ValueError as error:
            raise StreamFaultError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from None
        if ended and stream.remote_open:
            self._remote_end(stream)

    def _drop(self, stream: Stream) -> None:
        self._answers.pop(stream.id, None)
        super()._drop(stream)

    def _on_quiet(self) -> None:
        if self._refusing and not self._awake:
            self._awake = True
            self._wake()
