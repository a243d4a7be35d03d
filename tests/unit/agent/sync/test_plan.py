import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_agent.sync.plan import Held, Outlook, Plan, Postponed, outdated, plan

NOW = 1000.0
ENTRY = Entry(
    id="a",
    spiffe_id=SpiffeId.parse("spiffe://example.org/a"),
    parent_id=SpiffeId.parse("spiffe://example.org/spire/agent/x"),
    selectors=(Selector("unix", "uid:1"),),
    revision=1,
    created_at=500,
)


def entries(*ids: str) -> dict[str, Entry]:
    return {one: replace(ENTRY, id=one, spiffe_id=SpiffeId.parse(f"spiffe://example.org/{one}")) for one in ids}


def look(
    known: Mapping[str, Entry],
    held: Mapping[str, Held] | None = None,
    wanted: set[str] | None = None,
    limit: int = 100,
    postponed: Mapping[str, Postponed] | None = None,
) -> Plan:
    return plan(NOW, Outlook(known, held or {}, wanted or set(), limit, postponed or {}))


def test_nothing_to_do_is_nothing_in_sight() -> None:
    assert look({}) == Plan((), (), math.inf)


def test_new_entries_are_signed_in_order() -> None:
    assert look(entries("b", "a", "c")) == Plan((), ("a", "b", "c"), math.inf)


def test_what_is_wanted_presses() -> None:
    known = entries("a", "b", "c")
    assert look(known, wanted={"c"}) == Plan(("c",), ("a", "b"), math.inf)


def test_the_limit_holds_for_what_nobody_wants() -> None:
    known = entries("a", "b", "c", "d")
    assert look(known, wanted={"d"}, limit=2) == Plan(("d",), ("a",), math.inf)
    assert look(known, wanted={"b", "c", "d"}, limit=2) == Plan(("b", "c", "d"), (), math.inf)
    assert look(known, held={"a": Held(known["a"], NOW + 5)}, limit=1) == Plan((), (), NOW + 5)


def test_held_svids_are_renewed_whatever_the_limit() -> None:
    known = entries("a", "b")
    held = {one: Held(known[one], NOW - 1) for one in known}
    assert look(known, held, limit=1).others == ("a", "b")


def test_renewal_waits_for_its_time_and_the_next_one_is_named() -> None:
    known = entries("a", "b", "c")
    held = {"a": Held(known["a"], NOW), "b": Held(known["b"], NOW + 7), "c": Held(known["c"], NOW + 3)}
    assert look(known, held) == Plan((), ("a",), NOW + 3)


def test_missing_ones_come_before_outdated_before_expiring() -> None:
    known = entries("a", "b", "c")
    held = {"a": Held(known["a"], NOW - 5), "b": Held(replace(known["b"], dns_names=("old",)), NOW + 500)}
    assert look(known, held).others == ("c", "b", "a")


def test_the_most_overdue_comes_first() -> None:
    known = entries("a", "b")
    held = {"a": Held(known["a"], NOW - 1), "b": Held(known["b"], NOW - 2)}
    assert look(known, held).others == ("b", "a")


def test_entries_for_a_store_are_signed_while_its_keeper_wants_them() -> None:
    known = {"a": replace(ENTRY, store_svid=True)}
    assert look(known) == Plan()
    assert look(known, wanted={"a"}).pressing == ("a",)


def test_entries_that_name_instances_are_signed_for_each_of_them_and_not_here() -> None:
    known = entries("a", "b")
    known["a"] = replace(known["a"], principal="bot", instance_from="unix:process")
    for held in ({}, {"a": Held(known["a"], NOW - 1)}):
        assert look(known, held, wanted={"a"}) == Plan((), ("b",), math.inf)


def test_entries_without_prefetch_are_signed_once_somebody_wants_them_and_renewed_from_then_on() -> None:
    known = {"a": replace(ENTRY, disable_x509_svid_prefetch=True)}
    expiring = {"a": Held(known["a"], NOW - 1)}
    assert look(known) == Plan()
    assert look(known, wanted={"a"}).pressing == look(known, expiring, wanted={"a"}).pressing == ("a",)
    assert look(known, expiring).others == ("a",)
    assert look(known, {"a": Held(known["a"], NOW + 5)}) == Plan((), (), NOW + 5)


def test_a_refused_entry_is_left_alone_for_a_while() -> None:
    known = entries("a")
    assert look(known, postponed={"a": Postponed(known["a"], NOW + 5)}) == Plan((), (), NOW + 5)
    assert look(known, postponed={"a": Postponed(known["a"], NOW)}).others == ("a",)


def test_a_refused_entry_that_changed_is_tried_at_once() -> None:
    known = entries("a")
    before = replace(known["a"], dns_names=("other",))
    assert look(known, postponed={"a": Postponed(before, NOW + 5)}).others == ("a",)


@pytest.mark.parametrize(
    "changed",
    [
        replace(ENTRY, spiffe_id=SpiffeId.parse("spiffe://example.org/other")),
        replace(ENTRY, x509_svid_ttl=60),
        replace(ENTRY, dns_names=("name",)),
        replace(ENTRY, created_at=501),
    ],
)
def test_changes_that_the_certificate_shows_make_it_outdated(changed: Entry) -> None:
    assert outdated(ENTRY, changed)


@pytest.mark.parametrize(
    "changed",
    [
        ENTRY,
        replace(ENTRY, revision=2),
        replace(ENTRY, selectors=(Selector("unix", "uid:2"),)),
        replace(ENTRY, hint="hint"),
        replace(ENTRY, federates_with=(TrustDomain("other.example"),)),
        replace(ENTRY, jwt_svid_ttl=60),
        replace(ENTRY, expires_at=5000),
    ],
)
def test_changes_that_it_does_not_show_do_not(changed: Entry) -> None:
    assert not outdated(ENTRY, changed)


IDS = st.sampled_from([f"e{number}" for number in range(8)])


@given(
    known=st.dictionaries(IDS, st.tuples(st.booleans(), st.booleans(), st.integers(0, 1))),
    held=st.dictionaries(IDS, st.tuples(st.floats(0, 2000), st.integers(0, 1))),
    wanted=st.sets(IDS),
    limit=st.integers(0, 10),
    postponed=st.dictionaries(IDS, st.floats(0, 2000)),
)
def test_every_plan_keeps_the_rules(
    known: dict[str, tuple[bool, bool, int]],
    held: dict[str, tuple[float, int]],
    wanted: set[str],
    limit: int,
    postponed: dict[str, float],
) -> None:
    listed = {
        one: replace(ENTRY, id=one, store_svid=store, disable_x509_svid_prefetch=lazy, x509_svid_ttl=ttl)
        for one, (store, lazy, ttl) in known.items()
    }
    having = {
        one: Held(replace(listed[one], x509_svid_ttl=ttl), at) for one, (at, ttl) in held.items() if one in listed
    }
    put_off = {one: Postponed(listed[one], until) for one, until in postponed.items() if one in listed}
    made = look(listed, having, wanted, limit, put_off)
    chosen = (*made.pressing, *made.others)

    assert len(set(chosen)) == len(chosen)
    assert set(made.pressing) == set(chosen) & wanted
    assert all(one in listed and (one in wanted or not listed[one].store_svid) for one in chosen)
    assert made.next_at > NOW
    for one, entry in listed.items():
        due = one not in having or outdated(having[one].entry, entry) or having[one].renew_at <= NOW
        free = one not in put_off or put_off[one].until <= NOW
        lazy = entry.disable_x509_svid_prefetch
        kept = one in wanted or (not entry.store_svid and (one in having or not lazy))
        if one in wanted:
            assert (one in chosen) == (due and free and kept)
        if one in chosen:
            assert due
            assert free
            assert kept
        elif due and free and kept:
            assert one not in having  # left out for want of room only
            new = [other for other in chosen if other not in having]
            assert len(having) + len(new) >= limit
        elif kept:
            later = put_off[one].until if not free else 0
            assert made.next_at <= max(later, having[one].renew_at if one in having else 0)
