"""What comes back on a call that we made."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from assay.http2.client import ClientConnection
from assay.http2.errors import ErrorCode
from assay.http2.fields import check
from assay.http2.headers import Fields
from assay.rpc.message import ACCEPTED, Assembler, framed
from assay.rpc.metadata import received
from assay.rpc.status import EndError, Metadata, StatusCode

_CONTENT_TYPE: Final = b"application/grpc"
_OK: Final = b"200"
# What an answer that is no gRPC stands for (gRPC's table of HTTP status codes).
_BY_HTTP: Final = {
    b"400": StatusCode.INTERNAL,
    b"401": StatusCode.UNAUTHENTICATED,
    b"403": StatusCode.PERMISSION_DENIED,
    b"404": StatusCode.UNIMPLEMENTED,
    b"429": StatusCode.UNAVAILABLE,
    b"502": StatusCode.UNAVAILABLE,
    b"503": StatusCode.UNAVAILABLE,
    b"504": StatusCode.UNAVAILABLE,
}
# And a stream that was reset (gRPC over HTTP/2, "Errors").
_BY_RESET: Final = {
    ErrorCode.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}


class Reply:
    """Begins a call, sends its requests and takes its answers; `end` is the loop's time at which it gives up.

    What was received and not read is bounded by the stream's window, and by the largest message.
    """

    def __init__(
        self,
        core: ClientConnection,
        lost: Callable[[], bool],
        block: bytes,
        max_message: int,
        end: float | None,
    ) -> None:
        self._lost = lost
        self._max_message = max_message
        self._messages: deque[bytes] = deque()
        self._owed = 0
        self._assembler: Assembler | None = None
        self._end: EndError | None = None
        self.refused = False
        """Whether the server has not looked at the call."""

        self._turn = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        if end is not None:
            self._timer = asyncio.get_running_loop().call_at(end, self._expire)
        self._stream = core.open(block, self)

    def send(self, request: bytes, *, last: bool) -> None:
        """Send one request as fast as the server takes it; nothing happens when the call has ended."""
        if self._end is None:
            self._stream.send(framed(request), ended=last)

    async def write(self, request: bytes, *, last: bool = False) -> None:
        """As `send`, and return when the request has left; or when the call has ended, as `read` tells."""
        self.send(request, last=last)
        while self._stream.unsent and self._end is None:
            self._turn.clear()
            await self._turn.wait()

    async def read(self) -> bytes | None:
        """The next message; None when the server has ended them well.

        Raises:
            EndError: it ended with another status.
        """
        while not self._messages:
            if self._end is not None:
                if self._end.code is StatusCode.OK:
                    return None
                raise self._end.again()
            self._turn.clear()
            await self._turn.wait()
        message = self._messages.popleft()
        if not self._messages:
            self._take()
        return message

    async def ask(self, request: bytes) -> bytes:
        """Send the one request of a unary call; its one answer. Raises as `read` does."""
        self.send(request, last=True)
        message = await self.read()
        if message is None or await self.read() is not None:
            raise EndError(StatusCode.INTERNAL, "a unary call was not answered by one message")
        return message

    def cancel(self) -> None:
        """Take no more; nothing happens if all has come."""
        self._end_with(StatusCode.CANCELLED, "cancelled here")
        self._stream.reset(ErrorCode.CANCEL)

    # What comes on the stream

    def fields_received(self, fields: Fields) -> None:
        """The head, trailers, or both at once."""
        if self._assembler is None:
            fields = self._head(fields)
        check(fields)
        found = dict(fields)
        status = found.get(b"grpc-status")
        if status is not None and self._end is None:
            message = unquote(found.get(b"grpc-message", b"").decode("ascii", "replace"))
            self._end_with(_code(status), message, received(fields))

    def data_received(self, data: bytes) -> None:
        """Part of a message, or several."""
        if self._end is not None:
            self._stream.taken(len(data))
            return
        if self._assembler is None:
            self._finish(StatusCode.INTERNAL, "answer begins without a head")
            return
        self._owed += len(data)
        try:
            self._messages += self._assembler.feed(data)
        except EndError as error:
            self._finish(error.code, error.message)
            return
        if self._messages:
            self._turn.set()
        else:
            # Only what is whole waits for its reader.
            self._take()

    def ended(self) -> None:
        """The server has sent all."""
        if self._end is None:
            self._end_with(StatusCode.INTERNAL, "server ended the stream without a status")

    def reset(self, code: ErrorCode) -> None:
        """The stream is gone, perhaps with its connection."""
        if self._lost():
            self._end_with(StatusCode.UNAVAILABLE, "connection was lost")
        elif code is ErrorCode.CANCEL and self._overdue:
            # The server knows the deadline, too, and what it says may be read before our timer is looked at.
            self._end_with(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        else:
            self.refused = code is ErrorCode.REFUSED_STREAM and self._end is None
            self._end_with(_BY_RESET.get(code, StatusCode.INTERNAL), f"stream was reset: {code.name}")

    def drained(self) -> None:
        """What was to be sent has left."""
        self._turn.set()

    def _head(self, fields: Fields) -> Fields:
        (name, status), *_ = fields or ((b"", b""),)
        if name != b":status":
            raise ValueError("an answer begins with its status")
        found = dict(fields[1:])
        if status.startswith(b"1"):
            return ()
        encoding = found.get(b"grpc-encoding", b"identity")
        self._assembler = Assembler(encoding, self._max_message)
        if encoding not in ACCEPTED.split(b","):
            self._finish(StatusCode.INTERNAL, "answer is compressed in a way that was not offered")
        if b"grpc-status" not in found and (
            status != _OK or not found.get(b"content-type", b"").startswith(_CONTENT_TYPE)
        ):
            code = _BY_HTTP.get(status, StatusCode.UNKNOWN)
            self._finish(code, f"no gRPC: HTTP status {status.decode('ascii', 'replace')}")
        return fields[1:]

    # How it ends

    @property
    def _overdue(self) -> bool:
        return self._timer is not None and self._timer.when() <= asyncio.get_running_loop().time()

    def _expire(self) -> None:
        self._finish(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _finish(self, code: StatusCode, message: str) -> None:
        if self._end is None:
            self._end_with(code, message)
            self._stream.reset(ErrorCode.CANCEL)

    def _end_with(self, code: StatusCode, message: str, trailers: Metadata = ()) -> None:
        if self._end is None:
            self._end = EndError(code, message, trailers)
            if self._timer is not None:
                self._timer.cancel()
            self._turn.set()

    def _take(self) -> None:
        self._stream.taken(self._owed)
        self._owed = 0


def _code(status: bytes) -> StatusCode:
    try:
        return StatusCode(int(status))
    except ValueError:
        return StatusCode.UNKNOWN
