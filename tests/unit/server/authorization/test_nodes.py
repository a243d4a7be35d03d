"""Node rows at hand: read once, never older than what a writer was told."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from assay.spiffeid import SpiffeId
from assay_server.authorization.nodes import NodeRows
from assay_server.datastore.base import ChangeKind, Transaction, Written
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

T = TypeVar("T")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
OTHER = SpiffeId.parse("spiffe://example.org/spire/agent/two")
NODE = Node(AGENT, "x509pop", serial="5", expires_at=100)


class CountingStore:
    """The real store, counting reads; a read can be held after it saw the data.

    It remembers no write unless told to, as if each were long ago.
    """

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.reads = 0
        self.gate: asyncio.Event | None = None
        self.seen = asyncio.Event()
        self.remembers = False

    def newest(self, kind: ChangeKind, object_id: str) -> Written | None:
        return self.store.newest(kind, object_id) if self.remembers else None

    async def read(self, work: Callable[[Transaction], T]) -> T:
        self.reads += 1
        value = await self.store.read(work)
        self.seen.set()
        if self.gate is not None:
            await self.gate.wait()
        return value

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@pytest.fixture
def counting(store: SqlStore) -> CountingStore:
    return CountingStore(store)


@pytest.fixture
def rows(counting: CountingStore) -> NodeRows:
    return NodeRows(counting)  # type: ignore[arg-type]


async def test_a_row_is_read_once(store: SqlStore, counting: CountingStore, rows: NodeRows) -> None:
    await store.write(lambda tx: tx.nodes.put(NODE))
    assert [await rows.get(AGENT) for _ in range(3)] == [NODE] * 3
    assert counting.reads == 1


async def test_what_was_just_written_is_not_read(store: SqlStore, counting: CountingStore, rows: NodeRows) -> None:
    await store.write(lambda tx: tx.nodes.put(NODE))
    await rows.get(AGENT)
    counting.remembers = True
    banned = replace(NODE, serial="")
    await store.write(lambda tx: tx.nodes.put(banned))  # by another writer: the row kept is older
    assert await rows.get(AGENT) == banned
    await store.write(lambda tx: tx.nodes.delete(AGENT))
    assert await rows.get(AGENT) is None
    assert counting.reads == 1


async def test_an_unknown_agent_is_asked_for_each_time(store: SqlStore, rows: NodeRows) -> None:
    assert await rows.get(AGENT) is None
    await store.write(lambda tx: tx.nodes.put(NODE))
    assert await rows.get(AGENT) == NODE


async def test_whoever_was_told_of_a_write_reads_it(store: SqlStore, rows: NodeRows) -> None:
    await store.write(lambda tx: tx.nodes.put(NODE))
    await rows.get(AGENT)
    banned = replace(NODE, serial="")
    await rows.write(AGENT, lambda tx: tx.nodes.put(banned))
    assert await rows.get(AGENT) == banned


async def test_a_read_that_a_write_overtook_is_not_kept(
    store: SqlStore, counting: CountingStore, rows: NodeRows
) -> None:
    await store.write(lambda tx: tx.nodes.put(NODE))
    counting.gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(rows.get(AGENT))
        await counting.seen.wait()
        await rows.write(AGENT, lambda tx: tx.nodes.delete(AGENT))
        counting.gate.set()
    assert early.result() == NODE
    assert await rows.get(AGENT) is None


async def test_writes_of_others_are_followed(store: SqlStore, counting: CountingStore, rows: NodeRows) -> None:
    await store.write(lambda tx: tx.nodes.put(NODE))
    await store.write(lambda tx: tx.nodes.put(replace(NODE, spiffe_id=OTHER)))
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(rows.run())
        await asyncio.sleep(0.01)
        await rows.get(AGENT)
        await rows.get(OTHER)
        before = counting.reads
        await store.write(lambda tx: tx.nodes.put(replace(NODE, serial="")))
        async with asyncio.timeout(5):
            node = await rows.get(AGENT)
            while node is None or node.serial:
                await asyncio.sleep(0)
                node = await rows.get(AGENT)
        reads = counting.reads - before
        await rows.get(OTHER)
        assert counting.reads - before == reads  # the other row was not dropped
        following.cancel()


async def test_what_was_read_before_following_began_is_dropped(store: SqlStore, rows: NodeRows) -> None:
    await store.write(lambda tx: tx.nodes.put(NODE))
    await rows.get(AGENT)
    await store.write(lambda tx: tx.nodes.delete(AGENT))
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(rows.run())
        async with asyncio.timeout(5):
            node = await rows.get(AGENT)
            while node is not None:
                await asyncio.sleep(0)
                node = await rows.get(AGENT)
        following.cancel()


async def test_memory_has_a_limit(store: SqlStore, counting: CountingStore) -> None:
    rows = NodeRows(counting, limit=1)  # type: ignore[arg-type]
    await store.write(lambda tx: tx.nodes.put(NODE))
    await store.write(lambda tx: tx.nodes.put(replace(NODE, spiffe_id=OTHER)))
    for agent in (AGENT, OTHER, OTHER, AGENT):
        assert await rows.get(agent) is not None
    assert counting.reads == 3
