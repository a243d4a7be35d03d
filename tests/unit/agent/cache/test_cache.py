"""What the cache knows, and how it changes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import UnavailableError
from assay.selector import Selector
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay_agent.cache import Cache, Update

MakeEntry = Callable[..., Entry]
Sign = Callable[[Entry], X509Svid]
Select = Callable[..., frozenset[Selector]]

OWN = TrustDomain("example.org")
OTHER = Bundle(TrustDomain("other.test"), sequence=1)


def ids(cache: Cache, selectors: frozenset[Selector]) -> list[str]:
    return [identity.entry.id for identity in cache.view(selectors).identities]


def test_a_delta_adds_changes_and_removes(cache: Cache, entry: MakeEntry) -> None:
    cache.apply(Update(entries=[entry("a", "/a", "uid:1"), entry("b", "/b", "uid:1")], bundles=[OTHER]))
    cache.apply(
        Update(entries=[entry("a", "/a", "uid:2")], removed=["b", "unknown"], removed_bundles=[TrustDomain("x")])
    )
    assert list(cache.entries) == ["a"]
    assert cache.entries["a"].selectors == (Selector("unix", "uid:2"),)
    assert set(cache.bundles) == {OWN, TrustDomain("other.test")}
    cache.apply(Update(removed_bundles=[TrustDomain("other.test")]))
    assert set(cache.bundles) == {OWN}


def test_a_snapshot_replaces_everything_but_the_own_bundle(cache: Cache, entry: MakeEntry, bundle: Bundle) -> None:
    cache.apply(Update(entries=[entry("a", "/a", "uid:1")], bundles=[OTHER]))
    cache.apply(Update(snapshot=True, entries=[entry("b", "/b", "uid:1")]))
    assert list(cache.entries) == ["b"]
    assert dict(cache.bundles) == {OWN: bundle}


def test_the_own_bundle_is_not_removed_by_name_either(cache: Cache) -> None:
    cache.apply(Update(removed_bundles=[OWN]))
    assert OWN in cache.bundles


def test_synced_needs_a_snapshot_and_the_own_bundle(bundle: Bundle) -> None:
    cache = Cache(OWN)
    cache.apply(Update(bundles=[bundle]))
    assert not cache.synced
    cache.apply(Update(snapshot=True))
    assert cache.synced


def test_a_view_without_the_own_bundle_is_unavailable(select: Select) -> None:
    with pytest.raises(UnavailableError):
        Cache(OWN).view(select("uid:1"))


@pytest.mark.spec("WAPI-8-a")
def test_identities_come_by_entry_id_whatever_the_order_they_came_in(
    cache: Cache, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    entries = [entry("c", "/1", "uid:1"), entry("a", "/3", "uid:1"), entry("b", "/2", "uid:1", "gid:1")]
    cache.apply(Update(entries=entries))
    for one in entries:
        cache.set_svid(one.id, sign(one))
    assert ids(cache, select("uid:1", "gid:1", "user:x")) == ["a", "b", "c"]
    assert ids(cache, select("uid:1")) == ["a", "c"]
    assert ids(cache, select("gid:1")) == []


def test_an_entry_without_selectors_is_nobodys(cache: Cache, entry: MakeEntry, select: Select) -> None:
    cache.apply(Update(entries=[entry("a", "/a")]))
    assert cache.matching(select("uid:1")) == ()
    assert cache.matching(frozenset()) == ()


def test_entries_for_an_svid_store_match_no_workload(cache: Cache, entry: MakeEntry, select: Select) -> None:
    cache.apply(Update(entries=[entry("a", "/a", "uid:1", store_svid=True), entry("b", "/b", "uid:1")]))
    assert [one.id for one in cache.matching(select("uid:1"))] == ["b"]
    cache.apply(Update(entries=[entry("b", "/b", "uid:1", store_svid=True, revision=2)]))
    assert cache.matching(select("uid:1")) == ()
    assert set(cache.entries) == {"a", "b"}


@pytest.mark.spec("WAPI-5.2.1-d")
def test_repeated_hints_leave_the_oldest_entry(cache: Cache, entry: MakeEntry, sign: Sign, select: Select) -> None:
    young = entry("a", "/a", "uid:1", hint="db", created_at=9)
    old = entry("b", "/b", "uid:1", hint="db", created_at=5)
    cache.apply(Update(entries=[young, old]))
    cache.set_svid("a", sign(young))
    cache.set_svid("b", sign(old))
    assert ids(cache, select("uid:1")) == ["b"]
    assert [one.id for one in cache.matching(select("uid:1"))] == ["b"]


def test_what_is_not_signed_is_pending(cache: Cache, entry: MakeEntry, sign: Sign, select: Select) -> None:
    entries = [entry("a", "/a", "uid:1"), entry("b", "/b", "uid:1")]
    cache.apply(Update(entries=entries))
    cache.set_svid("b", sign(entries[1]))
    view = cache.view(select("uid:1"))
    assert [one.id for one in view.pending] == ["a"]
    assert view.entitled
    assert not cache.view(select("uid:9")).entitled


def test_federated_bundles_are_those_of_the_callers_entries_only(
    cache: Cache, entry: MakeEntry, select: Select
) -> None:
    names = [TrustDomain(name) for name in ("b.test", "a.test", "unknown.test")]
    cache.apply(
        Update(
            entries=[entry("a", "/a", "uid:1", federates_with=(*names, OWN)), entry("b", "/b", "uid:2")],
            bundles=[Bundle(names[0]), Bundle(names[1]), OTHER],
        )
    )
    assert [str(one.trust_domain) for one in cache.view(select("uid:1")).federated] == ["a.test", "b.test"]
    assert cache.view(select("uid:2")).federated == ()


def test_an_svid_for_an_entry_that_has_gone_is_dropped(cache: Cache, entry: MakeEntry, sign: Sign) -> None:
    gone = entry("a", "/a", "uid:1")
    cache.set_svid("a", sign(gone))
    assert not cache.svids


def test_an_svid_of_an_id_the_entry_no_longer_has_is_neither_kept_nor_taken(
    cache: Cache, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    old = entry("a", "/old", "uid:1")
    cache.apply(Update(entries=[old]))
    cache.set_svid("a", sign(old))
    cache.apply(Update(entries=[entry("a", "/new", "uid:1", revision=1)]))
    assert not cache.svids
    cache.set_svid("a", sign(old))
    assert ids(cache, select("uid:1")) == []


def test_a_change_that_leaves_the_id_keeps_the_svid_until_the_next_is_signed(
    cache: Cache, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    old = entry("a", "/a", "uid:1")
    cache.apply(Update(entries=[old]))
    cache.set_svid("a", sign(old))
    cache.apply(Update(entries=[replace(old, hint="new", revision=1)]))
    (identity,) = cache.view(select("uid:1")).identities
    assert identity.entry.hint == "new"
    assert identity.svid is cache.svids["a"]


def test_removing_the_entry_removes_its_svid(cache: Cache, entry: MakeEntry, sign: Sign) -> None:
    one = entry("a", "/a", "uid:1")
    cache.apply(Update(entries=[one]))
    cache.set_svid("a", sign(one))
    cache.apply(Update(removed=["a"]))
    assert not cache.svids
    cache.drop_svid("a")


def test_eviction_takes_those_longest_out_of_use_and_none_that_is_followed(
    cache: Cache, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    entries = [entry(name, f"/{name}", f"uid:{name}") for name in "abcd"]
    cache.apply(Update(entries=entries))
    for one in entries:
        cache.set_svid(one.id, sign(one))
    cache.subscribe(select("uid:a")).close()
    with cache.subscribe(select("uid:b")):
        assert cache.evict(4) == 0
        assert cache.evict(2) == 2
        assert set(cache.svids) == {"a", "b"}
        assert cache.evict(0) == 1
        assert set(cache.svids) == {"b"}
    assert cache.evict(0) == 1


def test_a_new_svid_does_not_make_an_idle_entry_recently_used(cache: Cache, entry: MakeEntry, sign: Sign) -> None:
    entries = [entry(name, f"/{name}", "uid:1") for name in "ab"]
    cache.apply(Update(entries=entries))
    for one in (*entries, entries[0]):
        cache.set_svid(one.id, sign(one))
    cache.evict(1)
    assert set(cache.svids) == {"b"}
