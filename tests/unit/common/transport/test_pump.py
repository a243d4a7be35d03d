import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from assay.testing.wait import until
from assay.transport.pump import HIGH_WATER, Pump, Side

# One read of either event loop, which may arrive after the writer asked for a pause.
ONE_READ = 256 * 1024
LINGER = 0.05


class Pumped:
    """A pump between two real connections, whose far ends are `client` and `server`."""

    def __init__(self) -> None:
        self.name = f"\0{secrets.token_hex(16)}"
        self.lost = asyncio.Event()
        self.closings: list[bool] = []
        self.pump: Pump

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.client, outer = socket.socketpair()
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"\0{secrets.token_hex(16)}")
            listening.listen()
            inner = socket.socket(socket.AF_UNIX)
            inner.bind(self.name)
            inner.connect(listening.getsockname())
            self.server, _ = listening.accept()
        for one in (self.client, self.server, outer, inner):
            one.setblocking(False)
        _, outer_side = await loop.connect_accepted_socket(Side, outer)
        _, inner_side = await loop.create_unix_connection(Side, sock=inner)
        self.pump = Pump(outer_side, inner_side, self._on_close, lambda _: self.lost.set(), LINGER)

    def _on_close(self, _pump: Pump) -> None:
        self.closings.append(self.name_is_taken())

    def name_is_taken(self) -> bool:
        """Whether the inner socket is open: as long as it is, nobody else can have its name."""
        with socket.socket(socket.AF_UNIX) as other:
            try:
                other.bind(self.name)
            except OSError:
                return True
        return False


@pytest.fixture
async def pumped() -> AsyncIterator[Pumped]:
    pumped = Pumped()
    await pumped.start()
    yield pumped
    if not pumped.pump.outer.joined:
        pumped.pump.start()
    pumped.pump.abort()
    await pumped.lost.wait()
    pumped.client.close()
    pumped.server.close()


async def receive(connection: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size and (more := await loop.sock_recv(connection, size - len(data))):
        data += more
    return data


async def close_client(pumped: Pumped) -> None:
    pumped.client.close()


async def close_server(pumped: Pumped) -> None:
    pumped.server.close()


async def half_close_client(pumped: Pumped) -> None:
    pumped.client.shutdown(socket.SHUT_WR)


async def half_close_server(pumped: Pumped) -> None:
    pumped.server.shutdown(socket.SHUT_WR)


async def close_pump(pumped: Pumped) -> None:
    pumped.pump.close()
    pumped.pump.close()


async def abort_pump(pumped: Pumped) -> None:
    pumped.pump.abort()
    pumped.pump.abort()


ENDINGS = [
    close_client,
    close_server,
    half_close_client,
    half_close_server,
    close_pump,
    abort_pump,
]


async def test_bytes_go_both_ways_and_those_that_came_early_are_not_lost(pumped: Pumped) -> None:
    pumped.client.send(b"early ")
    pumped.server.send(b"settings ")
    await until(lambda: bool(pumped.pump.outer._early and pumped.pump.inner._early))
    pumped.pump.start()
    pumped.client.send(b"question")
    pumped.server.send(b"answer")
    assert await receive(pumped.server, 14) == b"early question"
    assert await receive(pumped.client, 15) == b"settings answer"


@pytest.mark.parametrize("ending", ENDINGS)
async def test_the_name_is_given_up_once_and_before_its_socket_closes(
    pumped: Pumped, ending: Callable[[Pumped], Awaitable[None]]
) -> None:
    pumped.pump.start()
    await ending(pumped)
    await pumped.lost.wait()
    assert pumped.closings == [True]
    await until(lambda: not pumped.name_is_taken())


@pytest.mark.parametrize("ending", [close_client, close_server])
async def test_an_end_lost_before_it_was_joined_closes_the_pump(
    pumped: Pumped, ending: Callable[[Pumped], Awaitable[None]]
) -> None:
    await ending(pumped)
    await until(lambda: pumped.pump.outer.lost or pumped.pump.inner.lost)
    pumped.pump.start()
    await pumped.lost.wait()
    assert len(pumped.closings) == 1


async def test_what_the_server_sent_before_it_closed_is_delivered(pumped: Pumped) -> None:
    pumped.pump.start()
    pumped.server.send(b"last words")
    pumped.server.close()
    assert await receive(pumped.client, 100) == b"last words"


async def test_what_a_client_sent_before_it_half_closed_is_delivered(pumped: Pumped) -> None:
    pumped.pump.start()
    pumped.client.send(b"last words")
    pumped.client.shutdown(socket.SHUT_WR)
    assert await receive(pumped.server, 100) == b"last words"
    assert await receive(pumped.client, 1) == b""


async def test_a_client_that_does_not_read_stops_the_server_and_not_our_memory(pumped: Pumped) -> None:
    pumped.pump.start()
    loop = asyncio.get_running_loop()
    size = 16 * 1024 * 1024
    async with asyncio.TaskGroup() as group:
        group.create_task(loop.sock_sendall(pumped.server, bytes(size)))
        await until(lambda: not pumped.pump.inner.transport.is_reading())
        assert 0 < pumped.pump.buffered <= HIGH_WATER + ONE_READ
        got = 0
        while got < size:
            got += len(await loop.sock_recv(pumped.client, 1024 * 1024))
            assert pumped.pump.buffered <= HIGH_WATER + ONE_READ


async def test_a_server_that_does_not_read_stops_the_client(pumped: Pumped) -> None:
    pumped.pump.start()
    loop = asyncio.get_running_loop()
    size = 4 * 1024 * 1024
    async with asyncio.TaskGroup() as group:
        group.create_task(loop.sock_sendall(pumped.client, bytes(size)))
        await until(lambda: not pumped.pump.outer.transport.is_reading())
        assert pumped.pump.buffered <= HIGH_WATER + ONE_READ
        assert len(await receive(pumped.server, size)) == size


async def test_early_bytes_are_bounded(pumped: Pumped) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(loop.sock_sendall(pumped.client, bytes(4 * 1024 * 1024)))
        await until(lambda: not pumped.pump.outer.transport.is_reading())
        assert sum(map(len, pumped.pump.outer._early)) <= HIGH_WATER + ONE_READ
        sending.cancel()


async def test_a_closed_pump_waits_for_a_slow_reader_only_so_long(pumped: Pumped) -> None:
    pumped.pump.start()
    loop = asyncio.get_running_loop()
    sending = loop.create_task(loop.sock_sendall(pumped.server, bytes(16 * 1024 * 1024)))
    await until(lambda: not pumped.pump.inner.transport.is_reading())
    pumped.pump.close()
    await pumped.lost.wait()
    await asyncio.gather(sending, return_exceptions=True)
