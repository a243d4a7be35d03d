"""The client against servers of grpc's and of our own, and against a peer that sends what a test says."""

from __future__ import annotations

import asyncio
import gzip
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from grpc import aio

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.headers import Decoder, encode
from assay.rpc.client import Channel
from assay.rpc.message import framed
from assay.rpc.server import Server
from assay.rpc.status import EndError, StatusCode
from assay.testing.wait import until

MOST = 4 * 1024 * 1024
SHORT = 0.05
BIG = 3 * 1024 * 1024
HEAD = encode([(b":status", b"200"), (b"content-type", b"application/grpc")])
SNAPPY = HEAD + encode([(b"grpc-encoding", b"snappy")])
GOOD = encode([(b"grpc-status", b"0")])

Peer = Callable[["Scripted"], Awaitable[None]]
Context = aio.ServicerContext[Any, Any]


class Echo:
    """Answers with what the request asks for."""

    async def once(self, request: bytes, context: Context) -> bytes:
        match request.split(b" "):
            case [b"refuse"]:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no: ä %")
            case [b"header"]:
                return str(dict(context.invocation_metadata() or ())["x-test"]).encode()
            case [b"big", size]:
                return b"x" * int(size)
            case [b"sleep"]:
                await asyncio.Event().wait()
            case _:
                pass
        return request

    async def many(self, request: bytes, _context: Context) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number * 1000
        if not int(request):
            await asyncio.Event().wait()


def handlers() -> grpc.GenericRpcHandler:
    echo = Echo()
    return grpc.method_handlers_generic_handler(
        "Echo",
        {
            "Once": grpc.unary_unary_rpc_method_handler(echo.once),
            "Many": grpc.unary_stream_rpc_method_handler(echo.many),
        },
    )


def dial(path: Path) -> Callable[[Callable[[], Any]], Any]:
    return lambda protocol: asyncio.get_running_loop().create_unix_connection(protocol, str(path))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield Path(name)


@pytest.fixture(params=["grpc", "ours"])
async def channel(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Channel]:
    """To a server of either kind."""
    path = folder / "echo.sock"
    served: Any
    if request.param == "grpc":
        served = aio.server(options=[("grpc.max_send_message_length", -1)])
        served.add_generic_rpc_handlers((handlers(),))
        served.add_insecure_port(f"unix:{path}")
        await served.start()
        stop = served.stop
    else:
        served = Server()
        served.add_generic_rpc_handlers((handlers(),))
        await served.listen_unix(path, folder_mode=0o700)
        stop = served.close
    channel = Channel(dial(path), max_message=MOST)
    yield channel
    await channel.close()
    await stop(0)


async def test_a_call_is_answered(channel: Channel) -> None:
    assert await channel.unary("/Echo/Once", b"hello", (), timeout=None) == b"hello"
    assert await channel.unary("/Echo/Once", b"header", (("x-test", "yes"),), timeout=30) == b"yes"
    assert await channel.unary("/Echo/Once", b"", (), timeout=30) == b""


async def test_a_refusal_has_its_code_and_words(channel: Channel) -> None:
    with pytest.raises(EndError) as caught:
        await channel.unary("/Echo/Once", b"refuse", (), timeout=30)
    assert (caught.value.code, caught.value.message) == (StatusCode.PERMISSION_DENIED, "no: ä %")
    with pytest.raises(EndError) as caught:
        await channel.unary("/Echo/None", b"", (), timeout=30)
    assert caught.value.code is StatusCode.UNIMPLEMENTED


async def test_messages_of_many_windows_go_both_ways(channel: Channel) -> None:
    assert len(await channel.unary("/Echo/Once", b"big %d" % BIG, (), timeout=30)) == BIG
    request = b"y" * BIG
    assert await channel.unary("/Echo/Once", request, (), timeout=30) == request


async def test_a_message_beyond_the_limit_is_refused(channel: Channel) -> None:
    with pytest.raises(EndError) as caught:
        await channel.unary("/Echo/Once", b"big %d" % (MOST + 1), (), timeout=30)
    assert caught.value.code is StatusCode.RESOURCE_EXHAUSTED
    assert await channel.unary("/Echo/Once", b"on", (), timeout=30) == b"on"


async def test_a_stream_is_read_to_its_end_however_slowly(channel: Channel) -> None:
    found = [one async for one in channel.stream("/Echo/Many", b"1000", (), timeout=None)]
    assert found == [b"%d" % number * 1000 for number in range(1000)]


async def test_a_stream_that_is_left_does_not_disturb_the_next(channel: Channel) -> None:
    for _ in range(300):
        async with aclosing(channel.stream("/Echo/Many", b"3", (), timeout=None)) as answers:
            assert await anext(answers) == b"0" * 1000
    assert len(channel._wires) == 1


async def test_a_deadline_ends_calls_and_streams(channel: Channel) -> None:
    # Connected before: a connection that is not there in time is another failure.
    await channel.unary("/Echo/Once", b"", (), timeout=None)
    with pytest.raises(EndError) as caught:
        await channel.unary("/Echo/Once", b"sleep", (), timeout=0.05)
    assert caught.value.code is StatusCode.DEADLINE_EXCEEDED
    with pytest.raises(EndError) as caught:
        await anext(channel.stream("/Echo/Many", b"0", (), timeout=0.05))
    assert caught.value.code is StatusCode.DEADLINE_EXCEEDED


async def test_a_server_that_sees_the_deadline_first_ends_the_call_as_the_deadline_does(folder: Path) -> None:
    """A busy loop reads what came before it looks at its timers."""

    async def peer(one: Scripted) -> None:
        one.send(*answer(await one.request(), framed(b"hello")))
        stream = await one.request()
        time.sleep(2 * SHORT)  # noqa: ASYNC251 - the loop is busy
        one.send(frame.rst_stream(stream, ErrorCode.CANCEL))

    async with talking(folder, peer) as channel:
        assert await call(channel) == b"hello"
        with pytest.raises(EndError) as caught:
            await channel.unary("/A/B", b"", (), timeout=SHORT)
    assert caught.value.code is StatusCode.DEADLINE_EXCEEDED


async def test_many_calls_at_once_share_connections_within_the_servers_limit(channel: Channel) -> None:
    calls = [channel.unary("/Echo/Once", b"%d" % number, (), timeout=30) for number in range(250)]
    assert await asyncio.gather(*calls) == [b"%d" % number for number in range(250)]


async def test_closing_ends_what_is_under_way(channel: Channel) -> None:
    waiting = asyncio.gather(channel.unary("/Echo/Once", b"sleep", (), timeout=None), return_exceptions=True)
    await until(lambda: bool(channel._wires))
    await asyncio.sleep(0.01)
    await channel.close()
    (error,) = await waiting
    assert isinstance(error, EndError)
    with pytest.raises(EndError, match="channel is closed"):
        await channel.unary("/Echo/Once", b"", (), timeout=None)
    assert not channel._wires


# A peer that sends what a test says


class Scripted:
    """The other end: `request` returns when a request's head came, with its stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.decoder = Decoder(16384)

    async def greet(self) -> None:
        assert await self.reader.readexactly(len(frame.PREFACE)) == frame.PREFACE
        self.send(frame.settings({}))

    async def next(self) -> tuple[int, int, int, bytes]:
        high, low, kind, flags, stream = frame.HEADER.unpack(await self.reader.readexactly(frame.HEADER_BYTES))
        return kind, flags, stream, await self.reader.readexactly(high << 8 | low)

    async def request(self) -> int:
        while True:
            kind, _, stream, payload = await self.next()
            if kind == frame.HEADERS:
                fields = dict(self.decoder.decode(payload))
                assert (fields[b":path"], fields[b"te"]) == (b"/A/B", b"trailers")
                return stream

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))


def answer(stream: int, *bodies: bytes, tail: bytes = GOOD) -> list[bytes]:
    return [
        frame.headers(stream, HEAD, ended=False),
        *(frame.frame(frame.DATA, 0, stream, body) for body in bodies),
        frame.headers(stream, tail, ended=True),
    ]


@asynccontextmanager
async def talking(folder: Path, peer: Peer, *, greet: bool = True) -> AsyncIterator[Channel]:
    path = folder / "peer.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scripted = Scripted(reader, writer)
        try:
            if greet:
                await scripted.greet()
            await peer(scripted)
            while await reader.read(65536):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    channel = Channel(dial(path), max_message=MOST)
    try:
        yield channel
    finally:
        await channel.close()
        server.close()


async def call(channel: Channel) -> bytes:
    return await channel.unary("/A/B", b"", (), timeout=None)


async def refused(folder: Path, peer: Peer, **options: bool) -> tuple[StatusCode, str]:
    async with talking(folder, peer, **options) as channel:
        with pytest.raises(EndError) as caught:
            await call(channel)
        return caught.value.code, caught.value.message


def sending(make: Callable[[int], list[bytes]]) -> Peer:
    async def peer(one: Scripted) -> None:
        one.send(*make(await one.request()))

    return peer


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (answer, StatusCode.INTERNAL),
        (lambda s: answer(s, framed(b"a"), framed(b"b")), StatusCode.INTERNAL),
        (lambda s: answer(s, framed(b"a"), tail=encode([])), StatusCode.INTERNAL),
        (lambda s: answer(s, framed(b"a"), tail=encode([(b"grpc-status", b"seven")])), StatusCode.UNKNOWN),
        (lambda s: answer(s, framed(b"a"), tail=encode([(b"grpc-status", b"99")])), StatusCode.UNKNOWN),
        (lambda s: answer(s, b"\1\0\0\0\1a"), StatusCode.INTERNAL),
        (lambda s: [frame.headers(s, encode([(b":status", b"403")]), ended=True)], StatusCode.PERMISSION_DENIED),
        (lambda s: [frame.headers(s, encode([(b":status", b"503")]), ended=False)], StatusCode.UNAVAILABLE),
        (lambda s: [frame.headers(s, encode([(b":status", b"418")]), ended=True)], StatusCode.UNKNOWN),
        (lambda s: [frame.headers(s, encode([(b":status", b"200")]), ended=True)], StatusCode.UNKNOWN),
        (lambda s: [frame.headers(s, encode([(b"grpc-status", b"0")]), ended=True)], StatusCode.INTERNAL),
        (lambda s: [frame.headers(s, b"", ended=True)], StatusCode.INTERNAL),
        (lambda s: [frame.headers(s, HEAD, ended=False), frame.rst_stream(s, ErrorCode.CANCEL)], StatusCode.CANCELLED),
        (lambda s: [frame.rst_stream(s, ErrorCode.PROTOCOL_ERROR)], StatusCode.INTERNAL),
        (lambda s: [frame.rst_stream(s, ErrorCode.ENHANCE_YOUR_CALM)], StatusCode.RESOURCE_EXHAUSTED),
        (lambda _: [frame.goaway(0, ErrorCode.NO_ERROR)], StatusCode.UNAVAILABLE),
        (lambda _: [frame.frame(frame.GOAWAY, 0, 0, b"\0")], StatusCode.UNAVAILABLE),
        (lambda _: [frame.headers(2, HEAD, ended=True)], StatusCode.UNAVAILABLE),
        (lambda s: [frame.headers(s + 2, HEAD, ended=True)], StatusCode.UNAVAILABLE),
        (lambda s: [frame.headers(s, b"\xff\xff\xff\xff\xff\xff", ended=False)], StatusCode.UNAVAILABLE),
        (lambda s: [frame.frame(frame.PUSH_PROMISE, frame.END_HEADERS, s, b"\0\0\0\2")], StatusCode.UNAVAILABLE),
        (lambda s: [frame.frame(frame.DATA, 0, s, b"abc")], StatusCode.INTERNAL),
        (lambda s: [frame.headers(s, SNAPPY, ended=False)], StatusCode.INTERNAL),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_ends_the_call(
    folder: Path, make: Callable[[int], list[bytes]], code: StatusCode
) -> None:
    async with asyncio.timeout(20):
        assert (await refused(folder, sending(make)))[0] is code


async def test_a_peer_that_speaks_something_else_or_goes_is_unavailable(folder: Path) -> None:
    async def http1(one: Scripted) -> None:
        one.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def silent(one: Scripted) -> None:
        one.writer.close()

    async def half(one: Scripted) -> None:
        one.send(frame.headers(await one.request(), HEAD, ended=False)[:-3])
        one.writer.close()

    assert (await refused(folder, http1, greet=False))[0] is StatusCode.UNAVAILABLE
    assert (await refused(folder, silent, greet=False)) == (StatusCode.UNAVAILABLE, "connection was lost")
    assert (await refused(folder, half)) == (StatusCode.UNAVAILABLE, "connection was lost")


async def test_nobody_there_is_unavailable(folder: Path) -> None:
    channel = Channel(dial(folder / "none.sock"), max_message=MOST)
    with pytest.raises(EndError, match="cannot connect: No such file or directory"):
        await call(channel)

    async def never(_protocol: object) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(EndError, match="cannot connect: no connection in time"):
        await Channel(never, max_message=MOST).unary("/A/B", b"", (), timeout=0.01)


async def test_a_compressed_answer_after_an_informational_one_is_read(folder: Path) -> None:
    packed = gzip.compress(b"hello")
    head = encode([(b":status", b"200"), (b"content-type", b"application/grpc+proto"), (b"grpc-encoding", b"gzip")])

    def make(stream: int) -> list[bytes]:
        return [
            frame.headers(stream, encode([(b":status", b"103")]), ended=False),
            frame.headers(stream, head, ended=False),
            frame.frame(frame.DATA, 0, stream, b"\1" + len(packed).to_bytes(4, "big") + packed),
            frame.frame(frame.PING, 0, 0, b"12345678"),
            frame.headers(stream, GOOD, ended=True),
        ]

    async with talking(folder, sending(make)) as channel:
        assert await call(channel) == b"hello"


async def test_a_call_that_is_left_is_given_up_and_one_without_an_answer_in_time_too(folder: Path) -> None:
    resets: list[int] = []

    async def peer(one: Scripted) -> None:
        while True:
            kind, _, stream, payload = await one.next()
            if kind == frame.RST_STREAM:
                assert payload == ErrorCode.CANCEL.to_bytes(4, "big")
                resets.append(stream)

    async with talking(folder, peer) as channel:
        waiting = asyncio.get_running_loop().create_task(call(channel))
        await until(lambda: any(wire.core.streams for wire in channel._wires))
        waiting.cancel()
        await until(lambda: resets == [1])
        with pytest.raises(EndError) as caught:
            await channel.unary("/A/B", b"", (), timeout=0.05)
        assert caught.value.code is StatusCode.DEADLINE_EXCEEDED
        await until(lambda: resets == [1, 3])
        assert not any(wire.core.streams for wire in channel._wires)


async def test_after_goaway_calls_go_on_and_new_ones_take_a_new_connection(folder: Path) -> None:
    peers: list[Scripted] = []

    async def peer(one: Scripted) -> None:
        peers.append(one)
        stream = await one.request()
        if len(peers) == 1:
            one.send(frame.goaway(frame.MAX_STREAM_ID, ErrorCode.NO_ERROR))
            await until(lambda: len(peers) == 2)
        one.send(*answer(stream, framed(b"%d" % len(peers))))

    async with talking(folder, peer) as channel:
        first = asyncio.get_running_loop().create_task(call(channel))
        await until(lambda: any(not wire.core.usable for wire in channel._wires))
        assert await call(channel) == b"2"
        assert await first == b"2"
        await until(lambda: len(channel._wires) == 1)


@pytest.mark.parametrize("refusals", [0, 1, 2])
async def test_a_unary_call_that_was_not_looked_at_is_repeated_once(folder: Path, refusals: int) -> None:
    streams: list[int] = []

    async def peer(one: Scripted) -> None:
        while True:
            stream = await one.request()
            streams.append(stream)
            if len(streams) <= refusals:
                one.send(frame.rst_stream(stream, ErrorCode.REFUSED_STREAM))
            else:
                one.send(*answer(stream, framed(b"hello")))

    async with talking(folder, peer) as channel:
        if refusals < 2:
            assert await call(channel) == b"hello"
        else:
            with pytest.raises(EndError, match="REFUSED_STREAM"):
                await call(channel)
    assert streams == [1, 3][: refusals + 1]


async def test_what_is_not_read_is_not_granted(folder: Path) -> None:
    grants: list[int] = []

    async def peer(one: Scripted) -> None:
        stream = await one.request()
        message = framed(b"x" * 16000)
        one.send(frame.headers(stream, HEAD, ended=False))
        for _ in range(10):
            one.send(frame.frame(frame.DATA, 0, stream, message))
        while True:
            kind, _, where, payload = await one.next()
            if kind == frame.WINDOW_UPDATE and where == stream:
                grants.append(int.from_bytes(payload, "big"))

    async with talking(folder, peer) as channel, aclosing(channel.stream("/A/B", b"", (), timeout=None)) as answers:
        await anext(answers)
        await asyncio.sleep(0.05)
        assert grants == []
        for _ in range(9):
            await anext(answers)
        await until(lambda: bool(grants))
        assert sum(grants) == 10 * 16005
