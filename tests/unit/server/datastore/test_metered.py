"""What is counted of a real store: operations by SPIRE's names, and how their transactions ended."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.bundle import Bundle, JwtAuthority
from assay.errors import AlreadyExistsError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.metrics import Recorded
from assay_server.datastore.base import EntryFilter, Page, Store, Transaction
from assay_server.datastore.metered import MeteredStore
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import FederationRelationship, HttpsWebProfile, JoinToken, Node

TD = TrustDomain("example.org")


@pytest.fixture
def metrics() -> Recorded:
    return Recorded()


@pytest.fixture
def metered(store: SqlStore, metrics: Recorded) -> Store:
    return MeteredStore(store, metrics)


def twice(tx: Transaction) -> int:
    tx.bundles.put(Bundle(TD))
    tx.bundles.put(Bundle(TD, sequence=2))
    return len(tx.entries.find(EntryFilter(), Page())[0])


async def test_each_operation_counts_and_each_kind_is_timed_once(metered: Store, metrics: Recorded) -> None:
    assert await metered.write(twice) == 0
    assert metrics.counts() == {
        ("datastore.bundle.set", "OK"): 2,
        ("datastore.registration_entry.list", "OK"): 1,
    }
    samples = [(name, labels) for kind, name, labels, _ in metrics.taken if kind == "sample"]
    assert samples == [
        ("datastore.bundle.set.elapsed_time", {"status": "OK"}),
        ("datastore.registration_entry.list.elapsed_time", {"status": "OK"}),
    ]


def node(*selectors: Selector) -> Node:
    return Node(SpiffeId(TD, "/spire/agent/x509pop/n"), "x509pop", "1", 2**31, selectors=selectors)


def append(tx: Transaction) -> None:
    tx.bundles.get(TD)
    tx.bundles.put(Bundle(TD))
    tx.bundles.get(TD)
    tx.bundles.put(Bundle(TD, jwt_authorities=(JwtAuthority("k", b"key"),)))
    tx.bundles.get(TD)
    tx.bundles.put(Bundle(TD))


def attest(tx: Transaction) -> None:
    for selectors in ((), (Selector("a", "b"),)):
        tx.nodes.get(node().spiffe_id)
        tx.nodes.put(node(*selectors))
    tx.nodes.get(node().spiffe_id)
    tx.nodes.put(replace(node(*selectors), serial="2"))


def relate(tx: Transaction) -> None:
    for url in ("https://a.b", "https://c.d"):
        tx.federation_relationships.get(TD)
        tx.federation_relationships.put(FederationRelationship(TD, url, HttpsWebProfile()))


@pytest.mark.parametrize(
    ("work", "writings"),
    [
        (append, {"bundle.create": 1, "bundle.append": 1, "bundle.set": 1}),
        (attest, {"node.create": 1, "node.update": 2, "node.selectors.set": 2}),
        (relate, {"federation_relationship.create": 1, "federation_relationship.update": 1}),
    ],
)
async def test_a_writing_is_named_by_what_was_there_before(
    work: Callable[[Transaction], None], writings: dict[str, int], metered: Store, metrics: Recorded
) -> None:
    await metered.write(work)
    found = {name.removeprefix("datastore."): number for (name, _), number in metrics.counts().items()}
    assert {name: number for name, number in found.items() if not name.endswith(".fetch")} == writings


async def test_what_was_undone_counts_as_what_undid_it(metered: Store, metrics: Recorded) -> None:
    token = JoinToken("t", 2**40)

    def again(tx: Transaction) -> None:
        tx.bundles.put(Bundle(TD))
        tx.join_tokens.create(token)

    await metered.write(lambda tx: tx.join_tokens.create(token))
    with pytest.raises(AlreadyExistsError):
        await metered.write(again)
    assert metrics.counts() == {
        ("datastore.join_token.create", "OK"): 1,
        ("datastore.bundle.set", "AlreadyExists"): 1,
        ("datastore.join_token.create", "AlreadyExists"): 1,
    }
    assert await metered.read(lambda tx: tx.bundles.get(TD)) is None


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (lambda tx: tx.nodes.get(TD.id), "node.fetch"),
        (lambda tx: tx.join_tokens.get("t"), "join_token.fetch"),
        (lambda tx: tx.authorities.load(), "ca_journal.fetch"),
        (lambda tx: tx.bundles.count(), "bundle.count"),
        (lambda tx: tx.federation_relationships.get(TD), "federation_relationship.fetch"),
        (lambda tx: tx.entries.expired(1), "registration_entry.prune"),
    ],
)
async def test_names(work: Callable[[Transaction], object], name: str, metered: Store, metrics: Recorded) -> None:
    await metered.read(work)
    assert metrics.counts() == {(f"datastore.{name}", "OK"): 1}


async def test_changes_are_read_and_not_counted(metered: Store, metrics: Recorded) -> None:
    assert await metered.read(lambda tx: tx.changes.latest()) == metered.sequence
    assert metrics.taken == []


async def test_it_is_the_store_behind_it(metered: Store, store: SqlStore) -> None:
    await metered.write(twice)
    assert (metered.incarnation, metered.sequence) == (store.incarnation, store.sequence)
    assert metered.recent(0) == store.recent(0)
    assert await anext(metered.watch()) == store.sequence
