"""A server of ours on a Unix socket, on both event loops, and clients of grpc's or of bytes."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvloop
from grpc import aio

from assay.http2 import frame
from assay.http2.headers import Decoder, Field, encode
from assay.rpc.connection import RpcConnection
from assay.rpc.method import Method
from assay.rpc.server import ORDINARY_OPTIONS, Options, Server
from assay.testing.wait import until
from assay.transport.dial import dial_unix
from assay.transport.room import Room

SERVICE = "assay.testing.Rpc"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield Path(name)


class House:
    """A server whose methods are what the test makes them: `behave` for each kind."""

    def __init__(self, path: Path, options: Options, room: Room | None) -> None:
        self.path = path
        self.behave: Any = None
        self.server = Server(options=options, room=room)
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE,
                    {
                        "Unary": grpc.unary_unary_rpc_method_handler(self._call),
                        "Push": grpc.unary_stream_rpc_method_handler(self._call),
                        "Collect": grpc.stream_unary_rpc_method_handler(self._call),
                        "Talk": grpc.stream_stream_rpc_method_handler(self._call),
                    },
                ),
            )
        )

    def _call(self, request: object, context: object) -> Any:  # noqa: ANN401 - whatever the behaviour's is
        return self.behave(request, context)

    def method(self, path: str) -> Method | None:
        return self.server._methods.get(path)

    def channel(self, **options: Any) -> Any:  # noqa: ANN401 - its calls have no types without generated stubs
        return dial_unix(self.path) if not options else aio.insecure_channel(f"unix:{self.path}", **options)

    async def connection(self) -> RpcConnection:
        """The only one, once it is there."""
        await until(lambda: self.server.connections == 1)
        (connection,) = self.server._connections
        return connection

    async def raw(self, *, greet: bool = True) -> "Raw":
        reader, writer = await asyncio.open_unix_connection(self.path, limit=1024)
        raw = Raw(reader, writer)
        if greet:
            raw.send(frame.PREFACE, frame.settings({}))
        return raw


class Raw:
    """A client that says what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.decoder = Decoder(100_000)

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    def call(self, stream: int = 1, *more: Field, method: str = "Unary", ended: bool = False, path: str = "") -> None:
        fields = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", (path or f"/{SERVICE}/{method}").encode()),
            *(() if any(name == b"content-type" for name, _ in more) else ((b"content-type", b"application/grpc"),)),
            *more,
        )
        self.send(frame.headers(stream, encode(fields), ended=ended))

    def message(self, payload: bytes, stream: int = 1, *, ended: bool = True, flag: int = 0) -> None:
        data = bytes((flag,)) + len(payload).to_bytes(4, "big") + payload
        for start in range(0, len(data), 16_384):
            last = start + 16_384 >= len(data)
            self.send(frame.frame(frame.DATA, int(last and ended), stream, data[start : start + 16_384]))

    async def frame(self) -> tuple[int, int, int, bytes]:
        """The next frame: kind, flags, stream, payload."""
        high, low, kind, flags, stream = frame.HEADER.unpack(await self.reader.readexactly(9))
        return kind, flags, stream, await self.reader.readexactly(high << 8 | low)

    async def answer(self, stream: int = 1) -> tuple[dict[bytes, bytes], bytes]:
        """Head and trailers of an answer in one, and its data."""
        fields: dict[bytes, bytes] = {}
        body = b""
        while True:
            kind, flags, of, payload = await self.frame()
            if kind == frame.HEADERS:
                fields |= dict(self.decoder.decode(payload))
            elif kind == frame.DATA and of == stream:
                body += payload
            if of == stream and kind == frame.RST_STREAM:
                return {b"reset": payload[-1:]}, body
            if of == stream and kind in {frame.HEADERS, frame.DATA} and flags & frame.END_STREAM:
                return fields, body

    async def until(self, wanted: int) -> bytes:
        """The payload of the next frame of that kind."""
        while True:
            kind, _, _, payload = await self.frame()
            if kind == wanted:
                return payload

    async def closed(self) -> None:
        """Return when the server has closed the connection."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass

    def close(self) -> None:
        self.writer.close()


Houses = Callable[..., Awaitable[House]]


@pytest.fixture
async def houses(socket_folder: Path) -> AsyncIterator[Houses]:
    """Opens servers with options of the test's choice."""
    opened: list[House] = []

    async def make(options: Options = ORDINARY_OPTIONS, room: Room | None = None) -> House:
        house = House(socket_folder / f"{len(opened)}.sock", options, room)
        await house.server.listen_unix(house.path)
        opened.append(house)
        return house

    yield make
    for house in opened:
        await house.server.close(0)


@pytest.fixture
async def house(houses: Houses) -> House:
    return await houses()


@pytest.fixture
async def raw(house: House) -> AsyncIterator[Raw]:
    raw = await house.raw()
    yield raw
    raw.close()
