import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from assay.entry import Entry
from assay.errors import UnavailableError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration.pruning import INTERVAL, EntryPruning

TD = TrustDomain("example.org")
PARENT = SpiffeId(TD, "/spire/agent/one")


def entry(entry_id: str, expires_at: int) -> Entry:
    return Entry(entry_id, SpiffeId(TD, f"/{entry_id}"), PARENT, (Selector("a", "b"),), expires_at=expires_at)


async def create(store: SqlStore, *entries: Entry) -> None:
    for each in entries:
        await store.write(lambda tx, each=each: tx.entries.create(each))  # type: ignore[misc]


async def left(store: SqlStore) -> set[str]:
    return {each.id for each in await store.read(lambda tx: tx.entries.by_parents([PARENT]))}


@asynccontextmanager
async def running(pruning: EntryPruning) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pruning.run())
        yield
        task.cancel()


async def test_what_has_expired_goes_and_is_logged(store: SqlStore, clock: FakeClock) -> None:
    now = int(clock.now().timestamp())
    await create(store, entry("past", now - 1), entry("now", now), entry("soon", now + 1), entry("never", 0))
    with capture_logs() as logs:
        assert await EntryPruning(store, clock).prune() == 2
    assert await left(store) == {"soon", "never"}
    assert [(line["event"], line["entry_id"], line["spiffe_id"]) for line in logs] == [
        ("Pruned an expired registration", name, f"spiffe://example.org/{name}") for name in ("past", "now")
    ]


async def test_pruning_comes_again_every_five_minutes(store: SqlStore, clock: FakeClock) -> None:
    now = int(clock.now().timestamp())
    await create(store, entry("a", now), entry("b", now + 1), entry("c", now + int(INTERVAL) + 1))
    async with running(EntryPruning(store, clock)):
        await clock.wait_sleepers()
        assert await left(store) == {"b", "c"}
        for rest in ({"c"}, set[str]()):
            clock.advance(INTERVAL)
            await clock.wait_sleepers()
            assert await left(store) == rest


class Failing:
    """A store that refuses once."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.refusals = 1

    async def write(self, work: Callable[[Transaction], object]) -> object:
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("the disk is full")
        return await self._store.write(work)


async def test_a_store_that_fails_once_is_tried_again(store: SqlStore, clock: FakeClock) -> None:
    await create(store, entry("a", int(clock.now().timestamp())))
    with capture_logs() as logs:
        async with running(EntryPruning(Failing(store), clock)):  # type: ignore[arg-type]
            await clock.wait_sleepers()
            assert await left(store) == {"a"}
            clock.advance(INTERVAL)
            await clock.wait_sleepers()
    assert await left(store) == set()
    assert logs[0]["event"] == "Failed pruning registration entries"
    assert logs[0]["error"] == "the disk is full"


@pytest.mark.parametrize("expired", [0, 3])
async def test_pruning_writes_only_what_it_deletes(store: SqlStore, clock: FakeClock, expired: int) -> None:
    now = int(clock.now().timestamp())
    await create(store, *(entry(f"e{number}", now) for number in range(expired)))
    before = store.sequence
    await EntryPruning(store, clock).prune()
    assert store.sequence == before + expired
