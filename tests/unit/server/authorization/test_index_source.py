"""The index takes in what the store wrote last from memory, and reads only what memory cannot tell."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.index_source import NotInMemoryError, RecentSource
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.model import Node

T = TypeVar("T")
TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/one")
OTHER = SpiffeId(TD, "/spire/agent/two")


class CountingStore:
    """The real store, counting reads."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.reads = 0

    async def read(self, work: Callable[[Transaction], T]) -> T:
        self.reads += 1
        return await self.store.read(work)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    @property
    def sequence(self) -> int:
        return self.store.sequence


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    opened = await open_store(tmp_path / "data.sqlite3", clock=FakeClock())
    await opened.write(lambda tx: tx.bundles.put(Bundle(TD)))  # which the server's CA publishes before anything else
    yield CountingStore(opened)
    await opened.close()


@pytest.fixture
def index(store: CountingStore) -> AuthorizedEntries:
    return AuthorizedEntries(store, TD, FakeClock())  # type: ignore[arg-type]


def entry(entry_id: str, parent: SpiffeId, path: str = "/workload", **fields: str) -> Entry:
    return Entry(entry_id, SpiffeId(TD, path), parent, (Selector("unix", "uid:1"),), **fields)  # type: ignore[arg-type]


def node(agent: SpiffeId) -> Node:
    return Node(agent, "x509pop", serial="1", expires_at=10**10)


async def write(store: CountingStore, *works: Callable[[Transaction], object]) -> None:
    await store.store.write(lambda tx: [work(tx) for work in works])


async def create(store: CountingStore, *entries: Entry) -> None:
    await write(store, *(lambda tx, each=each: tx.entries.create(each) for each in entries))


async def test_what_concerns_no_agent_here_is_not_read(store: CountingStore, index: AuthorizedEntries) -> None:
    await index.view(AGENT)
    before = store.reads
    await create(store, entry("far", OTHER))
    await store.store.write(lambda tx: tx.nodes.put(node(OTHER)))
    assert set((await index.view(AGENT)).entries) == set()
    assert store.reads == before


async def test_a_changed_entry_and_row_come_from_memory(store: CountingStore, index: AuthorizedEntries) -> None:
    await create(store, entry("e", AGENT))
    await index.view(AGENT)
    before = store.reads
    changed = entry("e", AGENT, hint="new")
    await write(store, lambda tx: tx.entries.update(changed), lambda tx: tx.nodes.put(node(AGENT)))
    view = await index.view(AGENT)
    assert view.entries == {"e": changed}
    assert view.node == node(AGENT)
    await write(store, lambda tx: tx.entries.delete("e"), lambda tx: tx.nodes.delete(AGENT))
    view = await index.view(AGENT)
    assert (view.entries, view.node) == ({}, None)
    assert store.reads == before


async def test_what_lies_below_a_new_entry_is_read(store: CountingStore, index: AuthorizedEntries) -> None:
    await create(store, entry("below", SpiffeId(TD, "/middle")))
    await index.view(AGENT)
    await create(store, entry("middle", AGENT, path="/middle"))
    assert set((await index.view(AGENT)).entries) == {"below", "middle"}


async def test_memory_answers_nothing_that_it_does_not_hold(store: CountingStore) -> None:
    await create(store, entry("e", AGENT))
    source = RecentSource(store)  # type: ignore[arg-type]
    assert source.entries(["e"]) == [entry("e", AGENT)]
    for unknown in (
        lambda: source.entries(["e", "unknown"]),
        lambda: source.children([AGENT]),
        lambda: source.node(AGENT),
        lambda: source.bundles([TD]),
        lambda: source.since(50),
    ):
        with pytest.raises(NotInMemoryError):
            unknown()
