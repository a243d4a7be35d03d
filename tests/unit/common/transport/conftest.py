"""Fronts before real gRPC servers, on both event loops."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from assay.testing.echo import Echo
from assay.transport.front import Front


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: socket paths are limited."""
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield Path(name)


@pytest.fixture
def socket_path(folder: Path) -> Path:
    return folder / "front.sock"


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def front(echo: Echo) -> AsyncIterator[Front]:
    """A started front that listens nowhere yet."""
    front = Front(echo.server)
    await front.start()
    yield front
    with contextlib.suppress(FileNotFoundError):
        await front.close(0)


@pytest.fixture
async def listening(front: Front, socket_path: Path) -> Path:
    """The path of a Unix socket that the front listens on."""
    await front.listen_unix(socket_path, mode=0o777)
    return socket_path
