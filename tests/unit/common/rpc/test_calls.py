"""All four kinds of calls, with grpc's own clients, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.rpc.call import EOF
from assay.rpc.server import peer_of
from assay.rpc.status import EndError, StatusCode
from assay.testing.wait import until
from assay.transport.peer import UnixPeer

if TYPE_CHECKING:
    from tests.unit.common.rpc.conftest import House

S = "/assay.testing.Rpc/"
PATIENCE = 30.0
MIB = 1024 * 1024


async def echo(request: bytes, _context: object) -> bytes:
    return request


async def refusal(call: Any) -> aio.AioRpcError:  # noqa: ANN401 - any kind of call
    with pytest.raises(aio.AioRpcError) as error:
        await call
    return error.value


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 100_000, 4 * MIB])
async def test_unary_calls_of_any_size(house: House, size: int) -> None:
    house.behave = echo
    options = [("grpc.max_receive_message_length", -1)]
    async with house.channel(options=options) as channel:
        assert await channel.unary_unary(S + "Unary")(b"x" * size) == b"x" * size


async def test_many_calls_at_once_on_one_connection(house: House) -> None:
    house.behave = echo
    async with house.channel() as channel:
        call = channel.unary_unary(S + "Unary")
        answers = await asyncio.gather(*[call(b"%d" % number) for number in range(1000)])
    assert answers == [b"%d" % number for number in range(1000)]
    assert house.server.connections <= 1


async def test_a_blocking_client(house: House) -> None:
    house.behave = echo

    def call() -> bytes:
        with grpc.insecure_channel(f"unix:{house.path}") as opened:
            channel: Any = opened
            answer: bytes = channel.unary_unary(S + "Unary")(b"hello", timeout=PATIENCE)
            return answer

    assert await asyncio.to_thread(call) == b"hello"


async def test_streams_of_answers_from_generators_and_from_writers(house: House) -> None:
    async def generate(request: bytes, _context: object) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    async def write(request: bytes, context: Any) -> None:  # noqa: ANN401 - the context
        for number in range(int(request)):
            await context.write(b"%d" % number)

    async with house.channel() as channel:
        for behaviour in (generate, write):
            house.behave = behaviour
            for count in (0, 1, 1000):
                got = [one async for one in channel.unary_stream(S + "Push")(b"%d" % count)]
                assert got == [b"%d" % number for number in range(count)]


async def test_large_answers_come_in_full(house: House) -> None:
    async def push(_request: bytes, _context: object) -> AsyncIterator[bytes]:
        for number in range(20):
            yield bytes((number,)) * MIB

    house.behave = push
    async with house.channel() as channel:
        got = [one async for one in channel.unary_stream(S + "Push")(b"")]
    assert [one[:1] * MIB == one for one in got] == [True] * 20
    assert [one[0] for one in got] == list(range(20))


async def test_streams_of_requests_by_iterator_and_by_reading(house: House) -> None:
    async def iterate(requests: AsyncIterator[bytes], _context: object) -> bytes:
        return b",".join([one async for one in requests])

    async def read(_requests: object, context: Any) -> bytes:  # noqa: ANN401 - the context
        found = []
        while (message := await context.read()) is not EOF:
            found.append(message)
        return b",".join(found)

    async with house.channel() as channel:
        for behaviour in (iterate, read):
            house.behave = behaviour
            requests = [b"%d" % number for number in range(500)]
            assert await channel.stream_unary(S + "Collect")(iter(requests)) == b",".join(requests)
            assert await channel.stream_unary(S + "Collect")(iter([])) == b""


async def test_a_conversation(house: House) -> None:
    async def talk(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        yield b"welcome"
        async for one in requests:
            yield one.upper()

    house.behave = talk
    async with house.channel() as channel:
        call = channel.stream_stream(S + "Talk")()
        assert await call.read() == b"welcome"
        for word in (b"one", b"two"):
            await call.write(word)
            assert await call.read() == word.upper()
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_large_requests_are_taken_while_earlier_ones_are_read(house: House) -> None:
    async def sizes(requests: AsyncIterator[bytes], _context: object) -> bytes:
        return b"%d" % sum([len(one) async for one in requests])

    house.behave = sizes
    async with house.channel() as channel:
        answer = await channel.stream_unary(S + "Collect")(iter([bytes(3 * MIB)] * 20))
    assert answer == b"%d" % (60 * MIB)


REFUSALS: dict[str, Callable[[Any], Any]] = {
    "by abort with grpc's code": lambda context: context.abort(grpc.StatusCode.NOT_FOUND, "no 100 % ä\n"),
    "by abort with ours": lambda context: context.abort(StatusCode.NOT_FOUND, "no 100 % ä\n"),
}


@pytest.mark.parametrize("form", REFUSALS)
@pytest.mark.parametrize("kind", ["Unary", "Push", "Collect", "Talk"])
async def test_every_kind_can_be_refused(house: House, form: str, kind: str) -> None:
    async def refuse(_request: object, context: Any) -> None:  # noqa: ANN401 - the context
        await REFUSALS[form](context)

    house.behave = refuse
    async with house.channel() as channel:
        calls = {
            "Unary": lambda: channel.unary_unary(S + kind)(b""),
            "Push": lambda: channel.unary_stream(S + kind)(b"").read(),
            # One message: a client in C that is refused while it sends the next one may report its sending instead.
            "Collect": lambda: channel.stream_unary(S + kind)(iter([b""])),
            "Talk": lambda: channel.stream_stream(S + kind)(iter([b""])).read(),
        }
        error = await refusal(calls[kind]())
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no 100 % ä\n")


async def test_metadata_goes_both_ways(house: House) -> None:
    found: list[dict[str, Any]] = []

    async def answer(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
        found.append(dict(context.invocation_metadata()))
        await context.send_initial_metadata((("first", "1"), ("raw-bin", b"\0\xff")))
        context.set_trailing_metadata((("last", "2"), ("more-bin", b"\1")))
        return request

    house.behave = answer
    async with house.channel() as channel:
        call = channel.unary_unary(S + "Unary")(b"x", metadata=(("a", "text, with comma"), ("b-bin", b"\0\xfe,\x01")))
        assert await call == b"x"
        assert dict(await call.initial_metadata()) == {"first": "1", "raw-bin": b"\0\xff"}
        assert dict(await call.trailing_metadata()) == {"last": "2", "more-bin": b"\1"}
    (metadata,) = found
    assert (metadata["a"], metadata["b-bin"]) == ("text, with comma", b"\0\xfe,\x01")
    assert not {"te", "content-type", "grpc-timeout"} & set(metadata)


async def test_a_refusal_carries_its_trailers(house: House) -> None:
    async def refuse(_request: bytes, _context: object) -> bytes:
        raise EndError(StatusCode.PERMISSION_DENIED, "no", (("grpc-status-details-bin", b"\x08\x07"),))

    house.behave = refuse
    async with house.channel() as channel:
        error = await refusal(channel.unary_unary(S + "Unary")(b""))
    assert dict(error.trailing_metadata()) == {"grpc-status-details-bin": b"\x08\x07"}


@pytest.mark.parametrize("trailers", [(("x", "a\nb"),), (("x", "ä"),), (("ä", "x"),)])
async def test_trailers_that_cannot_be_sent_do_not_keep_the_status(house: House, trailers: Any) -> None:  # noqa: ANN401
    async def refuse(_request: bytes, _context: object) -> bytes:
        raise EndError(StatusCode.PERMISSION_DENIED, "no", trailers)

    house.behave = refuse
    with capture_logs() as logs:
        async with house.channel() as channel:
            assert (await refusal(channel.unary_unary(S + "Unary")(b""))).code() is grpc.StatusCode.PERMISSION_DENIED
    assert [one["event"] for one in logs] == ["Trailing metadata cannot be sent"]


async def test_a_message_of_any_length_leaves_the_status_readable(house: House) -> None:
    async def refuse(_request: bytes, _context: object) -> bytes:
        raise EndError(StatusCode.PERMISSION_DENIED, "ä" * 100_000)

    house.behave = refuse
    async with house.channel() as channel:
        error = await refusal(channel.unary_unary(S + "Unary")(b""))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.details() == "ä" * (4096 // 6)


async def test_what_a_handler_raises_is_logged_and_not_told(house: House) -> None:
    async def fail(_request: bytes, _context: object) -> bytes:
        raise RuntimeError("secret detail")

    house.behave = fail
    with capture_logs() as logs:
        async with house.channel() as channel:
            error = await refusal(channel.unary_unary(S + "Unary")(b""))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNKNOWN, "unexpected error")
    assert [(one["event"], one["method"]) for one in logs] == [("Unexpected error", S + "Unary")]


@pytest.mark.parametrize("path", [S + "Missing", "/nobody.Service/Unary", "/x"])
async def test_what_nobody_serves_is_unimplemented(house: House, path: str) -> None:
    async with house.channel() as channel:
        for call in (channel.unary_unary(path)(b""), channel.stream_stream(path)(iter([b""])).read()):
            assert (await refusal(call)).code() is grpc.StatusCode.UNIMPLEMENTED
    assert house.method(path) is None


async def test_a_caller_that_gives_up_ends_the_handler(house: House) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(_request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert context.cancelled()
            ended.set()
        return b""

    house.behave = wait
    async with house.channel() as channel:
        call = channel.unary_unary(S + "Unary")(b"")
        await begun.wait()
        call.cancel()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()


async def test_a_caller_that_disconnects_ends_the_handler_and_frees_its_generator(house: House) -> None:
    ended = asyncio.Event()

    async def push(_request: bytes, _context: object) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.set()

    house.behave = push
    async with house.channel() as channel:
        assert await channel.unary_stream(S + "Push")(b"").read() == b"first"
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    await until(lambda: house.server.connections == 0)


@pytest.mark.parametrize("kind", ["Unary", "Talk"])
async def test_a_deadline_that_passes_ends_call_and_handler(house: House, kind: str) -> None:
    ended = asyncio.Event()
    remaining: list[float] = []

    async def wait(_request: object, context: Any) -> None:  # noqa: ANN401 - the context
        remaining.append(context.time_remaining())
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    house.behave = wait
    seconds = 0.1
    async with house.channel() as channel:
        # On a busy machine it may pass before the handler runs.
        while not remaining:
            seconds *= 2
            call = channel.unary_unary(S + kind)(b"", timeout=seconds)
            assert (await refusal(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    assert 0 < remaining[0] < seconds + 0.001  # sums of times are rounded


async def test_calls_with_deadlines_that_end_before_leave_nothing(house: House) -> None:
    house.behave = echo
    async with house.channel() as channel:
        for _ in range(20):
            await channel.unary_unary(S + "Unary")(b"", timeout=100)
        (connection,) = house.server._connections
        assert connection.deadlines._calls == {}
        assert connection.running == {}
        assert (connection.core.held, connection.core.unsent, connection.core.streams) == (0, 0, {})


async def test_the_handler_knows_the_process_that_calls(house: House) -> None:
    peers: list[Any] = []

    async def who(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
        peers.append(peer_of(context))
        assert context.peer() == "unix:"
        return request

    house.behave = who
    async with house.channel() as channel:
        await channel.unary_unary(S + "Unary")(b"")
    (peer,) = peers
    assert isinstance(peer, UnixPeer)
    await until(lambda: house.server.connections == 0)
    assert not peer.process.alive(), "let go with its connection"
