"""What each end tells the other about itself (RFC 9113 section 6.5)."""

from dataclasses import dataclass
from typing import Final

from assay.http2.errors import ErrorCode, Http2Error
from assay.http2.frame import MAX_FRAME_SIZE, MAX_WINDOW, MIN_FRAME_SIZE
from assay.http2.limits import Limits

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

DEFAULT_WINDOW: Final = 65_535


@dataclass(slots=True)
class PeerSettings:
    """What the peer has told, or the standard's values until it does."""

    initial_window: int = DEFAULT_WINDOW
    max_frame: int = MIN_FRAME_SIZE
    max_streams: int = MAX_WINDOW

    def apply(self, number: int, value: int) -> None:
        """Take one setting over; those that do not concern what we send are only checked.

        Raises:
            Http2Error: it has a value that it must not have.
        """
        if number == INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "initial window is too large")
            self.initial_window = value
        elif number == MAX_FRAME:
            if not MIN_FRAME_SIZE <= value <= MAX_FRAME_SIZE:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "frame size is out of range")
            self.max_frame = value
        elif number == MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif number == ENABLE_PUSH and value > 1:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")


def announced(limits: Limits) -> dict[int, int]:
    """What a server says of itself. The size of frames and of the header table stays the standard's."""
    return {
        MAX_CONCURRENT_STREAMS: limits.streams,
        INITIAL_WINDOW_SIZE: limits.stream_window,
        MAX_HEADER_LIST_SIZE: limits.header_list,
    }
