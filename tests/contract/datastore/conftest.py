"""The stores that have to keep the contract: another database is one more backend here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from assay.clock import Clock
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Store
from assay_server.datastore.sql.store import open_store

PARENT = SpiffeId.parse("spiffe://example.org/agent")


class MakeEntry(Protocol):
    def __call__(self, name: str, **fields: Any) -> Entry: ...  # noqa: ANN401 - fields of Entry


class OpenStore(Protocol):
    def __call__(self, *, keep_changes: int = ...) -> Awaitable[Store]: ...


Opener = Callable[[Path, Clock, int], Awaitable[Store]]


async def open_sqlite(folder: Path, clock: Clock, keep_changes: int) -> Store:
    return await open_store(folder / "data" / "datastore.sqlite3", clock=clock, keep_changes=keep_changes)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[pytest.param(open_sqlite, id="sqlite")])
def opener(request: pytest.FixtureRequest) -> Opener:
    backend: Opener = request.param
    return backend


@pytest_asyncio.fixture
async def open_again(opener: Opener, tmp_path: Path, clock: FakeClock) -> AsyncIterator[OpenStore]:
    """Opens the one database of this test; what is opened is closed at the end."""
    async with AsyncExitStack() as stack:

        async def opened(*, keep_changes: int = 100_000) -> Store:
            store = await opener(tmp_path, clock, keep_changes)
            stack.push_async_callback(store.close)
            return store

        yield opened


@pytest_asyncio.fixture
async def store(open_again: OpenStore) -> Store:
    return await open_again()


@pytest.fixture
def make_entry() -> MakeEntry:
    def make(name: str, **fields: Any) -> Entry:  # noqa: ANN401 - fields of Entry
        plain = Entry(
            id=name,
            spiffe_id=SpiffeId(TrustDomain("example.org"), f"/{name}"),
            parent_id=PARENT,
            selectors=(Selector("unix", "uid:1"),),
        )
        return replace(plain, **fields)

    return make
