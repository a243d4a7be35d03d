from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.rpc.client import Channel
from assay.testing.scripted import ScriptedServer, channel_to
from assay_agent.client.server import ServerClient


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer(tmp_path / "s")
    yield scripted
    await scripted.stop()


@pytest.fixture
def dialled() -> list[Channel]:
    """Every channel that `client` has made."""
    return []


@pytest.fixture
async def client(server: ScriptedServer, dialled: list[Channel]) -> AsyncIterator[ServerClient]:
    def dial() -> Channel:
        dialled.append(channel_to(server.path))
        return dialled[-1]

    async with ServerClient(dial) as made:
        yield made
