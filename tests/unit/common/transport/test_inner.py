import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay.testing.wait import until
from assay.transport import inner as inner_module
from assay.transport.inner import Inner, InnerPool, PrivateFolder

SPARE = 3


class Server:
    """Accepts and keeps what it accepted, until told otherwise."""

    def __init__(self, path: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.setblocking(False)
        self.listening.bind(str(path))
        self.listening.listen()
        self.connections: dict[bytes, socket.socket] = {}

    async def accept(self, count: int) -> None:
        for _ in range(count):
            connection, name = await asyncio.get_running_loop().sock_accept(self.listening)
            self.connections[name] = connection

    def drop_all(self) -> None:
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()


@pytest.fixture
async def server(socket_path: Path) -> AsyncIterator[Server]:
    server = Server(socket_path)
    yield server
    server.drop_all()
    server.listening.close()


@pytest.fixture
async def pool(socket_path: Path, server: Server) -> AsyncIterator[InnerPool]:
    """A pool that the server knows all connections of."""
    pool = InnerPool(socket_path, spare=SPARE)
    pool.refill()
    await server.accept(SPARE)
    await filled(pool)
    yield pool
    await pool.close()


async def filled(pool: InnerPool) -> None:
    await until(lambda: len(pool) >= SPARE)


async def ask(server: Server, inner: Inner) -> bytes:
    """What the server reads from that connection."""
    inner.transport.write(b"hello")
    connection = server.connections[b"\0" + inner.name.encode()]
    connection.setblocking(False)
    return await asyncio.get_running_loop().sock_recv(connection, 10)


def test_the_folder_is_for_this_user_only_and_is_removed_with_its_contents() -> None:
    folder = PrivateFolder()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.path.stat().st_uid == os.getuid()
    folder.socket.touch()
    folder.remove()
    assert not folder.path.exists()
    folder.remove()


def test_a_folder_too_deep_for_a_socket_is_refused(folder: Path) -> None:
    deep = folder / ("d" * 100)
    deep.mkdir()
    with pytest.raises(FailedPreconditionError, match="TMPDIR"):
        PrivateFolder(deep)
    assert not list(deep.iterdir())


async def test_connections_wait_ready_and_are_replaced_when_taken(pool: InnerPool, server: Server) -> None:
    inner = await pool.take()
    assert await ask(server, inner) == b"hello"
    await server.accept(1)
    await filled(pool)
    inner.transport.abort()


async def test_names_are_random_letters_and_digits(pool: InnerPool) -> None:
    names = [(inner := await pool.take()).name for _ in range(SPARE)]
    inner.transport.abort()
    assert len(set(names)) == SPARE
    assert all(name.isascii() and name.isalnum() and len(name) == 32 for name in names)


async def test_more_than_are_ready_are_dialled_at_once(pool: InnerPool, server: Server) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.take()) for _ in range(4 * SPARE)]
        await server.accept(4 * SPARE)
    taken = [task.result() for task in tasks]
    assert len({inner.name for inner in taken}) == 4 * SPARE
    for inner in taken:
        inner.transport.abort()


async def test_those_that_the_server_dropped_are_not_handed_out(pool: InnerPool, server: Server) -> None:
    server.drop_all()
    await until(lambda: len(pool) == 0)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(pool.take())
        await server.accept(1 + SPARE)
    assert await ask(server, taking.result()) == b"hello"
    taking.result().transport.abort()


async def test_one_that_is_just_closing_is_not_handed_out(pool: InnerPool, server: Server) -> None:
    spares = list(pool._ready)
    for spare in spares:
        spare.transport.close()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.accept(1))
        taken = await pool.take()
    assert taken not in spares
    taken.transport.abort()


async def test_a_server_that_drops_all_of_them_is_not_dialled_without_pause(pool: InnerPool, server: Server) -> None:
    server.drop_all()
    await until(lambda: len(pool) == 0)
    assert pool._later is not None
    assert pool._later.when() - asyncio.get_running_loop().time() > inner_module.REFILL_PAUSE / 2
    assert pool._filler is None or pool._filler.done()


async def test_spares_are_replaced_before_grpc_would_drop_them(socket_path: Path, server: Server) -> None:
    pool = InnerPool(socket_path, spare=SPARE, lifetime=0.01)
    pool.refill()
    await server.accept(SPARE)
    first = set(server.connections)
    for name in first:
        assert await asyncio.get_running_loop().sock_recv(server.connections[name], 1) == b""
    await server.accept(SPARE)
    await pool.close()


async def test_without_a_server_taking_fails_and_later_succeeds(socket_path: Path) -> None:
    pool = InnerPool(socket_path, spare=SPARE)
    with pytest.raises(OSError):
        await pool.take()
    server = Server(socket_path)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(pool.take())
        await server.accept(1)
    taking.result().transport.abort()
    await pool.close()
    server.drop_all()
    server.listening.close()


async def test_a_full_backlog_is_waited_for(socket_path: Path, server: Server) -> None:
    server.listening.listen(0)
    pool = InnerPool(socket_path, spare=0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.take()) for _ in range(4)]
        await server.accept(4)
    for task in tasks:
        task.result().transport.abort()
    await pool.close()


async def test_a_closed_pool_drops_its_spares_and_dials_no_more(pool: InnerPool, server: Server) -> None:
    await pool.close()
    assert len(pool) == 0
    for connection in server.connections.values():
        connection.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(connection, 1) == b""
    pool.refill()
    assert pool._filler is None or pool._filler.done()
