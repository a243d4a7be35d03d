"""Frames on the wire (RFC 9113 sections 4 and 6): a header of nine bytes and a payload."""

from struct import Struct
from typing import Final

from assay.http2.errors import ErrorCode, Http2Error

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

# Upper 16 and lower 8 bits of the payload's length, type, flags, stream.
HEADER: Final = Struct(">HBBBI")
HEADER_BYTES: Final = HEADER.size
STREAM_BITS: Final = 0x7FFF_FFFF
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1
MIN_FRAME_SIZE: Final = 16_384
MAX_FRAME_SIZE: Final = 2**24 - 1
PING_BYTES: Final = 8
_PRIORITY_BYTES: Final = 5
_SETTING: Final = Struct(">HI")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def headers(stream_id: int, block: bytes, *, ended: bool, max_size: int = MIN_FRAME_SIZE) -> bytes:
    """HEADERS with a whole block, followed by CONTINUATIONs if it is larger than a frame may be."""
    flags = END_STREAM if ended else 0
    if len(block) <= max_size:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[start : start + max_size] for start in range(0, len(block), max_size)]
    frames = [frame(HEADERS, flags, stream_id, parts[0])]
    frames += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(frames)


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    """End one stream."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway(last_stream_id: int, code: ErrorCode, debug: str = "") -> bytes:
    """Take no streams above that one; `debug` is for whoever reads the peer's log."""
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + debug.encode())


def window_update(stream_id: int, increment: int) -> bytes:
    """Let the peer send `increment` bytes more, on a stream or (0) on the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def settings(values: dict[int, int]) -> bytes:
    """Settings by their numbers."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*one) for one in values.items()))


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """Number and value of each setting in a payload, in order.

    Raises:
        Http2Error: it is cut off.
    """
    if len(payload) % _SETTING.size:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS frame is cut off")
    return [(int(number), int(value)) for number, value in _SETTING.iter_unpack(payload)]


def number_of(payload: bytes) -> int:
    """The one number (31 or 32 bits) of RST_STREAM and WINDOW_UPDATE.

    Raises:
        Http2Error: the payload has not four bytes.
    """
    if len(payload) != 4:  # noqa: PLR2004 - 32 bits
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "frame has not the size of its type")
    return int.from_bytes(payload, "big")


def unpadded(payload: bytes, flags: int) -> bytes:
    """The payload of DATA or HEADERS without padding (section 6.1).

    Raises:
        Http2Error: there is more padding than payload.
    """
    if not flags & PADDED:
        return payload
    if not payload:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "padded frame is empty")
    padding = payload[0]
    if padding >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - padding]


def block_of(payload: bytes, flags: int, stream_id: int) -> bytes:
    """The part of a header block that a HEADERS frame carries; its priority, which nobody uses any more, is dropped.

    Raises:
        Http2Error: the frame is too short, or a stream depends on itself.
    """
    payload = unpadded(payload, flags)
    if not flags & PRIORITIZED:
        return payload
    check_priority(payload[:_PRIORITY_BYTES], stream_id)
    return payload[_PRIORITY_BYTES:]


def check_priority(payload: bytes, stream_id: int) -> None:
    """See that a priority has its size and names another stream.

    Raises:
        Http2Error: it does not.
    """
    if len(payload) != _PRIORITY_BYTES:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "priority has not five bytes")
    if int.from_bytes(payload[:4], "big") & STREAM_BITS == stream_id:
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "stream depends on itself")
