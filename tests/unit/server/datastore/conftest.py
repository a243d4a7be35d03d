"""One SQLite store, its folder and plain objects to put into it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.store import SqlStore, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "datastore.sqlite3"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    store = await open_store(path, clock=FakeClock())
    yield store
    await store.close()


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    def make(name: str, **fields: Any) -> Entry:  # noqa: ANN401 - fields of Entry
        plain = Entry(
            id=name,
            spiffe_id=SpiffeId(TrustDomain("example.org"), f"/{name}"),
            parent_id=SpiffeId.parse("spiffe://example.org/agent"),
            selectors=(Selector("unix", "uid:1"),),
        )
        return replace(plain, **fields)

    return make


@pytest.fixture
def look() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a folder, byte for byte."""
    return lambda folder: {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def mode_of() -> Callable[[Path], int]:
    return lambda path: path.stat().st_mode & 0o777
