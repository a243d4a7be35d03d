"""How lists in filters are compared, against a plain model of SPIRE's meaning."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import (
    EntryFilter,
    Match,
    NodeFilter,
    Page,
    SelectorFilter,
    Store,
    Transaction,
    TrustDomainFilter,
)
from assay_server.model import Node

SELECTORS = [Selector("unix", f"uid:{n}") for n in range(3)] + [Selector("k8s", "uid:0")]
TRUST_DOMAINS = [TrustDomain(f"{name}.org") for name in "abcd"]
ID = SpiffeId.parse("spiffe://example.org/x")
EVERY = Page()


def expected(owned: Sequence[object], wanted: Sequence[object], match: Match) -> bool:
    """Objects that share nothing with the list match in no way, SUBSET included."""
    has, listed = set(owned), set(wanted)
    return (
        bool(has & listed)
        and {
            Match.EXACT: has == listed,
            Match.SUBSET: has <= listed,
            Match.SUPERSET: has >= listed,
            Match.ANY: True,
        }[match]
    )


def lists_of(values: Sequence[Any], least: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=5)


MATCHES = st.sampled_from(list(Match))
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(owned=st.lists(lists_of(SELECTORS, 0), max_size=6), wanted=lists_of(SELECTORS, 1), match=MATCHES)
async def test_selectors_of_entries(
    store: Store, owned: list[list[Selector]], wanted: list[Selector], match: Match
) -> None:
    def work(tx: Transaction) -> None:
        names = _fill_entries(tx, [{"selectors": tuple(selectors)} for selectors in owned])
        where = EntryFilter(selectors=SelectorFilter(tuple(wanted), match))
        want = [name for name, has in zip(names, owned, strict=True) if expected(has, wanted, match)]
        assert [entry.id for entry in tx.entries.find(where, EVERY)[0]] == want
        assert tx.entries.count(where) == len(want)

    await store.write(work)


@QUICK
@given(owned=st.lists(lists_of(TRUST_DOMAINS, 0), max_size=6), wanted=lists_of(TRUST_DOMAINS, 1), match=MATCHES)
async def test_federates_with_of_entries(
    store: Store, owned: list[list[TrustDomain]], wanted: list[TrustDomain], match: Match
) -> None:
    def work(tx: Transaction) -> None:
        names = _fill_entries(tx, [{"federates_with": tuple(trust_domains)} for trust_domains in owned])
        where = EntryFilter(federates_with=TrustDomainFilter(tuple(wanted), match))
        want = [name for name, has in zip(names, owned, strict=True) if expected(has, wanted, match)]
        assert [entry.id for entry in tx.entries.find(where, EVERY)[0]] == want
        assert tx.entries.count(where) == len(want)

    await store.write(work)


@QUICK
@given(owned=st.lists(lists_of(SELECTORS, 0), max_size=6), wanted=lists_of(SELECTORS, 1), match=MATCHES)
async def test_selectors_of_nodes(
    store: Store, owned: list[list[Selector]], wanted: list[Selector], match: Match
) -> None:
    def work(tx: Transaction) -> None:
        for node in tx.nodes.find(NodeFilter(), EVERY)[0]:
            tx.nodes.delete(node.spiffe_id)
        nodes = [_node(n, tuple(selectors)) for n, selectors in enumerate(owned)]
        for node in nodes:
            tx.nodes.put(node)
        where = NodeFilter(selectors=SelectorFilter(tuple(wanted), match))
        want = [node.spiffe_id for node in nodes if expected(node.selectors, wanted, match)]
        assert [node.spiffe_id for node in tx.nodes.find(where, EVERY)[0]] == want
        assert tx.nodes.count(where) == len(want)

    await store.write(work)


def _fill_entries(tx: Transaction, owned: Sequence[dict[str, Any]]) -> list[str]:
    for entry in tx.entries.find(EntryFilter(), EVERY)[0]:
        tx.entries.delete(entry.id)
    for trust_domain in TRUST_DOMAINS:
        tx.bundles.put(Bundle(trust_domain))
    names = [f"e{n}" for n in range(len(owned))]
    for name, fields in zip(names, owned, strict=True):
        tx.entries.create(Entry(**{"id": name, "spiffe_id": ID, "parent_id": ID, "selectors": (), **fields}))
    return names


def _node(number: int, selectors: tuple[Selector, ...]) -> Node:
    return Node(
        spiffe_id=SpiffeId(TrustDomain("example.org"), f"/n{number}"),
        attestation_type="x",
        serial="1",
        expires_at=1,
        selectors=selectors,
    )
