"""The server's end: streams come from the peer, and are refused when there are too many."""

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from assay.http2 import frame, settings
from assay.http2.connection import Connection
from assay.http2.errors import ErrorCode, Http2Error, StreamFaultError
from assay.http2.fields import check, malformed
from assay.http2.headers import Fields
from assay.http2.limits import Limits
from assay.http2.stream import Receiver, Stream


class Opening(Protocol):
    """What opens a stream, whatever else it is to those who read it."""

    content_length: int | None


R = TypeVar("R", bound=Opening)

_LAST_PING: Final = b"farewell"


class ServerConnection(Connection, Generic[R]):
    """Accepts streams until it is told to end: `accept` gives each new one its receiver, or None to refuse it.

    `read` makes what it opens with of the fields of a block; ValueError says that it is malformed.
    """

    def __init__(
        self,
        limits: Limits,
        wake: Callable[[], None],
        now: Callable[[], float],
        read: Callable[[Fields], R],
        accept: Callable[[Stream, R], Receiver | None],
    ) -> None:
        super().__init__(limits, wake, now)
        self._read = read
        self._accept = accept
        self._requests: tuple[Fields, R] | None = None
        self._preface = True
        self._silent = True
        self._draining = False
        self._last: int | None = None

    def _greet(self) -> None:
        """Say what a server says first (section 3.4): not before the client, so that one write has our ACK as well."""
        self._silent = False
        self.emit(frame.settings(settings.announced(self.limits)))
        self.emit(frame.window_update(0, self.limits.connection_window - settings.DEFAULT_WINDOW))

    def lose_all(self, code: ErrorCode) -> None:
        """The connection is gone: let go of whoever accepts streams, who knows this connection."""
        super().lose_all(code)
        self._accept = _nobody

    @property
    def greeted(self) -> bool:
        """Whether the peer has said what a client says first."""
        return self._settled

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come: it failed, or it was drained."""
        return self.failed is not None or (self._last is not None and not self.streams)

    def drain(self) -> None:
        """Take no more streams, in two steps: those that are on their way to us are still served (section 6.8)."""
        if not self._draining and self.failed is None:
            self._draining = True
            self.emit(frame.goaway(frame.MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self.emit(frame.frame(frame.PING, 0, 0, _LAST_PING))

    def drain_now(self) -> None:
        """The second step, though the peer may not have seen the first."""
        self._draining = True
        if self._last is None and self.failed is None:
            self._last = self.last_id
            self.emit(frame.goaway(self.last_id, ErrorCode.NO_ERROR))

    def _on_pong(self, payload: bytes) -> None:
        if self._draining and payload == _LAST_PING:
            self.drain_now()

    def _on_quiet(self) -> None:
        if self._last is not None and not self._awake:
            self._awake = True
            self._wake()

    def _receive(self, data: bytes) -> None:
        if self._silent:
            self._greet()
        if self._preface:
            self._input += data
            start = bytes(self._input[: len(frame.PREFACE)])
            if not frame.PREFACE.startswith(start):
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "peer does not speak HTTP/2")
            if len(start) < len(frame.PREFACE):
                return
            self._preface = False
            data = bytes(self._input[len(frame.PREFACE) :])
            self._input.clear()
        super()._receive(data)

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        fields = self._decoder.decode(block)
        if stream_id <= self.last_id:
            self._on_trailers(stream_id, fields, ended=ended)
            return
        if stream_id % 2 == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "client opens a stream with an even number")
        if self._last is not None:
            return  # it was told that we would not look at it
        self.last_id = stream_id
        if len(self.streams) >= self.limits.streams:
            raise StreamFaultError(stream_id, ErrorCode.REFUSED_STREAM, "too many streams at once")
        self._open(stream_id, self._request(stream_id, fields), ended=ended)

    def _open(self, stream_id: int, request: R, *, ended: bool) -> None:
        stream = Stream(self, stream_id, self.peer.initial_window, self.limits.stream_window, request.content_length)
        if ended and not stream.complete:
            raise StreamFaultError(stream_id, ErrorCode.PROTOCOL_ERROR, "body is shorter than its content-length")
        stream.remote_open = not ended
        self.streams[stream_id] = stream
        receiver = self._accept(stream, request)
        if receiver is None:
            del self.streams[stream_id]
            raise StreamFaultError(stream_id, ErrorCode.REFUSED_STREAM, "too much at once")
        if stream_id in self.streams:  # unless that was the answer
            stream.receiver = receiver
        if ended:
            receiver.ended()

    def _request(self, stream_id: int, fields: Fields) -> R:
        # Blocks that are known decode to the same object; most clients repeat one.
        if self._requests is not None and self._requests[0] is fields:
            return self._requests[1]
        try:
            request = self._read(fields)
        except ValueError as error:
            raise malformed(stream_id, error) from None
        self._requests = (fields, request)
        return request

    def _on_trailers(self, stream_id: int, fields: Fields, *, ended: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id % 2 == 0 or stream_id not in self._recent:
                raise Http2Error(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
            self._spend()
            return
        if not stream.remote_open:
            raise StreamFaultError(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
        if not ended:
            raise StreamFaultError(stream_id, ErrorCode.PROTOCOL_ERROR, "trailers do not end the stream")
        try:
            check(fields)
        except ValueError as error:
            raise malformed(stream_id, error) from None
        self._remote_end(stream)


def _nobody(_stream: Stream, _request: Opening) -> None:
    """Refuses."""
