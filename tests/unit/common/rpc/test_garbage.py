"""What is over is given back at once: until a collection, dead connections would add up, with TLS's buffers."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.common.rpc.conftest import SERVICE, House

from assay.rpc.client import Channel
from assay.rpc.status import EndError, StatusCode
from assay.testing.wait import until

OURS = ("assay.http2", "assay.rpc", "assay.transport")

LeftOver = Callable[[], dict[str, int]]


@pytest.fixture
def left_over() -> Iterator[LeftOver]:
    """What of ours only a collection would find now."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def found() -> dict[str, int]:
        gc.collect()
        names = [f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage]
        gc.garbage.clear()
        return dict(Counter(name for name in names if name.startswith(OURS)))

    yield found
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def behave(request: bytes, _context: object) -> bytes:
    if request == b"refuse":
        raise EndError(StatusCode.NOT_FOUND, "no such thing")
    return request


@asynccontextmanager
async def dialled(house: House) -> AsyncIterator[Channel]:
    house.behave = behave
    loop = asyncio.get_running_loop()
    channel = Channel(lambda make: loop.create_unix_connection(make, str(house.path)), max_message=1024)
    yield channel
    await channel.close()


async def call(channel: Channel, request: bytes) -> StatusCode:
    try:
        await channel.unary(f"/{SERVICE}/Unary", request, (), timeout=5)
    except EndError as error:
        return error.code
    return StatusCode.OK


async def test_calls(house: House, left_over: LeftOver) -> None:
    async with dialled(house) as channel:
        answers = [await call(channel, request) for request in (b"x", b"refuse") * 5]
        await until(lambda: not any(one.running for one in house.server._connections))
        assert set(answers) == {StatusCode.OK, StatusCode.NOT_FOUND}
        assert left_over() == {}


async def test_connections(house: House, left_over: LeftOver) -> None:
    for _ in range(5):
        async with dialled(house) as channel:
            assert await call(channel, b"x") is StatusCode.OK
        await until(lambda: house.server.connections == 0)
    await asyncio.sleep(0)
    assert left_over() == {}
