"""One call on the server: what the handler knows as its context."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog

from assay.http2.errors import ErrorCode
from assay.http2.headers import Field, Fields, encode
from assay.rpc.message import Assembler, check_encoding, framed, whole
from assay.rpc.metadata import to_send
from assay.rpc.status import EndError, Metadata, StatusCode, code_of, percent_encoded, undecodable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from assay.http2.stream import Stream
    from assay.rpc.connection import RpcConnection
    from assay.rpc.head import Head
    from assay.rpc.method import Method
    from assay.transport.peer import Peer

log = structlog.get_logger(__name__)

_HEAD_FIELDS: Final = ((b":status", b"200"), (b"content-type", b"application/grpc"))
HEAD: Final = encode(_HEAD_FIELDS)
TRAILERS_OK: Final = encode(((b"grpc-status", b"0"),))


# Seconds and bytes that a client may go on sending after it got its answer, before it is cut off: clients in C report a
# call that is cut off while they send as broken, whatever the answer was.
PATIENCE: Final = 1.0
SURPLUS: Final = 64 * 1024
# Bytes that a message takes beyond its own while it waits for its handler.
OVERHEAD: Final = 64


class EndOfStream:
    """What `read` answers when the client has sent all."""


EOF: Final = EndOfStream()


class Call:
    """The context of a handler, and the receiver of its stream.

    The handler runs in a task of its own from the first whole request on, in streams from the head on. It is cancelled
    when the caller gives up, its connection is lost or its time is over.
    """

    __slots__ = (
        "_assembler",
        "_connection",
        "_counted_out",
        "_drained",
        "_ended",
        "_head_sent",
        "_heard",
        "_held",
        "_inbox",
        "_method",
        "_over",
        "_overhead",
        "_owed",
        "_refusal",
        "_surplus",
        "_task",
        "_timer",
        "_trailing",
        "_until",
        "_waiter",
        "head",
        "stream",
    )

    def __init__(self, connection: RpcConnection, stream: Stream, head: Head, method: Method) -> None:
        self._connection = connection
        self.stream = stream
        self.head = head
        self._method = method
        self._assembler: Assembler | None = None
        self._inbox: deque[bytes] = deque()
        self._held = head.size
        self._overhead = 0
        self._owed = 0
        self._heard = False
        self._ended = False
        self._over = False
        self._counted_out = False
        self._refusal: EndError | None = None
        self._head_sent = False
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._trailing: Metadata = ()
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        self._surplus = 0

    def start(self, timeout: float | None) -> None:
        """Begin to count the seconds the caller waits, and run the handler if it need not wait for the request."""
        try:
            check_encoding(self.head.encoding)
        except EndError as error:
            self.end(error.code, error.message, error.trailers)
            return
        if timeout is not None:
            self._until = self._connection.loop.time() + timeout
            self._connection.deadlines.watch(self, self._until)
        if self._method.request_streaming:
            self._run(Requests(self))

    # What the stream receives

    def data_received(self, data: bytes) -> None:
        """Put messages together."""
        size = len(data)
        self._heard = True
        if self._refusal is not None:
            self._refuse(self._refusal)
        if self._over:
            self._discard(size)
            return
        self._held += size
        if not self._connection.hold(size):
            self.end(StatusCode.RESOURCE_EXHAUSTED, "too much is sent at once on this connection")
            return
        if self._assembler is None and (message := whole(data, self._connection.max_message)) is not None:
            self._inbox.append(message)
        elif not self._assemble(data):
            return
        if self._inbox and self._method.request_streaming:
            self._owed += size
            self._keep_count()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        else:
            self.stream.taken(size)

    def _keep_count(self) -> None:
        """Of small messages, which take more room here than on the wire."""
        more = OVERHEAD * len(self._inbox) - self._overhead
        if more > 0:
            self._overhead += more
            self._held += more
            if not self._connection.hold(more):
                self.end(StatusCode.RESOURCE_EXHAUSTED, "too much is sent at once on this connection")

    def _assemble(self, data: bytes) -> bool:
        if self._assembler is None:
            self._assembler = Assembler(self.head.encoding, self._connection.max_message)
        try:
            self._inbox += self._assembler.feed(data)
        except EndError as error:
            self.end(error.code, error.message, error.trailers)
            return False
        return True

    def ended(self) -> None:
        """The client has sent all: a unary request is answered from now on."""
        self._ended = True
        if self._refusal is not None:
            self._refuse(self._refusal)
        if self._over:
            self._stop_timer()
            return
        if self._assembler is not None and self._assembler.pending:
            self.end(StatusCode.INTERNAL, "message is cut off")
        elif self._method.request_streaming:
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        elif len(self._inbox) != 1:
            self.end(StatusCode.INTERNAL, f"unary request has {len(self._inbox)} messages")
        else:
            request = self._inbox.popleft()
            self._release()
            self._run(request)

    def reset(self, code: ErrorCode) -> None:  # noqa: ARG002 - for whatever reason
        """Nobody waits for the answer."""
        self._over = True
        self._stop_timer()
        self._stop()

    def drained(self) -> None:
        """The writer may go on."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # What the handler does

    @property
    def remote(self) -> Peer:
        """Who calls, as the kernel or TLS told."""
        return self._connection.peer

    def peer(self) -> str:
        """The caller's address, much as grpc writes it."""
        return self._connection.address

    def invocation_metadata(self) -> Metadata:
        """What the caller sent beside its request."""
        return self.head.metadata

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None when it set none."""
        return None if self._until is None else max(0.0, self._until - self._connection.loop.time())

    async def turn(self) -> None:
        """Wait for this caller's turn to do what holds the loop for some milliseconds: others may be before it."""
        await self._connection.whole_turn()

    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._over

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Send this with the status."""
        self._trailing = tuple(trailing_metadata)

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Send the head of the answer now."""
        self._send_head(initial_metadata)

    async def abort(self, code: Any, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:  # noqa: ANN401 - a code of ours or of grpc's
        """End the call with this status.

        Raises:
            EndError: always.
        """
        raise EndError(code_of(code), details, tuple(trailing_metadata))

    async def read(self) -> Any:  # noqa: ANN401 - the method's request
        """The next request of a stream, or EOF."""
        while not self._inbox:
            if self._ended or self._over:
                return EOF
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        message = self._inbox.popleft()
        if not self._inbox:
            self._release()
            self.stream.taken(self._owed)
            self._owed = 0
        else:
            # Thousands may be there, and a handler that waits for nothing else would answer them all before anyone's.
            await asyncio.sleep(0)
        return self._decoded(message)

    async def write(self, message: Any) -> None:  # noqa: ANN401 - the method's response
        """Send a response; returns once it was handed to the transport, which may be when the caller reads.

        Raises:
            EndError: the call is over.
        """
        self._send(self._encoded(message))
        if self.stream.unsent:
            self._drained = self._connection.loop.create_future()
            await self._drained

    def end(self, code: StatusCode, message: str = "", trailers: Metadata = ()) -> None:
        """End the call, and with it the handler; nothing happens the second time."""
        if self._over:
            return
        self._send_status(code, message, trailers or self._trailing)
        self._stop()

    def expire(self) -> None:
        """The caller's time is over."""
        self.end(StatusCode.DEADLINE_EXCEEDED, "deadline exceeded")

    # How it runs

    def _run(self, request: Any) -> None:  # noqa: ANN401 - the method's
        self._task = self._connection.run(self, self._serve(request))

    async def _serve(self, request: Any) -> None:  # noqa: ANN401 - the method's
        try:
            turn = self._connection.begin_turn()
            if turn is not None:
                await turn
            if not self._method.request_streaming:
                request = self._decoded(request)
            if self._method.response_streaming:
                await self._stream(request)
                self._finish()
            else:
                self._reply(self._encoded(await self._method.behavior(request, self)))
        except EndError as error:
            self._close(error)
        except asyncio.CancelledError:
            self._close(EndError(StatusCode.CANCELLED, "call was cancelled by the server"))
        except Exception:
            log.exception("Unexpected error", method=self._method.path)
            self._close(EndError(StatusCode.UNKNOWN, "unexpected error"))
        finally:
            self._connection.left(self)

    async def _stream(self, request: Any) -> None:  # noqa: ANN401 - the method's
        responses = self._method.behavior(request, self)
        if not hasattr(responses, "__aiter__"):
            await responses
            return
        try:
            async for response in responses:
                await self.write(response)
        finally:
            if hasattr(responses, "aclose"):
                await responses.aclose()

    def _decoded(self, message: bytes) -> Any:  # noqa: ANN401 - the method's
        decode = self._method.decode
        try:
            return message if decode is None else decode(message)
        except Exception:  # noqa: BLE001 - whatever the codec raises, the message is none of the method's
            raise undecodable() from None

    def _encoded(self, message: Any) -> bytes:  # noqa: ANN401 - the method's
        encode_ = self._method.encode
        data: bytes = message if encode_ is None else encode_(message)
        return data

    def _send(self, message: bytes) -> None:
        if self._over:
            raise EndError(StatusCode.CANCELLED, "call is over")
        self._check_room(message)
        if not self._head_sent:
            self._head_sent = True
            self.stream.send_headers(HEAD)
        self.stream.send(framed(message))

    def _check_room(self, message: bytes) -> None:
        if not self._connection.may_queue(len(message)):
            raise EndError(StatusCode.RESOURCE_EXHAUSTED, "caller does not read what it asks for")

    def _send_head(self, metadata: Metadata) -> None:
        if not self._head_sent and not self._over:
            self._head_sent = True
            self.stream.send_headers(HEAD + encode(to_send(metadata)))

    def _reply(self, message: bytes) -> None:
        if self._head_sent or self._trailing:
            self._send(message)
            self._finish()
        elif not self._over:
            self._check_room(message)
            self._over = True
            self._stop_timer()
            self._release()
            self.stream.answer(HEAD, framed(message), TRAILERS_OK)
            self._part()

    def _finish(self) -> None:
        if not self._over:
            self._send_status(StatusCode.OK, "", self._trailing)

    def _close(self, error: EndError) -> None:
        """The handler has refused or failed."""
        if self._over:
            return
        self._release()
        if self._heard or self._ended or self._head_sent:
            self._refuse(error)
            return
        # Clients in C take the answer before they have sent anything, and then report their sending as what failed.
        self._refusal = error
        self._stop_timer()
        self._timer = self._connection.loop.call_later(PATIENCE, self._refuse, error)

    def _refuse(self, error: EndError) -> None:
        self._send_status(error.code, error.message, error.trailers or self._trailing)

    def _send_status(self, code: StatusCode, message: str, trailers: Metadata) -> None:
        self._over = True
        self._release()
        self._refusal = None
        self._stop_timer()
        if code is StatusCode.OK and not trailers and self._head_sent:
            block = TRAILERS_OK
        else:
            block = encode((*_status_fields(code, message), *self._sendable(trailers)))
            block = block if self._head_sent else HEAD + block
        self.stream.finish(block)
        self._part()

    def _sendable(self, trailers: Metadata) -> list[Field]:
        try:
            return to_send(trailers)
        except ValueError:
            log.exception("Trailing metadata cannot be sent", method=self._method.path)
            return []

    def _part(self) -> None:
        if self.stream.remote_open:
            self._timer = self._connection.loop.call_later(PATIENCE, self._hang_up)

    def _discard(self, size: int) -> None:
        """Of what comes after the answer."""
        self._surplus += size
        if self._surplus > SURPLUS:
            self._hang_up()
        else:
            self.stream.taken(size)

    def _hang_up(self) -> None:
        """The answer is whole and the client still sends: it need not (RFC 9113 section 8.1)."""
        self._stop_timer()
        if self.stream.local_open:
            self._timer = self._connection.loop.call_later(PATIENCE, self._hang_up)
        else:
            self.stream.reset(ErrorCode.NO_ERROR)

    def _stop(self) -> None:
        self._release()
        if self._task is not None:
            self._connection.cancel(self, self._task)

    def _stop_timer(self) -> None:
        if self._until is not None:
            self._connection.deadlines.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        # The head is kept to the end.
        keep = 0 if self._over else self.head.size
        if self._over and not self._counted_out:
            self._counted_out = True
            self._connection.over()
        self._connection.release(self._held - keep)
        self._held = keep
        self._overhead = 0


def _status_fields(code: StatusCode, message: str) -> Fields:
    status = (b"grpc-status", b"%d" % code)
    return (status, (b"grpc-message", percent_encoded(message))) if message else (status,)


class Requests:
    """The requests of a stream, as handlers iterate over them."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - the method's
        message = await self._call.read()
        if message is EOF:
            raise StopAsyncIteration
        return message
