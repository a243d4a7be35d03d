"""A gRPC server that answers with what it was sent, and a client small enough to be written as bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import grpc
import grpc.aio

SERVICE = "assay.testing.Echo"
UNARY = f"/{SERVICE}/Unary"
FLOOD = f"/{SERVICE}/Flood"
HOLD = f"/{SERVICE}/Hold"
CHUNK = 64 * 1024

_DATA, _HEADERS, _SETTINGS, _WINDOW_UPDATE = 0, 1, 4, 8
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4
_WINDOW = 2**31 - 1

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


class Echo:
    """`Unary` answers with the request, `Flood` with as many chunks as it asks for, `Hold` once, then never ends.

    `on_call` is told of each call before it is answered. `sent` counts the chunks that were accepted for sending.
    """

    def __init__(self, on_call: Callable[[Context], None] = lambda _: None) -> None:
        self.on_call = on_call
        self.sent = 0
        self.holding = asyncio.Event()
        self.server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Flood": grpc.unary_stream_rpc_method_handler(self._flood),
            "Hold": grpc.unary_stream_rpc_method_handler(self._hold),
        }
        self.handler = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self.server.add_generic_rpc_handlers((self.handler,))

    async def _unary(self, request: bytes, context: Context) -> bytes:
        self.on_call(context)
        return request

    async def _flood(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        self.on_call(context)
        for _ in range(int(request)):
            yield bytes(CHUNK)
            self.sent += 1

    async def _hold(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        self.on_call(context)
        yield request
        self.holding.set()
        await asyncio.Event().wait()


class EchoStub:
    """The calls of `Echo` on a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
        self.flood: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(FLOOD)
        self.hold: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(HOLD)


def raw_call(path: str, payload: bytes) -> bytes:
    """All that a client sends for one call: preface, settings (RFC 9113 section 3.4), headers, message.

    It grants the server as much as can be granted, so that only the connection holds it back.
    """
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path.encode(),
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    headers = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    message = b"\0" + len(payload).to_bytes(4, "big") + payload
    return b"".join(
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _frame(_SETTINGS, 0, 0, _INITIAL_WINDOW_SIZE.to_bytes(2, "big") + _WINDOW.to_bytes(4, "big")),
            _frame(_WINDOW_UPDATE, 0, 0, (_WINDOW - 65_535).to_bytes(4, "big")),
            _frame(_HEADERS, _END_HEADERS, 1, headers),
            _frame(_DATA, _END_STREAM, 1, message),
        ]
    )


def _text(value: bytes) -> bytes:
    # A literal of RFC 7541 section 5.2; its length fits seven bits here.
    return bytes([len(value)]) + value


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
