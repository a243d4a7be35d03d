"""gRPC byte by byte (grpc/grpc, doc/PROTOCOL-HTTP2.md), and what a client may not do to the server."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.limits import Limits
from assay.rpc.call import SURPLUS
from assay.rpc.server import Options
from assay.rpc.status import StatusCode
from assay.testing.wait import until
from assay.transport.arrival import HIGH_WATER

if TYPE_CHECKING:
    from tests.unit.common.rpc.conftest import House, Houses, Raw

MIB = 1024 * 1024


async def echo(request: bytes, _context: object) -> bytes:
    return request


def status(fields: dict[bytes, bytes]) -> StatusCode:
    return StatusCode(int(fields[b"grpc-status"]))


async def test_an_answer_is_head_message_and_trailers(house: House, raw: Raw) -> None:
    house.behave = echo
    raw.call()
    raw.message(b"hello")
    fields, body = await raw.answer()
    assert body == b"\0\0\0\0\5hello"
    assert fields == {b":status": b"200", b"content-type": b"application/grpc", b"grpc-status": b"0"}


async def test_a_refusal_without_messages_is_trailers_only(house: House, raw: Raw) -> None:
    raw.call(path="/no.Such/Method")
    raw.message(b"")
    while (found := await raw.frame())[0] != frame.HEADERS:
        pass
    assert found[1] & frame.END_STREAM
    fields = dict(raw.decoder.decode(found[3]))
    assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"12")
    assert house.server.connections == 1


async def test_a_message_may_come_in_any_pieces(house: House, raw: Raw) -> None:
    house.behave = echo
    raw.call()
    for byte in b"\0\0\0\0\5hello":
        raw.send(frame.frame(frame.DATA, 0, 1, bytes((byte,))))
    raw.send(frame.frame(frame.DATA, frame.END_STREAM, 1))
    assert (await raw.answer())[1] == b"\0\0\0\0\5hello"


async def test_several_messages_may_come_in_one_piece(house: House, raw: Raw) -> None:
    async def collect(requests: AsyncIterator[bytes], _context: object) -> bytes:
        return b",".join([one async for one in requests])

    house.behave = collect
    raw.call(method="Collect")
    raw.send(frame.frame(frame.DATA, 1, 1, b"\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\2bc"))
    assert (await raw.answer())[1][5:] == b"a,,bc"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", StatusCode.INTERNAL),
        (b"\0\0\0\0\1a\0\0\0\0\1b", StatusCode.INTERNAL),
        (b"\0\0\0\0\5hel", StatusCode.INTERNAL),
        (b"\0\0", StatusCode.INTERNAL),
        (b"\1\0\0\0\1a", StatusCode.INTERNAL),
        (b"\7\0\0\0\1a", StatusCode.INTERNAL),
        (b"\0\xff\xff\xff\xffa", StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_is_not_one_message_is_refused(house: House, raw: Raw, data: bytes, code: StatusCode) -> None:
    house.behave = echo
    raw.call()
    raw.send(frame.frame(frame.DATA, 1, 1, data))
    assert status((await raw.answer())[0]) is code


async def test_gzip_is_read_and_not_written(house: House, raw: Raw) -> None:
    house.behave = echo
    raw.call(1, (b"grpc-encoding", b"gzip"))
    raw.message(gzip.compress(b"hello" * 1000), flag=1)
    fields, body = await raw.answer()
    assert body == b"\0\0\0\x13\x88" + b"hello" * 1000
    assert b"grpc-encoding" not in fields


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (gzip.compress(bytes(100 * MIB)), StatusCode.RESOURCE_EXHAUSTED),
        (b"no gzip", StatusCode.INTERNAL),
        (gzip.compress(b"hello")[:-4], StatusCode.INTERNAL),
        (gzip.compress(b"hello") + b"more", StatusCode.INTERNAL),
    ],
    ids=["bomb", "rubbish", "cut off", "more"],
)
async def test_gzip_that_is_too_large_or_none_is_refused(
    house: House, raw: Raw, payload: bytes, code: StatusCode
) -> None:
    house.behave = echo
    raw.call(1, (b"grpc-encoding", b"gzip"))
    raw.message(payload, flag=1)
    assert status((await raw.answer())[0]) is code


async def test_an_encoding_we_cannot_read_is_unimplemented(house: House, raw: Raw) -> None:
    house.behave = echo
    raw.call(1, (b"grpc-encoding", b"snappy"))
    raw.message(b"x", flag=1)
    fields, _ = await raw.answer()
    assert status(fields) is StatusCode.UNIMPLEMENTED
    assert fields[b"grpc-accept-encoding"] == b"identity,gzip"


@pytest.mark.parametrize("content_type", [b"application/grpc+proto", b"application/grpc;charset=utf-8"])
async def test_kinds_of_grpc_are_served(house: House, raw: Raw, content_type: bytes) -> None:
    house.behave = echo
    raw.call(1, (b"content-type", content_type))
    raw.message(b"x")
    assert status((await raw.answer())[0]) is StatusCode.OK


@pytest.mark.parametrize("content_type", [b"application/json", b"application/grpc-web", b""])
async def test_what_is_no_grpc_gets_an_http_status(raw: Raw, content_type: bytes) -> None:
    raw.call(1, (b"content-type", content_type))
    raw.message(b"x" * 100_000)
    fields, body = await raw.answer()
    assert (fields[b":status"], body) == (b"415", b"This server speaks gRPC only.\n")


@pytest.mark.parametrize("text", [b"10", b"123456789S", b"S", b"-1S", b"1s"])
async def test_a_timeout_that_is_none_is_refused(raw: Raw, text: bytes) -> None:
    raw.call(1, (b"grpc-timeout", text))
    assert (await raw.answer())[0] == {b"reset": bytes((ErrorCode.PROTOCOL_ERROR,))}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"30S", 30), (b"50000m", 50), (b"60000000u", 60), (b"99999999n", 0.099999999)],
)
async def test_timeouts_of_all_units(house: House, raw: Raw, text: bytes, seconds: float) -> None:
    found: list[float] = []

    async def answer(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
        found.append(context.time_remaining())
        return request

    house.behave = answer
    stream = 1
    # The shortest may be over before the handler runs.
    while not found:
        raw.call(stream, (b"grpc-timeout", text))
        raw.message(b"x", stream)
        await raw.answer(stream)
        stream += 2
    # Time passes meanwhile, though not so much that another unit would come into question; sums of times are rounded.
    assert (0 if text.endswith(b"n") else seconds / 2) < found[0] < seconds + 0.001


@pytest.mark.parametrize("kind", ["a client without a message", "a handler that waits"])
async def test_a_deadline_holds_for(house: House, raw: Raw, kind: str) -> None:
    async def wait(_request: bytes, _context: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    house.behave = wait
    raw.call(1, (b"grpc-timeout", b"50m"))
    if kind == "a handler that waits":
        raw.message(b"x")
    assert status((await raw.answer())[0]) is StatusCode.DEADLINE_EXCEEDED


async def test_a_client_that_sends_on_after_its_answer_is_cut_off_in_the_end(house: House, raw: Raw) -> None:
    """And without waiting for it when it sends much."""
    raw.call(path="/no.Such/Method")
    for _ in range(SURPLUS // 16_384 + 2):
        raw.send(frame.frame(frame.DATA, 0, 1, bytes(16_384)))
    assert status((await raw.answer())[0]) is StatusCode.UNIMPLEMENTED
    assert await raw.until(frame.RST_STREAM) == bytes(4)
    raw.call(3, path="/no.Such/Method")
    raw.send(frame.frame(frame.DATA, 0, 3, b"x"))
    assert status((await raw.answer(3))[0]) is StatusCode.UNIMPLEMENTED
    assert await raw.until(frame.RST_STREAM) == bytes(4)
    assert house.server.connections == 1


async def test_requests_kept_for_handlers_are_bounded_per_connection(houses: Houses) -> None:
    house = await houses(Options(http2=Limits(held=100_000)))
    house.behave = echo
    raw = await house.raw()
    for number in range(8):
        raw.call(2 * number + 1)
        raw.send(frame.frame(frame.DATA, 0, 2 * number + 1, b"\0\0\1\0\0" + bytes(16_000)))
    fields, _ = await raw.answer(13)
    assert status(fields) is StatusCode.RESOURCE_EXHAUSTED
    connection = await house.connection()
    assert connection.core.held <= 100_000
    raw.close()
    await until(lambda: house.server.connections == 0)
    assert connection.core.held == 0


async def test_so_are_messages_that_are_small(houses: Houses) -> None:
    """Five bytes on the wire, many more in memory."""
    house = await houses(Options(http2=Limits(held=100_000)))

    async def wait(_requests: object, _context: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    house.behave = wait
    raw = await house.raw()
    raw.call(method="Collect")
    raw.send(frame.frame(frame.DATA, 0, 1, bytes(5) * 3000))
    assert status((await raw.answer())[0]) is StatusCode.RESOURCE_EXHAUSTED
    raw.close()


async def test_a_handler_that_does_not_read_stops_its_client(house: House, raw: Raw) -> None:
    go = asyncio.Event()
    got: list[int] = []

    async def collect(requests: AsyncIterator[bytes], _context: object) -> bytes:
        await go.wait()
        got.extend([len(one) async for one in requests])
        return b""

    house.behave = collect
    raw.call(method="Collect")
    sent = 0
    connection = await house.connection()
    while sent + 16_384 <= 256 * 1024:
        raw.send(frame.frame(frame.DATA, 0, 1, b"\0\0\0\x3f\xfb" + bytes(16_379)))
        sent += 16_384
    await until(lambda: connection.core.held >= sent)
    go.set()
    while (found := await raw.frame())[0] != frame.WINDOW_UPDATE or found[2] != 1:
        pass
    assert int.from_bytes(found[3], "big") >= sent / 2
    raw.send(frame.frame(frame.DATA, frame.END_STREAM, 1))
    assert status((await raw.answer())[0]) is StatusCode.OK
    assert got == [16_379] * (sent // 16_384)


async def test_a_reader_that_stops_holds_back_the_handler_and_costs_no_memory(house: House) -> None:
    sent: list[int] = []

    async def push(_request: bytes, _context: object) -> AsyncIterator[bytes]:
        for number in range(64):
            yield bytes(64 * 1024)
            sent.append(number)

    house.behave = push
    raw = await house.raw()
    raw.send(frame.settings({4: 2**31 - 1}), frame.window_update(0, 2**30))
    raw.call(method="Push")
    raw.message(b"")
    connection = await house.connection()
    await until(lambda: connection.core.held_back)
    transport = connection.protocol.transport
    assert transport.get_write_buffer_size() + connection.core.unsent < HIGH_WATER + 256 * 1024
    assert len(sent) < 32
    _, body = await raw.answer()
    assert len(body) == 64 * (5 + 64 * 1024)
    raw.close()


async def test_a_window_of_nothing_holds_back_the_handler(house: House) -> None:
    sent: list[int] = []

    async def push(_request: bytes, context: Any) -> None:  # noqa: ANN401 - the context
        for number in range(3):
            await context.write(b"x")
            sent.append(number)

    house.behave = push
    raw = await house.raw(greet=False)
    raw.send(frame.PREFACE, frame.settings({4: 0}))
    raw.call(method="Push")
    raw.message(b"")
    await raw.until(frame.HEADERS)
    assert sent == []
    raw.send(frame.window_update(1, 6))
    assert await raw.until(frame.DATA) == b"\0\0\0\0\1x"
    assert sent in ([], [0])
    raw.send(frame.window_update(1, 12))
    assert status((await raw.answer())[0]) is StatusCode.OK
    raw.close()


async def test_answers_that_nobody_reads_are_bounded_per_connection(houses: Houses) -> None:
    house = await houses(Options(http2=Limits(unsent=100_000)))
    house.behave = echo
    raw = await house.raw(greet=False)
    raw.send(frame.PREFACE, frame.settings({4: 0}))
    for number in range(20):
        raw.call(2 * number + 1)
        raw.message(bytes(10_000), 2 * number + 1)
    connection = await house.connection()
    refused = 0
    while refused < 20 - 9:
        kind, flags, _, payload = await raw.frame()
        if kind == frame.HEADERS and flags & frame.END_STREAM:
            assert status(dict(raw.decoder.decode(payload))) is StatusCode.RESOURCE_EXHAUSTED
            refused += 1
        assert connection.core.unsent <= 100_000
    raw.close()


async def test_a_peer_that_does_not_read_is_not_listened_to(houses: Houses) -> None:
    """Answers to its frames would be kept without end."""
    house = await houses(Options(http2=Limits(control=10**9)))
    raw = await house.raw()
    await raw.until(frame.SETTINGS)
    raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
    connection = await house.connection()
    pings = frame.frame(frame.PING, 0, 0, bytes(8)) * 1000
    transport = connection.protocol.transport
    written = 0
    while transport.is_reading():
        raw.send(pings)
        written += len(pings)
        await asyncio.sleep(0)
        assert written < 100 * MIB
    assert transport.get_write_buffer_size() < MIB
    raw.writer.transport.abort()
    await until(lambda: house.server.connections == 0)


async def test_handlers_that_do_not_end_when_cancelled_are_bounded(houses: Houses) -> None:
    house = await houses(Options(http2=Limits(streams=5, resets=1000)))
    go = asyncio.Event()

    async def stay(_request: bytes, _context: object) -> bytes:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return b""

    house.behave = stay
    raw = await house.raw()
    connection = await house.connection()
    for number in range(10):
        raw.call(2 * number + 1)
        raw.message(b"", 2 * number + 1)
        await until(lambda wanted=number + 1: len(connection.running) == wanted)  # type: ignore[misc]
        raw.send(frame.rst_stream(2 * number + 1, ErrorCode.CANCEL))
    raw.call(21)
    assert (await raw.answer(21))[0] == {b"reset": bytes((ErrorCode.REFUSED_STREAM,))}
    go.set()
    await until(lambda: not connection.running)
    raw.close()
