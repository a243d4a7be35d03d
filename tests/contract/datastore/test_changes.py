"""The change sequence: strict, without gaps, in order of commit."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Change, ChangeKind, Store, Transaction
from assay_server.model import Node

NODE_ID = SpiffeId.parse("spiffe://example.org/spire/agent/a")
NODE = Node(spiffe_id=NODE_ID, attestation_type="x", serial="1", expires_at=1)
A_ORG = TrustDomain("a.org")


def creating(entry: Entry) -> Callable[[Transaction], None]:
    return lambda tx: tx.entries.create(entry)


def _nothing(_: Transaction) -> None:
    return


def _value(_: Transaction) -> str:
    return "value"


async def since(store: Store, sequence: int, limit: int = 1000) -> list[Change] | None:
    return await store.read(lambda tx: tx.changes.since(sequence, limit))


async def test_the_sequence_begins_at_nothing(store: Store) -> None:
    assert await store.read(lambda tx: tx.changes.latest()) == 0
    assert await since(store, 0) == []
    assert store.sequence == 0


async def test_every_write_is_one_change(store: Store, make_entry: Callable[..., Entry]) -> None:
    await store.write(lambda tx: tx.entries.create(make_entry("e")))
    await store.write(lambda tx: tx.entries.update(make_entry("e", hint="new")))
    await store.write(lambda tx: tx.nodes.put(NODE))
    await store.write(lambda tx: tx.nodes.put(NODE))
    await store.write(lambda tx: tx.bundles.put(Bundle(A_ORG)))
    await store.write(lambda tx: tx.bundles.put(Bundle(A_ORG)))
    await store.write(lambda tx: tx.entries.delete("e"))
    await store.write(lambda tx: tx.nodes.delete(NODE_ID))
    await store.write(lambda tx: tx.bundles.delete(A_ORG))
    kinds = [ChangeKind.ENTRY] * 2 + [ChangeKind.NODE] * 2 + [ChangeKind.BUNDLE] * 2
    kinds += [ChangeKind.ENTRY, ChangeKind.NODE, ChangeKind.BUNDLE]
    names = {ChangeKind.ENTRY: "e", ChangeKind.NODE: str(NODE_ID), ChangeKind.BUNDLE: "a.org"}
    assert await since(store, 0) == [Change(n, kind, names[kind]) for n, kind in enumerate(kinds, 1)]


async def test_deleting_nothing_is_no_change(store: Store) -> None:
    await store.write(lambda tx: (tx.entries.delete("e"), tx.nodes.delete(NODE_ID), tx.bundles.delete(A_ORG)))
    assert store.sequence == 0


async def test_since_gives_what_is_after_and_no_more_than_asked(store: Store, make_entry: Callable[..., Entry]) -> None:
    for n in range(5):
        await store.write(creating(make_entry(f"e{n}")))
    found = await since(store, 1, limit=2)
    assert found == [Change(2, ChangeKind.ENTRY, "e1"), Change(3, ChangeKind.ENTRY, "e2")]
    assert await since(store, 5) == []


async def test_since_is_none_for_a_position_of_another_history(store: Store, make_entry: Callable[..., Entry]) -> None:
    await store.write(lambda tx: tx.entries.create(make_entry("e")))
    assert await since(store, 2) is None


async def test_since_is_none_for_what_was_pruned(
    open_again: Callable[..., Awaitable[Store]], make_entry: Callable[..., Entry]
) -> None:
    store = await open_again(keep_changes=10)
    for n in range(25):
        await store.write(creating(make_entry(f"e{n}")))
    assert await since(store, 14) is None
    assert await since(store, 0) is None
    kept = await since(store, 15)
    assert kept is not None
    assert [change.sequence for change in kept] == list(range(16, 26))


async def test_a_function_larger_than_what_is_kept_leaves_the_newest(
    open_again: Callable[..., Awaitable[Store]], make_entry: Callable[..., Entry]
) -> None:
    store = await open_again(keep_changes=10)

    def work(tx: Transaction) -> None:
        for n in range(50):
            tx.entries.create(make_entry(f"e{n}"))

    await store.write(work)
    assert await since(store, 39) is None
    assert len(await since(store, 40) or []) == 10


async def test_a_function_sees_its_own_changes(store: Store, make_entry: Callable[..., Entry]) -> None:
    await store.write(lambda tx: tx.entries.create(make_entry("before")))

    def work(tx: Transaction) -> tuple[int, list[Change] | None, list[Change] | None]:
        tx.entries.create(make_entry("own"))
        return tx.changes.latest(), tx.changes.since(0, 10), tx.changes.since(1, 10)

    own = Change(2, ChangeKind.ENTRY, "own")
    assert await store.write(work) == (2, [Change(1, ChangeKind.ENTRY, "before"), own], [own])


async def test_the_very_first_function_sees_its_own_changes(store: Store, make_entry: Callable[..., Entry]) -> None:
    def work(tx: Transaction) -> list[Change] | None:
        tx.entries.create(make_entry("a"))
        tx.entries.create(make_entry("b"))
        return tx.changes.since(1, 10)

    assert await store.write(work) == [Change(2, ChangeKind.ENTRY, "b")]


async def test_a_failed_function_leaves_no_gap(store: Store, make_entry: Callable[..., Entry]) -> None:
    def fail(tx: Transaction) -> None:
        tx.entries.create(make_entry("gone"))
        raise ZeroDivisionError

    works = [fail if n % 3 == 0 else creating(make_entry(f"e{n}")) for n in range(30)]
    await asyncio.gather(*[store.write(work) for work in works], return_exceptions=True)
    found = await since(store, 0) or []
    assert [change.sequence for change in found] == list(range(1, 21))
    assert "gone" not in {change.object_id for change in found}


async def test_sequence_order_is_commit_order(store: Store, make_entry: Callable[..., Entry]) -> None:
    """Whoever has been told of a write finds every later write after it in the sequence."""
    told: list[str] = []

    async def write(name: str) -> None:
        await store.write(lambda tx: tx.entries.create(make_entry(name)))
        told.append(name)

    async def writer(number: int) -> None:
        for n in range(20):
            await write(f"w{number}-{n}")

    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(writer(number))
    found = await since(store, 0) or []
    assert [change.sequence for change in found] == list(range(1, 241))
    assert [change.object_id for change in found] == told


async def test_the_sequence_goes_on_after_reopening(
    store: Store, open_again: Callable[..., Awaitable[Store]], make_entry: Callable[..., Entry]
) -> None:
    await store.write(lambda tx: tx.entries.create(make_entry("a")))
    incarnation = store.incarnation
    await store.close()
    store = await open_again()
    assert (store.incarnation, store.sequence) == (incarnation, 1)
    await store.write(lambda tx: tx.entries.create(make_entry("b")))
    assert store.sequence == 2


class TestWatch:
    async def test_yields_the_latest_at_once(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await store.write(lambda tx: tx.entries.create(make_entry("a")))
        assert await anext(store.watch()) == 1

    async def test_wakes_every_follower(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        followers = [store.watch() for _ in range(5)]
        assert [await anext(follower) for follower in followers] == [0] * 5
        waiting = asyncio.gather(*[anext(follower) for follower in followers])
        await store.write(lambda tx: tx.entries.create(make_entry("a")))
        assert await waiting == [1] * 5

    async def test_is_told_no_later_than_the_writer(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await store.write(lambda tx: tx.entries.create(make_entry("a")))
        assert store.sequence == 1

    async def test_sleeps_through_what_changed_nothing(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        follower = store.watch()
        await anext(follower)
        waiting = asyncio.gather(anext(follower))
        await store.write(lambda tx: tx.entries.delete("none"))
        assert not waiting.done()
        await store.write(lambda tx: tx.entries.create(make_entry("a")))
        [found] = await waiting
        assert found == 1

    async def test_misses_nothing_however_slow_it_is(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        """A follower that reads from its own position sees every change once, in order."""
        seen: list[int] = []

        async def follow() -> None:
            async for _ in store.watch():
                position = seen[-1] if seen else 0
                seen.extend(change.sequence for change in await since(store, position) or [])
                if len(seen) >= 200:
                    return

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            for n in range(200):
                group.create_task(store.write(creating(make_entry(f"e{n}"))))
        assert seen == list(range(1, 201))

    async def test_ends_when_the_store_is_closed(self, store: Store) -> None:
        follower = store.watch()
        await anext(follower)
        waiting = asyncio.gather(anext(follower, -1))
        await asyncio.sleep(0)
        await store.close()
        [found] = await waiting
        assert found == -1

    @pytest.mark.parametrize("count", [1, 3])
    async def test_survives_followers_that_leave(
        self, store: Store, make_entry: Callable[..., Entry], count: int
    ) -> None:
        for _ in range(count):
            follower = store.watch()
            await anext(follower)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(follower)
        await store.write(lambda tx: tx.entries.create(make_entry("a")))
        assert await anext(store.watch()) == 1
