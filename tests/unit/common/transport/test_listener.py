import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.errors import UnauthenticatedError
from assay.testing.wait import until
from assay.transport.listener import BATCH, Listener


class Accepting:
    """What a test has a listener do with each connection; by default greet and hang up."""

    def __init__(self) -> None:
        self.started = asyncio.Event()

    def __call__(self, connection: socket.socket, _address: object) -> Coroutine[Any, Any, None]:
        return self.serve(connection)

    async def serve(self, connection: socket.socket) -> None:
        self.started.set()
        await asyncio.get_running_loop().sock_sendall(connection, b"hello")
        connection.close()


@pytest.fixture
async def accepting() -> Accepting:
    return Accepting()


@pytest.fixture
async def listener(socket_path: Path, accepting: Accepting) -> AsyncIterator[Listener]:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(socket_path))
    listening.listen(128)
    listener = Listener(listening, accepting)
    listener.start()
    yield listener
    await listener.close()


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Has the process run out of descriptors until the test ends or `no_descriptors()` is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))

    def enough() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    yield enough
    enough()


async def greeting(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    data = await reader.read()
    writer.close()
    return data


async def test_every_connection_is_served(listener: Listener, socket_path: Path) -> None:
    assert listener.socket.fileno() >= 0
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(greeting(socket_path)) for _ in range(100)]
    assert {task.result() for task in tasks} == {b"hello"}


@pytest.mark.parametrize("error", [UnauthenticatedError("no"), OSError("broken"), TimeoutError()])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.usefixtures("listener")
async def test_a_refused_connection_is_closed_and_the_next_one_served(
    accepting: Accepting, socket_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, at_once: bool
) -> None:
    async def later(_connection: socket.socket) -> None:
        raise error

    def now(_connection: socket.socket) -> Coroutine[Any, Any, None]:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(accepting, "serve", now if at_once else later)
        assert await greeting(socket_path) == b""
    assert await greeting(socket_path) == b"hello"


@pytest.mark.usefixtures("listener")
async def test_a_defect_costs_one_connection_and_is_logged(
    accepting: Accepting, socket_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def defect(_connection: socket.socket) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(accepting, "serve", defect)
        assert await greeting(socket_path) == b""
    assert [(record.name, record.levelname) for record in caplog.records] == [("assay.transport", "ERROR")]
    assert await greeting(socket_path) == b"hello"


async def test_running_out_of_descriptors_delays_and_does_not_end_accepting(
    listener: Listener, socket_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        enough: Callable[[], None] = request.getfixturevalue("no_descriptors")
        client.connect(str(socket_path))
        await until(lambda: listener._resume is not None)
        enough()
        assert await asyncio.get_running_loop().sock_recv(client, 10) == b"hello"
    first = caplog.records[0]
    assert first.message == "Failed to accept connection"
    assert f"[Errno {errno.EMFILE}]" in vars(first)["fields"]["error"]


async def test_closing_ends_what_is_under_way_and_accepts_no_more(
    listener: Listener, accepting: Accepting, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(_connection: socket.socket) -> None:
        accepting.started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(accepting, "serve", forever)
    async with asyncio.TaskGroup() as group:
        greeted = group.create_task(greeting(socket_path))
        await accepting.started.wait()
        await listener.close()
    assert greeted.result() == b""
    with pytest.raises(ConnectionRefusedError):
        await greeting(socket_path)
    await listener.close()


async def test_closing_while_it_waits_for_descriptors(
    listener: Listener, socket_path: Path, request: pytest.FixtureRequest
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        request.getfixturevalue("no_descriptors")
        client.connect(str(socket_path))
        await until(lambda: listener._resume is not None)
        resuming = listener._resume
        await listener.close()
    assert resuming is not None
    assert resuming.cancelled()


class Noting:
    """Notes whose connections are set up, in order; who a connection is from is told by `whose`."""

    def __init__(self) -> None:
        self.whose: list[str] = []
        self.order: list[str] = []
        self.accepted = 0
        self.looked_at = 0

    def __call__(self, connection: socket.socket, _address: object) -> Coroutine[Any, Any, None]:
        who = self.whose[self.accepted]
        self.accepted += 1
        if who == "refused":
            raise UnauthenticatedError("not you")
        return self.serve(connection, who)

    async def serve(self, connection: socket.socket, who: str) -> None:
        self.order.append(who)
        connection.close()

    def whence(self, _connection: socket.socket) -> tuple[str, int]:
        self.looked_at += 1
        return self.whose[self.looked_at - 1], 0


@pytest.fixture
async def noting() -> Noting:
    return Noting()


@pytest.fixture
async def fair(socket_path: Path, noting: Noting) -> AsyncIterator[Listener]:
    """Takes connections as they come, and sets them up in turns."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(socket_path))
    listening.listen(256)
    listener = Listener(listening, noting, noting.whence)
    yield listener
    await listener.close()


def connected(path: Path, count: int) -> list[socket.socket]:
    made = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    for one in made:
        one.connect(str(path))
    return made


async def test_who_comes_in_crowds_waits_behind_who_comes_alone(
    fair: Listener, noting: Noting, socket_path: Path
) -> None:
    """Though all of the crowd were in the kernel's queue before."""
    noting.whose = ["crowd"] * 60 + ["alone"] + ["refused"] * 30 + ["another"]
    clients = connected(socket_path, len(noting.whose))
    fair.start()
    await until(lambda: len(noting.order) == 62)
    assert noting.accepted == len(noting.whose)
    assert {"alone", "another"} <= set(noting.order[:BATCH])
    for one in clients:
        one.close()


async def test_what_is_not_set_up_yet_is_closed_with_the_listener(
    fair: Listener, noting: Noting, socket_path: Path
) -> None:
    noting.whose = ["crowd"] * 60
    clients = connected(socket_path, len(noting.whose))
    fair._on_readable()
    assert noting.accepted == 60
    assert noting.order == []
    await fair.close()
    assert not fair._parked
    assert [one.recv(1) for one in clients] == [b""] * 60
    for one in clients:
        one.close()


async def test_who_has_hung_up_costs_no_more_than_to_be_looked_at(
    fair: Listener, noting: Noting, socket_path: Path
) -> None:
    noting.whose = ["gone"] * 50 + ["there"]
    for one in connected(socket_path, 50):
        one.close()
    (client,) = connected(socket_path, 1)
    noting.accepted = 50  # those before are not accepted
    fair.start()
    await until(lambda: noting.order == ["there"])
    assert (noting.accepted, noting.looked_at) == (51, 51)
    client.close()


async def test_who_comes_too_fast_is_turned_away_and_others_are_not(
    fair: Listener, noting: Noting, socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = asyncio.get_running_loop().time()
    while fair._pace.admits("flood", now + 3600):
        pass
    noting.whose = ["flood"] * 50 + ["alone"]
    clients = connected(socket_path, 51)
    noting.accepted = 50
    fair.start()
    await until(lambda: noting.order == ["alone"])
    assert [one.recv(1) for one in clients] == [b""] * 51
    (line,) = caplog.records
    assert (line.message, vars(line)["fields"]) == ("Too many connections at once", {"caller": "flood", "pid": 0})
    for one in clients:
        one.close()
