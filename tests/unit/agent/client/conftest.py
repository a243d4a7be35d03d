from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.testing.scripted import ScriptedServer, UnixDialer
from assay_agent.client.server import ServerClient


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer(tmp_path / "s")
    yield scripted
    await scripted.stop()


@pytest.fixture
def dialled() -> list[UnixDialer]:
    """Every dialer that `client` has made."""
    return []


@pytest.fixture
async def client(server: ScriptedServer, dialled: list[UnixDialer]) -> AsyncIterator[ServerClient]:
    def dial() -> UnixDialer:
        dialled.append(UnixDialer(server.path))
        return dialled[-1]

    async with ServerClient(dial) as made:
        yield made
