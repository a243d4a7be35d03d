"""What the server says to those who do not speak gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.http2.headers import encode

if TYPE_CHECKING:
    from assay.http2.errors import ErrorCode
    from assay.http2.stream import Stream

_WORDS: Final = b"This server speaks gRPC only.\n"


class Unspoken:
    """Receives what is no gRPC, and answers with an HTTP status once it is over."""

    __slots__ = ("_stream", "status")

    def __init__(self, stream: Stream, status: int) -> None:
        self._stream = stream
        self.status = status

    def data_received(self, data: bytes) -> None:
        """Let it pass."""
        self._stream.taken(len(data))

    def ended(self) -> None:
        """Answer."""
        self._stream.send_headers(encode(((b":status", b"%d" % self.status), (b"content-type", b"text/plain"))))
        self._stream.send(_WORDS, ended=True)

    def reset(self, code: ErrorCode) -> None:
        """Nothing is under way."""

    def drained(self) -> None:
        """Nobody waits for that."""
