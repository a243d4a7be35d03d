"""One end of a connection, without I/O: bytes go in by `receive`, bytes come out by `take`.

What both ends have in common is here; `assay.http2.server` adds what a server does with headers.
"""

from collections.abc import Callable
from typing import Final

from assay.http2 import frame, settings
from assay.http2.errors import ErrorCode, Http2Error, StreamFaultError
from assay.http2.flow import Grant, grown
from assay.http2.headers import NO_TABLE, Decoder
from assay.http2.limits import Allowance, Limits
from assay.http2.stream import Stream

# Bytes made ready before they are given to the transport, which then says whether it wants more.
BATCH: Final = 64 * 1024
# Streams that we ended while the peer was still sending: what is on its way on them is no fault.
_RECENT: Final = 256
# Clients answer data with WINDOW_UPDATEs, and with the PINGs they measure by.
_CONTROL_PER_DATA: Final = 4
# Streams whose windows are moved for the price of a frame that carries nothing.
_MOVED_PER_CONTROL: Final = 16
_END: Final = frame.END_HEADERS | frame.END_STREAM


class Connection:
    """Frames in and out, settings, windows and the streams.

    `wake` is called when there is something to `take` and nobody is in `receive`, once until it is taken.
    """

    def __init__(self, limits: Limits, wake: Callable[[], None], now: Callable[[], float]) -> None:
        self.limits = limits
        self.peer = settings.PeerSettings()
        self.streams: dict[int, Stream] = {}
        self.window = settings.DEFAULT_WINDOW
        self.last_id = 0
        self.held = 0
        self.unsent = 0
        self.failed: Http2Error | None = None
        self.held_back = False
        self._wake = wake
        self._decoder = Decoder(limits.header_list)
        self._grant = Grant(limits.connection_window)
        self._control = Allowance(limits.control, limits.control_per_second, now)
        self._resets = Allowance(limits.resets, limits.resets_per_second, now)
        self._input = bytearray()
        self._wanted = frame.HEADER_BYTES
        self._block = bytearray()
        self._block_of: tuple[int, int] | None = None  # stream and flags of the HEADERS that is to be continued
        self._out: list[bytes | memoryview] = []
        self._out_size = 0
        self._awake = False
        self._sent_block = False
        self._settled = False
        self._ready: dict[Stream, None] = {}
        self._recent: dict[int, None] = {}

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come."""
        return self.failed is not None

    # What comes in

    def receive(self, data: bytes) -> None:
        """Take what the peer sent. What it may not send fails the connection: see `failed`."""
        if self.failed is not None:
            return
        self._awake, awake = True, self._awake
        try:
            self._receive(data)
        except Http2Error as error:
            self.fail(error)
        finally:
            self._awake = awake

    def _receive(self, data: bytes) -> None:
        if self._input:
            self._input += data
            if len(self._input) < self._wanted:
                return
            data = bytes(self._input)
            self._input.clear()
        position, end = 0, len(data)
        while end - position >= frame.HEADER_BYTES:
            high, low, kind, flags, stream_id = frame.HEADER.unpack_from(data, position)
            size = high << 8 | low
            if size > frame.MIN_FRAME_SIZE:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "frame is too long")
            start = position + frame.HEADER_BYTES
            if end - start < size:
                self._wanted = frame.HEADER_BYTES + size
                break
            position = start + size
            try:
                self._frame(kind, flags, stream_id & frame.STREAM_BITS, data[start:position])
            except StreamFaultError as error:
                self._fault(error)
        else:
            self._wanted = frame.HEADER_BYTES
        if position < end:
            self._input += data[position:] if position else data

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block_of is not None and kind != frame.CONTINUATION:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "header block is interrupted")
        if not self._settled:
            if kind != frame.SETTINGS or flags & frame.ACK:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "first frame is not SETTINGS")
            self._settled = True
        if kind == frame.DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == frame.HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == frame.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        else:
            self._on_rare(kind, flags, stream_id, payload)

    def _on_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        match kind:
            case frame.CONTINUATION:
                self._on_continuation(flags, stream_id, payload)
            case frame.RST_STREAM:
                self._on_reset(stream_id, payload)
            case frame.SETTINGS:
                self._on_settings(flags, stream_id, payload)
            case frame.PING:
                self._on_ping(flags, stream_id, payload)
            case frame.GOAWAY:
                if stream_id:
                    raise Http2Error(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
            case frame.PRIORITY:
                self._spend()
                if not stream_id:
                    raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PRIORITY on no stream")
                _check_priority(payload, stream_id)
            case frame.PUSH_PROMISE:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE is not for us")
            case _:
                self._spend()

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._grant.left -= size
        if self._grant.left < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
        # Streams bound what is kept; the connection's window only paces.
        increment = self._grant.take(size)
        if increment:
            self.emit(frame.window_update(0, increment))
        stream = self.streams.get(stream_id)
        if stream is None:
            self._unknown(stream_id)
            return
        body = payload if not flags & frame.PADDED else frame.unpadded(payload, flags)
        if not stream.remote_open:
            raise StreamFaultError(stream_id, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream")
        ended = bool(flags & frame.END_STREAM)
        fault = stream.receive(size, len(body))
        if fault is not None:
            raise StreamFaultError(stream_id, fault, "DATA beyond what was granted or announced")
        if size != len(body):
            stream.taken(size - len(body))
        if body:
            stream.receiver.data_received(body)
        elif not ended:
            self._spend()
        if ended and stream.remote_open:
            self._remote_end(stream)

    def _remote_end(self, stream: Stream) -> None:
        if not stream.complete:
            raise StreamFaultError(stream.id, ErrorCode.PROTOCOL_ERROR, "body is shorter than its content-length")
        stream.remote_open = False
        receiver = stream.receiver
        if not stream.local_open:
            self._drop(stream)
        receiver.ended()

    def _unknown(self, stream_id: int) -> None:
        """A frame on a stream that is not open."""
        if stream_id == 0 or self._idle(stream_id):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "frame on a stream that was never opened")
        self._spend()
        if stream_id not in self._recent:
            raise StreamFaultError(stream_id, ErrorCode.STREAM_CLOSED, "frame on a closed stream")

    def _idle(self, stream_id: int) -> bool:
        return stream_id > self.last_id or stream_id % 2 == 0

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "HEADERS on no stream")
        if flags & (frame.PADDED | frame.PRIORITIZED):
            payload = frame.block_of(payload, flags, stream_id)
        if flags & frame.END_HEADERS:
            self._on_block(stream_id, payload, ended=bool(flags & frame.END_STREAM))
        else:
            self._block_of = (stream_id, flags)
            self._block[:] = payload

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block_of is None or self._block_of[0] != stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION continues nothing")
        self._spend()
        self._block += payload
        if len(self._block) > self.limits.header_block:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "header block is too long")
        if flags & frame.END_HEADERS:
            _, first = self._block_of
            self._block_of = None
            self._on_block(stream_id, bytes(self._block), ended=bool(first & frame.END_STREAM))

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        """A whole header block."""
        raise NotImplementedError

    def _on_reset(self, stream_id: int, payload: bytes) -> None:
        code = frame.number_of(payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id == 0 or self._idle(stream_id):
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on a stream that was never opened")
            self._spend()
            return
        if stream.local_open and not stream.answered and not self._resets.take():
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many calls are given up")
        self._lose(stream, _code(code))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frame.ACK:
            if payload:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "acknowledgement of SETTINGS has a payload")
            return
        self._spend()
        before = self.peer.initial_window
        for number, value in frame.settings_of(payload):
            self.peer.apply(number, value)
        self.emit(frame.frame(frame.SETTINGS, frame.ACK, 0))
        if self.peer.initial_window != before:
            self._move_windows(self.peer.initial_window - before)

    def _move_windows(self, difference: int) -> None:
        """The initial window counts for streams that are open, too (section 6.9.2)."""
        self._spend(len(self.streams) / _MOVED_PER_CONTROL)
        for stream in self.streams.values():
            window = grown(stream.window, difference)
            if window is None:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "window is too large")
            stream.window = window
            self.queue(stream)
        self.pump()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != frame.PING_BYTES:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PING has not eight bytes")
        if flags & frame.ACK:
            self._on_pong(payload)
        else:
            self._spend()
            self.emit(frame.frame(frame.PING, frame.ACK, 0, payload))

    def _on_pong(self, payload: bytes) -> None:
        """An answer to a PING of ours."""

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        increment = frame.number_of(payload) & frame.STREAM_BITS
        self._spend()
        if not stream_id:
            window = grown(self.window, increment)
            if not increment or window is None:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise Http2Error(code, "window cannot grow by that much")
            self.window = window
        elif (stream := self.streams.get(stream_id)) is not None:
            window = grown(stream.window, increment)
            if not increment or window is None:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise StreamFaultError(stream_id, code, "window cannot grow by that much")
            stream.window = window
            self.queue(stream)
        elif self._idle(stream_id):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on a stream that was never opened")
        self.pump()

    def _spend(self, count: float = 1) -> None:
        if not self._control.take(count):
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    # What goes out

    def take(self) -> bytes:
        """What is to be sent now; ask again until it is nothing."""
        if self._ready:
            self._awake = True
            self.pump()
        self._awake = False
        data = b"".join(self._out)
        self._out.clear()
        self._out_size = 0
        return data

    def emit(self, data: bytes) -> None:
        """Send a frame in the next `take`."""
        self._out.append(data)
        self._out_size += len(data)
        if not self._awake:
            self._awake = True
            self._wake()

    def emit_data(self, stream_id: int, data: bytes | memoryview, *, ended: bool = False) -> None:
        """Send a frame of DATA for which there is room."""
        size = len(data)
        self.window -= size
        self._out.append(frame.HEADER.pack(size >> 8, size & 0xFF, frame.DATA, ended, stream_id))
        self._out.append(data)
        self._out_size += size
        if not self._awake:
            self._awake = True
            self._wake()

    def emit_answer(self, stream_id: int, head: bytes, body: bytes, tail: bytes) -> None:
        """Send head, body and trailers in a frame each; there must be room for the body."""
        if not self._sent_block:
            self._sent_block = True
            head = NO_TABLE + head
        size, head_size, tail_size = len(body), len(head), len(tail)
        self.window -= size
        self._control.give(_CONTROL_PER_DATA)
        pack = frame.HEADER.pack
        self.emit(
            b"".join(
                (
                    pack(head_size >> 8, head_size & 0xFF, frame.HEADERS, frame.END_HEADERS, stream_id),
                    head,
                    pack(size >> 8, size & 0xFF, frame.DATA, 0, stream_id),
                    body,
                    pack(tail_size >> 8, tail_size & 0xFF, frame.HEADERS, _END, stream_id),
                    tail,
                )
            )
        )

    def send_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        """Send a header block."""
        if not self._sent_block:
            self._sent_block = True
            block = NO_TABLE + block
        self.emit(frame.headers(stream_id, block, ended=ended, max_size=self.peer.max_frame))

    def spare(self) -> None:
        """Bear with more frames that carry nothing, since the peer has something to answer by them."""
        self._control.give(_CONTROL_PER_DATA)

    def may_send(self, size: int) -> bool:
        """Whether so many bytes can leave at once, in one frame."""
        return (
            size <= self.window
            and size <= self.peer.max_frame
            and not self.held_back
            and not self._ready
            and self._out_size < BATCH
        )

    def queue(self, stream: Stream) -> None:
        """Send what the stream has left, in turn with others, once there is room."""
        if stream.unsent and stream.window > 0:
            self._ready[stream] = None
            if not self._awake:
                self._awake = True
                self._wake()

    def pump(self) -> None:
        """Make frames of what streams have left, as far as windows and the transport allow."""
        while self._ready and self.window > 0 and not self.held_back and self._out_size < BATCH:
            stream = next(iter(self._ready))
            del self._ready[stream]
            stream.emit_some()
            if stream.unsent and stream.window > 0:
                self._ready[stream] = None

    # How streams and the connection end

    def sent_all(self, stream: Stream) -> None:
        """The stream is ended by us. Whoever accepted it decides how long the peer may go on sending on it."""
        self._resets.give(1)
        if not stream.remote_open:
            self._drop(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End the stream at once."""
        self.emit(frame.rst_stream(stream.id, code))
        self._let_go(stream.id)
        self._drop(stream)

    def _let_go(self, stream_id: int) -> None:
        self._recent[stream_id] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _fault(self, error: StreamFaultError) -> None:
        if not self._resets.take():
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, f"too many faults, the last: {error.message}")
        self.emit(frame.rst_stream(error.stream_id, error.code))
        self._let_go(error.stream_id)
        stream = self.streams.get(error.stream_id)
        if stream is not None:
            self._lose(stream, error.code)

    def _lose(self, stream: Stream, code: ErrorCode) -> None:
        receiver = stream.receiver
        self._drop(stream)
        receiver.reset(code)

    def _drop(self, stream: Stream) -> None:
        stream.forget()
        self._ready.pop(stream, None)
        self.streams.pop(stream.id, None)
        if not self.streams:
            self._on_quiet()

    def _on_quiet(self) -> None:
        """No stream is open any more."""

    def fail(self, error: Http2Error) -> None:
        """End everything, and tell the peer why."""
        if self.failed is None:
            self.failed = error
            self.emit(frame.goaway(self.last_id, error.code, error.message))
            self.lose_all(error.code)

    def lose_all(self, code: ErrorCode) -> None:
        """The connection is gone, and all streams with it."""
        for stream in list(self.streams.values()):
            self._lose(stream, code)


def _code(number: int) -> ErrorCode:
    try:
        return ErrorCode(number)
    except ValueError:
        return ErrorCode.INTERNAL_ERROR


def _check_priority(payload: bytes, stream_id: int) -> None:
    try:
        frame.check_priority(payload, stream_id)
    except Http2Error as error:
        raise StreamFaultError(stream_id, error.code, error.message) from None
