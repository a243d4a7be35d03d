import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AlreadyExistsError, AssayError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import EntryFilter, Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration import EntryService, EntryUpdate, Registered
from assay_server.registration.validate import MalformedEntryError, check_fields, check_whole

TD = TrustDomain("example.org")
NORTH = TrustDomain("north.test")
AGENT = SpiffeId(TD, "/spire/agent/one")
UID, GID = Selector("unix", "uid:1"), Selector("unix", "gid:1")


@pytest.fixture
def service(store: SqlStore, clock: FakeClock) -> EntryService:
    return EntryService(store, clock, TD)


def entry(path: str = "/web", *selectors: Selector, entry_id: str = "") -> Entry:
    return Entry(entry_id, SpiffeId(TD, path), AGENT, selectors or (UID,))


def made(outcome: Registered | AssayError) -> Entry:
    assert isinstance(outcome, Registered)
    return outcome.entry


async def test_a_batch_is_one_change_of_the_store_after_the_other_in_one_transaction(
    service: EntryService, store: SqlStore
) -> None:
    before = store.sequence
    first, refused, second = await service.create([entry("/a"), entry("/spire/x"), entry("/b")])
    assert isinstance(refused, MalformedEntryError)
    changes = await store.read(lambda tx: tx.changes.since(before, 10))
    assert changes is not None
    assert [change.object_id for change in changes] == [made(first).id, made(second).id]


async def test_nothing_to_do_changes_nothing(service: EntryService, store: SqlStore) -> None:
    before = store.sequence
    assert await service.create([]) == []
    assert await service.update([]) == []
    assert await service.delete([]) == []
    assert store.sequence == before


async def test_selectors_and_trust_domains_are_kept_sorted_and_distinct(service: EntryService, store: SqlStore) -> None:
    west = TrustDomain("west.test")
    for name in (NORTH, west):
        bundle = Bundle(name)
        await store.write(lambda tx, bundle=bundle: tx.bundles.put(bundle))  # type: ignore[misc]
    given_entry = replace(entry("/a", UID, GID, UID), federates_with=(west, NORTH, west), dns_names=("b", "a", "b"))
    [outcome] = await service.create([given_entry])
    stored = await service.get(made(outcome).id)
    assert stored == made(outcome)
    assert (stored.selectors, stored.federates_with, stored.dns_names) == ((GID, UID), (NORTH, west), ("b", "a"))


async def test_creating_the_same_entry_at_the_same_time_makes_one(service: EntryService) -> None:
    outcomes = await asyncio.gather(*(service.create([entry("/a", GID, UID)]) for _ in range(10)))
    entries = {made(each[0]).id for each in outcomes}
    assert len(entries) == 1
    assert sum(each[0].existing for each in outcomes if isinstance(each[0], Registered)) == 9


async def test_duplicates_inside_a_batch_are_found(service: EntryService) -> None:
    first, second, third = await service.create([entry(entry_id="x"), entry(entry_id="y"), entry("/b", entry_id="x")])
    assert second == Registered(made(first), existing=True)
    assert isinstance(third, AlreadyExistsError)


async def test_updating_keeps_the_time_of_creation_and_counts_revisions(
    service: EntryService, clock: FakeClock
) -> None:
    [outcome] = await service.create([entry()])
    first = made(outcome)
    clock.advance(60)
    for revision in (1, 2):
        change = replace(first, hint=f"{revision}", revision=77, created_at=77)
        assert await service.update([EntryUpdate(change)]) == [replace(first, hint=f"{revision}", revision=revision)]


async def test_a_bundle_must_be_known_only_for_trust_domains_that_are_new(
    service: EntryService, store: SqlStore
) -> None:
    await store.write(lambda tx: tx.bundles.put(Bundle(NORTH)))
    [outcome] = await service.create([replace(entry(), federates_with=(NORTH,))])
    more = replace(made(outcome), federates_with=(NORTH, TrustDomain("west.test")))
    fields = frozenset({"federates_with"})
    [refused] = await service.update([EntryUpdate(more, fields)])
    assert isinstance(refused, FailedPreconditionError)
    assert refused.message == 'unable to find federated bundle "spiffe://west.test"'
    [kept] = await service.update([EntryUpdate(made(outcome), fields)])
    assert isinstance(kept, Entry)


async def test_what_is_not_there_is_named_so(service: EntryService) -> None:
    with pytest.raises(NotFoundError, match="entry not found"):
        await service.get("none")
    [outcome] = await service.update([EntryUpdate(entry(entry_id="none"))])
    assert isinstance(outcome, NotFoundError)
    missing, unnamed = await service.delete(["none", ""])
    assert isinstance(missing, NotFoundError)
    assert isinstance(unnamed, InvalidArgumentError)


async def test_entries_are_listed_and_counted(service: EntryService) -> None:
    await service.create([entry("/a"), entry("/b"), entry("/c")])
    found, token = await service.find(EntryFilter(parent_id=AGENT), Page(2))
    rest, end = await service.find(EntryFilter(parent_id=AGENT), Page(2, token))
    assert [each.spiffe_id.path for each in found + rest] == ["/a", "/b", "/c"]
    assert await service.find(EntryFilter(parent_id=AGENT), Page(2, end)) == ([], "")
    assert await service.count(EntryFilter(spiffe_id=SpiffeId(TD, "/b"))) == 1


@given(st.text(max_size=300), st.integers(-(2**63), 2**63), st.integers(-(2**63), 2**63), st.text(max_size=1100))
def test_whatever_passes_the_rules_can_be_stored(entry_id: str, ttl: int, expires_at: int, hint: str) -> None:
    candidate = replace(entry(), id=entry_id, x509_svid_ttl=ttl, expires_at=expires_at, hint=hint)
    try:
        check_fields(candidate, TD)
        check_whole(candidate)
    except InvalidArgumentError:
        return
    assert len(candidate.id.encode()) <= 255
    assert set(candidate.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert 0 <= candidate.x509_svid_ttl < 2**31
    assert 0 <= candidate.expires_at < 2**63
    assert len(candidate.hint.encode()) <= 1024
