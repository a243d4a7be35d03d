"""Listing and counting by several fields at once and in pages, against a plain model."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import (
    EntryFilter,
    Match,
    Page,
    SelectorFilter,
    Store,
    Transaction,
    TrustDomainFilter,
)

TD = TrustDomain("example.org")
SELECTORS = [Selector("unix", f"uid:{n}") for n in range(3)]
TRUST_DOMAINS = [TrustDomain(f"{name}.org") for name in "ab"]
PATHS = [SpiffeId(TD, f"/{name}") for name in "xyz"]
HINTS = ["", "h", "i"]


def tuples_of(values: Sequence[object], least: int) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=3, unique=True).map(tuple)


ENTRIES = st.lists(
    st.builds(
        Entry,
        id=st.just(""),
        spiffe_id=st.sampled_from(PATHS),
        parent_id=st.sampled_from(PATHS),
        selectors=tuples_of(SELECTORS, 1),
        federates_with=tuples_of(TRUST_DOMAINS, 0),
        hint=st.sampled_from(HINTS),
        downstream=st.booleans(),
    ),
    max_size=8,
)
MATCHES = st.sampled_from(list(Match))
FILTERS = st.builds(
    EntryFilter,
    spiffe_id=st.none() | st.sampled_from(PATHS),
    parent_id=st.none() | st.sampled_from(PATHS),
    selectors=st.none() | st.builds(SelectorFilter, tuples_of(SELECTORS, 1), MATCHES),
    federates_with=st.none() | st.builds(TrustDomainFilter, tuples_of(TRUST_DOMAINS, 1), MATCHES),
    hint=st.none() | st.sampled_from(HINTS),
    downstream=st.none() | st.booleans(),
)


def relates(owned: Sequence[object], wanted: Sequence[object], match: Match) -> bool:
    has, listed = set(owned), set(wanted)
    if not has & listed:
        return False
    return {
        Match.EXACT: has == listed,
        Match.SUBSET: has <= listed,
        Match.SUPERSET: has >= listed,
        Match.ANY: True,
    }[match]


def belongs(entry: Entry, where: EntryFilter) -> bool:
    fields = ("spiffe_id", "parent_id", "hint", "downstream")
    alike = all(getattr(where, name) in {None, getattr(entry, name)} for name in fields)
    selected = where.selectors is None or relates(entry.selectors, where.selectors.selectors, where.selectors.match)
    federated = where.federates_with is None or relates(
        entry.federates_with, where.federates_with.trust_domains, where.federates_with.match
    )
    return alike and selected and federated


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_entries=ENTRIES, where=FILTERS, size=st.integers(1, 3))
async def test_pages_together_are_what_was_asked_for_in_order_of_creation(
    store: Store, given_entries: list[Entry], where: EntryFilter, size: int
) -> None:
    def work(tx: Transaction) -> tuple[list[str], list[str], int]:
        for entry in tx.entries.find(EntryFilter(), Page())[0]:
            tx.entries.delete(entry.id)
        for trust_domain in TRUST_DOMAINS:
            tx.bundles.put(Bundle(trust_domain))
        for number, entry in enumerate(given_entries):
            tx.entries.create(_named(entry, number))
        listed: list[str] = []
        token = ""
        while token or not listed:
            found, token = tx.entries.find(where, Page(size, token))
            assert len(found) <= size
            listed += [entry.id for entry in found]
            if not found:
                break
        whole, _ = tx.entries.find(where, Page())
        return listed, [entry.id for entry in whole], tx.entries.count(where)

    expected = [f"e{number}" for number, entry in enumerate(given_entries) if belongs(entry, where)]
    assert await store.write(work) == (expected, expected, len(expected))


def _named(entry: Entry, number: int) -> Entry:
    fields = {name: getattr(entry, name) for name in Entry.__slots__}
    return Entry(**{**fields, "id": f"e{number}"})
