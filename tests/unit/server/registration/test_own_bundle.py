"""Our own bundle at hand: read once, and never older than what a writer was told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest_asyncio

from assay.bundle import Bundle
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Transaction, Written
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.registration.own_bundle import OwnBundle

T = TypeVar("T")
TD, FOREIGN = TrustDomain("example.org"), TrustDomain("foreign.test")


class CountingStore:
    """The real store, counting reads; a read can be held after it saw the data."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.reads = 0
        self.remembers = True
        self.gate: asyncio.Event | None = None
        self.seen = asyncio.Event()

    @property
    def sequence(self) -> int:
        return self.store.sequence

    def recent(self, sequence: int) -> Sequence[Written] | None:
        return self.store.recent(sequence) if self.remembers else None

    async def read(self, work: Callable[[Transaction], T]) -> T:
        self.reads += 1
        value = await self.store.read(work)
        self.seen.set()
        if self.gate is not None:
            await self.gate.wait()
        return value

    async def put(self, bundle: Bundle) -> None:
        await self.store.write(lambda tx: tx.bundles.put(bundle))


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    opened = await open_store(tmp_path / "data.sqlite3", clock=FakeClock())
    yield CountingStore(opened)
    await opened.close()


def own(store: CountingStore) -> OwnBundle:
    return OwnBundle(store, TD)  # type: ignore[arg-type]


async def test_it_is_read_once_whatever_else_is_written(store: CountingStore) -> None:
    bundle = own(store)
    await store.put(Bundle(TD, sequence=1))
    for sequence in range(3):
        assert await bundle.get() == Bundle(TD, sequence=1)
        await store.put(Bundle(FOREIGN, sequence=sequence))
    assert store.reads == 1


async def test_a_change_is_seen_at_once(store: CountingStore) -> None:
    bundle = own(store)
    assert await bundle.get() is None
    for sequence in range(1, 4):
        await store.put(Bundle(TD, sequence=sequence))
        assert await bundle.get() == Bundle(TD, sequence=sequence)


async def test_it_is_read_again_when_memory_cannot_tell(store: CountingStore) -> None:
    bundle = own(store)
    await store.put(Bundle(TD, sequence=1))
    await bundle.get()
    await store.put(Bundle(TD, sequence=2))
    store.remembers = False
    assert await bundle.get() == Bundle(TD, sequence=2)


async def test_a_read_that_a_write_overtook_is_not_kept(store: CountingStore) -> None:
    bundle = own(store)
    await store.put(Bundle(TD, sequence=1))
    store.gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(bundle.get())
        await store.seen.wait()
        await store.put(Bundle(TD, sequence=2))
        store.gate.set()
    assert early.result() == Bundle(TD, sequence=1)
    assert await bundle.get() == Bundle(TD, sequence=2)
