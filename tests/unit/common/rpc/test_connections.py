"""How connections begin, live and end, whatever their peers do."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio

from assay.errors import FailedPreconditionError, UnauthenticatedError
from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.rpc.server import Options, peer_of
from assay.testing.echo import raw_call
from assay.testing.wait import until
from assay.transport.limits import Limits
from assay.transport.room import Room

if TYPE_CHECKING:
    from tests.unit.common.rpc.conftest import House, Houses

S = "/assay.testing.Rpc/"
PATIENCE = 30.0


async def echo(request: bytes, _context: object) -> bytes:
    return request


async def hold(request: bytes, _context: object) -> AsyncIterator[bytes]:
    yield request
    await asyncio.Event().wait()


async def call(house: House) -> bytes:
    async with house.channel() as channel:
        answer: bytes = await channel.unary_unary(S + "Unary")(b"x", timeout=PATIENCE)
        return answer


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", os.urandom(65536), b"\x16\x03\x01", b"\0" * 100_000])
async def test_rubbish_costs_its_sender_the_connection_and_nobody_else(house: House, rubbish: bytes) -> None:
    house.behave = hold
    async with house.channel() as channel:
        other = channel.unary_stream(S + "Push")(b"x")
        assert await other.read() == b"x"
        raw = await house.raw(greet=False)
        raw.send(rubbish)
        raw.writer.write_eof()
        await raw.closed()
        raw.close()
        await until(lambda: house.server.connections == 1)
        assert not other.done()
        other.cancel()


async def test_who_says_nothing_is_cut_off_in_time_and_keeps_nobody_out(houses: Houses) -> None:
    house = await houses(Options(transport=Limits(handshake=0.3)))
    house.behave = echo
    silent = [await house.raw(greet=False) for _ in range(50)]
    slow = await house.raw(greet=False)
    slow.send(frame.PREFACE[:10])
    assert await call(house) == b"x"
    for one in [*silent, slow]:
        await one.closed()
        one.close()
    await until(lambda: house.server.connections == 0)


async def test_who_has_spoken_may_be_silent_from_then_on(houses: Houses) -> None:
    house = await houses(Options(transport=Limits(handshake=0.05)))
    house.behave = echo
    raw, other = await house.raw(), await house.raw(greet=False)
    await other.closed()
    raw.call()
    raw.message(b"x")
    assert (await raw.answer())[1][5:] == b"x"
    raw.close()
    other.close()


async def test_a_half_open_connection_is_closed_and_its_handler_ended(house: House) -> None:
    ended = asyncio.Event()

    async def push(request: bytes, _context: object) -> AsyncIterator[bytes]:
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            ended.set()

    house.behave = push
    raw = await house.raw()
    raw.call(method="Push")
    raw.message(b"x")
    await raw.until(frame.DATA)
    raw.writer.write_eof()
    await raw.closed()
    raw.close()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert house.server.connections == 0


async def test_one_user_cannot_take_all_connections_of_an_open_socket(houses: Houses) -> None:
    house = await houses(room=Room(8))
    house.behave = echo
    operators = house.path.with_name("operators.sock")
    await house.server.listen_unix(operators, always=True)
    crowd = [await house.raw() for _ in range(4)]
    await until(lambda: house.server.connections == 4)
    refused = await house.raw()
    await refused.closed()
    async with aio.insecure_channel(f"unix:{operators}") as channel:
        unary: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(S + "Unary")
        assert await unary(b"x") == b"x"
    for one in [*crowd, refused]:
        one.close()
    await until(lambda: house.server.connections == 0)
    assert await call(house) == b"x"


async def test_a_thousand_connections_at_once(house: House) -> None:
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 6 * count + 500
    if hard < needed:
        pytest.skip(f"needs {needed} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    house.behave = echo
    loop = asyncio.get_running_loop()

    async def one() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        await until(lambda: connection.connect_ex(str(house.path)) == 0)
        await loop.sock_sendall(connection, raw_call(S + "Unary", b"hello"))
        data = b""
        while b"hello" not in data:
            data += await loop.sock_recv(connection, 4096)
        return connection

    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(one()) for _ in range(count)]
        assert house.server.connections == count
        for done in calls:
            done.result().close()
        await until(lambda: house.server.connections == 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_closing_waits_for_calls_within_the_grace_and_takes_no_more(house: House) -> None:
    go = asyncio.Event()

    async def slow(request: bytes, _context: object) -> bytes:
        await go.wait()
        return request

    house.behave = slow
    raw = await house.raw()
    raw.call()
    raw.message(b"x")
    connection = await house.connection()
    await until(lambda: bool(connection.running))
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        closing = group.create_task(house.server.close(30))
        assert int.from_bytes((await raw.until(frame.GOAWAY))[:4], "big") == 2**31 - 1
        ping = await raw.until(frame.PING)
        raw.send(frame.frame(frame.PING, frame.ACK, 0, ping))
        assert int.from_bytes((await raw.until(frame.GOAWAY))[:4], "big") == 1
        assert not closing.done()
        go.set()
        assert (await raw.answer())[1][5:] == b"x"
        await raw.closed()
    raw.close()
    assert (house.path.exists(), house.server.connections) == (False, 0)


async def test_who_has_no_call_under_way_is_not_waited_for(house: House) -> None:
    house.behave = echo
    async with house.channel() as channel:
        await channel.unary_unary(S + "Unary")(b"x")
        mute = await house.raw()
        async with asyncio.timeout(PATIENCE):
            await house.server.close(30)
        mute.close()


async def test_closing_refuses_what_lasts_longer_and_ends_its_handler(house: House) -> None:
    ended = asyncio.Event()

    async def push(request: bytes, _context: object) -> AsyncIterator[bytes]:
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            ended.set()

    house.behave = push
    async with house.channel() as channel:
        stream = channel.unary_stream(S + "Push")(b"x")
        assert await stream.read() == b"x"
        await house.server.close(0.05)
        assert ended.is_set()
        with pytest.raises(aio.AioRpcError) as error:
            await stream.read()
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert error.value.details() == "server is shutting down"


async def test_closing_does_not_wait_for_who_does_not_read(houses: Houses) -> None:
    async def push(_request: bytes, _context: object) -> AsyncIterator[bytes]:
        while True:
            yield bytes(64 * 1024)

    house = await houses(Options(transport=Limits(linger=0.05)))
    house.behave = push
    raw = await house.raw()
    raw.send(frame.settings({4: 2**31 - 1}), frame.window_update(0, 2**30))
    raw.call(method="Push")
    raw.message(b"")
    connection = await house.connection()
    await until(lambda: connection.core.held_back)
    async with asyncio.timeout(PATIENCE):
        await house.server.close(0)
    assert house.server.connections == 0
    raw.close()


async def test_old_connections_are_sent_away_and_their_streams_stay(houses: Houses) -> None:
    house = await houses(Options(max_age=0.1))
    house.behave = hold
    raw = await house.raw()
    raw.call(method="Push")
    raw.message(b"x")
    ping = await raw.until(frame.PING)
    raw.send(frame.frame(frame.PING, frame.ACK, 0, ping))
    assert int.from_bytes((await raw.until(frame.GOAWAY))[:4], "big") == 1
    connection = await house.connection()
    assert connection.running
    raw.send(frame.rst_stream(1, ErrorCode.CANCEL))
    await raw.closed()
    raw.close()


async def test_a_connection_that_is_sent_away_costs_its_caller_no_call(houses: Houses) -> None:
    house = await houses(Options(max_age=0.05))
    house.behave = echo
    async with house.channel() as channel:
        for _ in range(100):
            assert await channel.unary_unary(S + "Unary")(b"x", timeout=PATIENCE) == b"x"
            await asyncio.sleep(0.002)


async def test_two_servers_cannot_share_a_path(house: House) -> None:
    house.behave = echo
    with pytest.raises(FailedPreconditionError):
        await house.server.listen_unix(house.path)
    assert await call(house) == b"x"


def test_a_context_of_another_server_names_nobody() -> None:
    with pytest.raises(UnauthenticatedError, match="not known"):
        peer_of(object())
