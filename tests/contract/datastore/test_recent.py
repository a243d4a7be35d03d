"""The newest changes from memory: the same as what is read, in the same order, and never with a gap."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Change, ChangeKind, Store, Transaction, Written
from assay_server.datastore.follow import follow
from assay_server.datastore.recent import RECENT_CHANGES, Recent
from assay_server.model import Node

AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/a")
UNSORTED = (Selector("unix", "uid:2"), Selector("unix", "uid:1"), Selector("unix", "uid:2"))
NODE = Node(AGENT, "x509pop", serial="1", expires_at=1, can_reattest=True, selectors=UNSORTED, agent_version="1")
A_ORG, B_ORG = TrustDomain("a.org"), TrustDomain("b.org")

MakeEntry = Callable[..., Entry]


async def write(store: Store, *works: Callable[[Transaction], object]) -> None:
    await store.write(lambda tx: [work(tx) for work in works])


def creating(entry: Entry) -> Callable[[Transaction], None]:
    return lambda tx: tx.entries.create(entry)


async def test_memory_tells_what_reading_tells(store: Store, make_entry: MakeEntry) -> None:
    full = make_entry(
        "full",
        selectors=UNSORTED,
        federates_with=(B_ORG, A_ORG, B_ORG),
        dns_names=("b.test", "a.test", "b.test"),
        x509_svid_ttl=1,
        jwt_svid_ttl=2,
        hint="hint",
        admin=True,
        downstream=True,
        store_svid=True,
        disable_x509_svid_prefetch=True,
        jwt_svid_include_jti=True,
        expires_at=3,
        revision=4,
        created_at=5,
    )
    await write(store, lambda tx: tx.bundles.put(Bundle(A_ORG)), lambda tx: tx.bundles.put(Bundle(B_ORG)))
    await write(store, creating(make_entry("plain")))
    await write(store, creating(full))
    await store.write(lambda tx: tx.entries.update(replace(full, hint="new")))
    await store.write(lambda tx: tx.nodes.put(NODE))
    stored = await store.read(lambda tx: [tx.entries.get("plain"), tx.entries.get("full"), tx.nodes.get(AGENT)])
    names = ((ChangeKind.ENTRY, "plain"), (ChangeKind.ENTRY, "full"), (ChangeKind.NODE, str(AGENT)))
    assert [store.newest(*name) for name in names] == [
        Written(Change(sequence, *name), value) for sequence, name, value in zip((3, 5, 6), names, stored, strict=True)
    ]


async def test_what_is_gone_is_none(store: Store, make_entry: MakeEntry) -> None:
    await write(store, creating(make_entry("e")), lambda tx: tx.nodes.put(NODE))
    await write(store, lambda tx: tx.entries.delete("e"), lambda tx: tx.nodes.delete(AGENT))
    assert store.newest(ChangeKind.ENTRY, "e") == Written(Change(3, ChangeKind.ENTRY, "e"))
    assert store.newest(ChangeKind.NODE, str(AGENT)) == Written(Change(4, ChangeKind.NODE, str(AGENT)))


async def test_the_sequence_is_that_of_the_store(store: Store, make_entry: MakeEntry) -> None:
    await asyncio.gather(*[store.write(creating(make_entry(f"e{n}"))) for n in range(20)])
    stored = await store.read(lambda tx: tx.changes.since(0, 1000))
    assert stored is not None
    for sequence in (0, 7, 20):
        recent = store.recent(sequence)
        assert recent is not None
        assert [each.change for each in recent] == stored[sequence:]
    assert store.recent(21) is None


async def test_what_was_undone_is_not_told(store: Store, make_entry: MakeEntry) -> None:
    def failing(tx: Transaction) -> None:
        tx.entries.create(make_entry("undone"))
        raise LookupError

    async def attempt() -> None:
        with pytest.raises(LookupError):
            await store.write(failing)

    await attempt()
    await asyncio.gather(attempt(), store.write(creating(make_entry("e"))), attempt())
    recent = store.recent(0)
    assert recent is not None
    assert [each.change for each in recent] == [Change(1, ChangeKind.ENTRY, "e")]
    assert store.newest(ChangeKind.ENTRY, "undone") is None


async def test_memory_begins_where_the_store_was_opened(
    open_again: Callable[..., Awaitable[Store]], make_entry: MakeEntry
) -> None:
    first = await open_again()
    await first.write(creating(make_entry("before")))
    await first.close()
    store = await open_again()
    assert store.recent(0) is None
    assert store.recent(1) == []
    assert store.newest(ChangeKind.ENTRY, "before") is None
    await store.write(creating(make_entry("after")))
    recent = store.recent(1)
    assert recent is not None
    assert [each.change for each in recent] == [Change(2, ChangeKind.ENTRY, "after")]


async def test_a_follower_behind_what_memory_holds_reads(
    open_again: Callable[..., Awaitable[Store]], make_entry: MakeEntry
) -> None:
    store = await open_again()
    changes = follow(store)
    assert await anext(changes) is None
    count = RECENT_CHANGES + 10
    await write(store, *(creating(make_entry(f"e{n}")) for n in range(count)))
    assert store.recent(0) is None
    seen: list[int] = []
    async for some in changes:
        assert some is not None
        seen += [change.sequence for change in some]
        if len(seen) == count:
            break
    assert seen == list(range(1, count + 1))


def written(sequence: int, name: str = "e") -> Written:
    return Written(Change(sequence, ChangeKind.ENTRY, name))


def test_only_the_newest_are_kept() -> None:
    recent = Recent(10, limit=3)
    recent.add([written(11, "a"), written(12, "b")])
    recent.add([written(13, "a"), written(14, "c")])
    assert recent.since(10) is None
    assert recent.since(11) == [written(12, "b"), written(13, "a"), written(14, "c")]
    assert recent.find(ChangeKind.ENTRY, "a") == written(13, "a")
    recent.add([written(15, "d"), written(16, "e")])
    assert recent.find(ChangeKind.ENTRY, "a") is None
    assert recent.find(ChangeKind.ENTRY, "c") == written(14, "c")


def test_nothing_is_told_across_a_gap() -> None:
    recent = Recent(0)
    recent.add([written(1, "a")])
    recent.add([written(3, "b")])
    assert recent.since(0) is None
    assert recent.since(1) is None
    assert recent.since(2) == [written(3, "b")]
    assert recent.find(ChangeKind.ENTRY, "a") is None
