import asyncio
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import grpc.aio
import pytest

from assay.errors import FailedPreconditionError, UnauthenticatedError
from assay.testing.echo import CHUNK, FLOOD, HOLD, UNARY, Context, Echo, EchoStub, raw_call
from assay.testing.wait import until
from assay.transport.dial import dial_unix
from assay.transport.front import Front
from assay.transport.inner import SPARE
from assay.transport.limits import Limits
from assay.transport.peer import Peer, UnixPeer
from assay.transport.pump import HIGH_WATER
from assay.transport.room import Room

ONE_READ = 256 * 1024
CALLER = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(bytes.fromhex(sys.argv[2]))
data = b""
while b"who am I" not in data:
    data += s.recv(4096)
print("answered", flush=True)
input()
"""


class Callers:
    """Processes that make one call each and then stay connected until they are told to go."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack

    async def call(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-SEc", CALLER, str(self._path), raw_call(UNARY, b"who am I").hex()]
        process = subprocess.Popen(  # noqa: ASYNC220 - starting takes no time; only its output is waited for
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self._stack.enter_context(process)
        assert process.stdout
        assert await asyncio.to_thread(process.stdout.readline) == b"answered\n"
        return process


@pytest.fixture
def callers(listening: Path) -> Iterator[Callers]:
    with ExitStack() as stack:
        yield Callers(listening, stack)


@pytest.fixture
def peers(echo: Echo, front: Front) -> list[Peer]:
    """Who made each call, as the front told the handler."""
    found: list[Peer] = []

    def on_call(context: Context) -> None:
        found.append(front.peer(context))

    echo.on_call = on_call
    return found


async def unary(path: Path, payload: bytes = b"hello") -> bytes:
    async with dial_unix(path) as channel:
        return await EchoStub(channel).unary(payload, timeout=10)


async def test_a_handler_learns_the_process_that_calls(callers: Callers, peers: list[Peer]) -> None:
    child = await callers.call()
    (peer,) = peers
    assert isinstance(peer, UnixPeer)
    assert peer.pid == child.pid != os.getpid()
    assert (peer.uid, peer.gid) == (os.getuid(), os.getgid())
    assert peer.process.alive()


async def test_two_processes_on_one_socket_are_told_apart(callers: Callers, peers: list[Peer]) -> None:
    first, second = await callers.call(), await callers.call()
    assert [peer.pid for peer in peers if isinstance(peer, UnixPeer)] == [first.pid, second.pid]


async def test_a_caller_that_exits_is_forgotten(front: Front, callers: Callers, peers: list[Peer]) -> None:
    child = await callers.call()
    (peer,) = peers
    child.kill()
    child.wait()
    assert isinstance(peer, UnixPeer)
    assert not peer.process.alive()
    await until(lambda: front.connections == 0)
    assert len(front._registry) == 0
    assert peer.process.fd == -1


async def test_who_gets_to_the_inner_socket_by_another_way_is_refused(echo: Echo, front: Front) -> None:
    refused: list[str] = []

    def on_call(context: Context) -> None:
        with pytest.raises(UnauthenticatedError):
            front.peer(context)
        refused.append(context.peer())

    echo.on_call = on_call
    assert await unary(front._folder.socket) == b"hello"

    named = socket.socket(socket.AF_UNIX)
    named.bind(f"\0{'a' * 32}")
    named.connect(str(front._folder.socket))
    reader, writer = await asyncio.open_unix_connection(sock=named)
    writer.write(raw_call(UNARY, b"named"))
    await reader.readuntil(b"named")
    writer.close()
    assert refused == ["unix:", f"unix-abstract:{'a' * 32}"]


async def test_only_this_user_can_get_to_the_inner_socket(front: Front) -> None:
    found = front._folder.path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == os.getuid()


async def test_a_connections_name_is_forgotten_before_anyone_else_can_have_it(
    front: Front, listening: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[bool] = []
    remove = front._registry.remove

    def removing(name: str) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            try:
                other.bind(f"\0{name}")
                free.append(True)
            except OSError:
                free.append(False)
        remove(name)

    monkeypatch.setattr(front._registry, "remove", removing)
    await unary(listening)
    async with dial_unix(listening) as channel:
        call = EchoStub(channel).hold(b"x")
        await call.read()
        await front.close(0)
    assert free == [False, False]


async def test_a_reader_that_stops_holds_back_the_server_and_costs_no_memory(
    echo: Echo, front: Front, listening: Path
) -> None:
    chunks = 256
    reader, writer = await asyncio.open_unix_connection(listening, limit=1024)
    writer.write(raw_call(FLOOD, str(chunks).encode()))
    await until(lambda: any(not pump.inner.transport.is_reading() for pump in front._pumps))
    assert front.buffered <= HIGH_WATER + ONE_READ
    assert echo.sent < chunks // 2
    got = 0
    while got < chunks * CHUNK:
        got += len(await reader.read(1024 * 1024))
        assert front.buffered <= HIGH_WATER + ONE_READ
    await until(lambda: echo.sent == chunks)
    writer.close()


async def test_a_half_open_connection_is_closed(front: Front, listening: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(listening)
    writer.write(raw_call(HOLD, b"x"))
    await reader.readexactly(1)
    writer.write_eof()
    while await reader.read(1024):
        pass
    await until(lambda: front.connections == 0)
    writer.close()


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", os.urandom(65536), b"\x16\x03\x01", b"\0" * 100_000])
async def test_rubbish_costs_its_sender_the_connection_and_nobody_else(
    front: Front, listening: Path, rubbish: bytes
) -> None:
    async with dial_unix(listening) as channel:
        other = EchoStub(channel).hold(b"x")
        await other.read()
        reader, writer = await asyncio.open_unix_connection(listening)
        writer.write(rubbish)
        writer.write_eof()
        try:
            while await reader.read(1024):
                pass
        except ConnectionError:
            pass
        writer.close()
        assert await EchoStub(channel).unary(b"still here") == b"still here"
        await until(lambda: front.connections == 1)
        assert not other.done()
        other.cancel()


async def test_callers_that_say_nothing_do_not_keep_others_out(listening: Path) -> None:
    silent = [await asyncio.open_unix_connection(listening) for _ in range(50)]
    assert await unary(listening) == b"hello"
    for _, writer in silent:
        writer.close()


async def test_callers_are_served_though_temporary_files_were_cleaned_up(front: Front, listening: Path) -> None:
    shutil.rmtree(front._folder.path)
    # More than connections that were ready before.
    for _ in range(2 * SPARE):
        assert await unary(listening) == b"hello"


async def test_one_user_cannot_take_all_connections_of_an_open_socket(echo: Echo, folder: Path) -> None:
    front = Front(echo.server, room=Room(8))
    await front.start()
    await front.listen_unix(folder / "open.sock")
    await front.listen_unix(folder / "operators.sock", always=True)
    crowd = [await asyncio.open_unix_connection(folder / "open.sock") for _ in range(4)]
    await until(lambda: front.connections == 4)
    reader, writer = await asyncio.open_unix_connection(folder / "open.sock")
    assert await reader.read() == b""
    assert await unary(folder / "operators.sock") == b"hello"
    for _, one in [*crowd, (reader, writer)]:
        one.close()
    await until(lambda: front.connections == 0)
    assert await unary(folder / "open.sock") == b"hello"
    await front.close(0)


async def test_a_thousand_connections_at_once(front: Front, listening: Path, peers: list[Peer]) -> None:
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Client's end, its pidfd, and both ends of the inner connection, all in this process; and one user has half.
    needed = 10 * count + 500
    if hard < needed:
        pytest.skip(f"needs {needed} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    loop = asyncio.get_running_loop()

    async def call(number: int) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        # The backlog is as long as the listener asks for.
        await until(lambda: connection.connect_ex(str(listening)) == 0)
        await loop.sock_sendall(connection, raw_call(UNARY, b"call %d." % number))
        data = b""
        while b"call %d." % number not in data:
            data += await loop.sock_recv(connection, 4096)
        return connection

    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(call(number)) for number in range(count)]
        assert front.connections == count
        assert len(peers) == count
        for done in calls:
            done.result().close()
        await until(lambda: front.connections == 0)
        assert len(front._registry) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_closing_lets_calls_end_within_the_grace(echo: Echo, front: Front, listening: Path) -> None:
    # The client says all it has to say at once: one that talks on may meet a socket that gRPC has closed meanwhile.
    reader, writer = await asyncio.open_unix_connection(listening)
    writer.write(raw_call(FLOOD, b"200"))
    received = len(await reader.readexactly(CHUNK))
    async with asyncio.TaskGroup() as group:
        group.create_task(front.close(10))
        received += len(await reader.read())
    writer.close()
    assert received > 200 * CHUNK
    assert echo.sent == 200


async def test_closing_ends_open_streams_after_the_grace_and_leaves_nothing(front: Front, listening: Path) -> None:
    async with dial_unix(listening) as channel:
        call = EchoStub(channel).hold(b"x")
        assert await call.read() == b"x"
        await front.close(0.05)
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
    assert (listening.exists(), front._folder.path.exists()) == (False, False)  # noqa: ASYNC240 - a test
    assert (front.connections, len(front._registry), len(front._pool)) == (0, 0, 0)


async def test_closing_does_not_wait_for_a_caller_that_does_not_read(echo: Echo, socket_path: Path) -> None:
    front = Front(echo.server, limits=Limits(linger=0.05))
    await front.start()
    await front.listen_unix(socket_path)
    _, writer = await asyncio.open_unix_connection(socket_path, limit=1024)
    writer.write(raw_call(FLOOD, b"256"))
    await until(lambda: any(not pump.inner.transport.is_reading() for pump in front._pumps))
    await front.close(0)
    assert front.connections == 0
    writer.close()


async def test_closing_before_anyone_listened(echo: Echo) -> None:
    front = Front(echo.server)
    await front.start()
    await front.close(0)
    assert not front._folder.path.exists()


async def test_two_fronts_cannot_share_a_path(front: Front, listening: Path) -> None:
    with pytest.raises(FailedPreconditionError):
        await front.listen_unix(listening)
    assert await unary(listening) == b"hello"


async def test_the_next_connection_finds_one_to_the_server_ready(front: Front, listening: Path) -> None:
    await until(lambda: len(front._pool) > 0)
    ready = {inner.name for inner in front._pool._ready}
    async with dial_unix(listening) as channel:
        await EchoStub(channel).unary(b"x")
        assert set(front._registry._peers) <= ready


async def test_a_unix_path_may_have_any_characters(front: Front, folder: Path) -> None:
    path = folder / "a b#c%d?e" / "s:1"
    await front.listen_unix(path)
    assert await unary(path) == b"hello"
