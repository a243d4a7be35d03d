"""What every store does with federation relationships."""

from collections.abc import Callable

import pytest

from assay.bundle import Bundle
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Change, ChangeKind, Page, Store, Transaction
from assay_server.model import FederationRelationship, HttpsSpiffeProfile, HttpsWebProfile

A_ORG, B_ORG, C_ORG, D_ORG = (TrustDomain(f"{name}.org") for name in "abcd")
WEB = FederationRelationship(A_ORG, "https://a.org/bundle", HttpsWebProfile())
SPIFFE = FederationRelationship(
    B_ORG, "https://b.org:8443", HttpsSpiffeProfile(SpiffeId.parse("spiffe://other.org/endpoint"))
)


def web(trust_domain: TrustDomain) -> FederationRelationship:
    return FederationRelationship(trust_domain, f"https://{trust_domain}", HttpsWebProfile())


def putting(*relationships: FederationRelationship) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for relationship in relationships:
            tx.federation_relationships.put(relationship)

    return work


async def names(store: Store, page: Page) -> tuple[list[str], str]:
    found, token = await store.read(lambda tx: tx.federation_relationships.find(page))
    return [each.trust_domain.name for each in found], token


@pytest.mark.parametrize("relationship", [WEB, SPIFFE])
async def test_a_relationship_comes_back_as_it_was_written(store: Store, relationship: FederationRelationship) -> None:
    await store.write(putting(relationship))
    name = relationship.trust_domain
    assert await store.read(lambda tx: tx.federation_relationships.get(name)) == relationship
    assert await store.read(lambda tx: tx.federation_relationships.get(C_ORG)) is None


async def test_put_replaces_everything_and_keeps_the_place(store: Store) -> None:
    changed = FederationRelationship(A_ORG, "https://elsewhere.org", SPIFFE.bundle_endpoint_profile)
    await store.write(putting(WEB, SPIFFE, changed))
    found = await store.read(lambda tx: tx.federation_relationships.find(Page()))
    assert found == ([changed, SPIFFE], "")
    await store.write(putting(WEB))
    assert await store.read(lambda tx: tx.federation_relationships.get(A_ORG)) == WEB


async def test_pages_go_in_order_of_creation_whatever_is_written_meanwhile(store: Store) -> None:
    await store.write(putting(web(C_ORG), web(A_ORG), web(B_ORG)))
    first, token = await names(store, Page(2))
    await store.write(lambda tx: tx.federation_relationships.delete(C_ORG))
    await store.write(lambda tx: tx.federation_relationships.delete(A_ORG))
    await store.write(putting(web(D_ORG), web(B_ORG)))
    assert first == ["c.org", "a.org"]
    second, end = await names(store, Page(2, token))
    assert second == ["b.org", "d.org"]
    assert await names(store, Page(2, end)) == ([], "")


async def test_delete_says_whether_there_was_one_and_leaves_the_bundle(store: Store) -> None:
    await store.write(putting(WEB, SPIFFE))
    await store.write(lambda tx: tx.bundles.put(Bundle(A_ORG)))
    assert await store.write(lambda tx: tx.federation_relationships.delete(A_ORG))
    assert not await store.write(lambda tx: tx.federation_relationships.delete(A_ORG))
    assert await names(store, Page()) == (["b.org"], "")
    assert await store.read(lambda tx: tx.bundles.get(A_ORG)) == Bundle(A_ORG)


async def test_every_write_is_one_change(store: Store) -> None:
    await store.write(putting(WEB, WEB))
    await store.write(lambda tx: tx.federation_relationships.delete(A_ORG))
    await store.write(lambda tx: tx.federation_relationships.delete(A_ORG))
    kind = ChangeKind.FEDERATION_RELATIONSHIP
    changes = [Change(n, kind, "a.org") for n in (1, 2, 3)]
    assert await store.read(lambda tx: tx.changes.since(0, 10)) == changes
    assert [written.change for written in store.recent(0) or ()] == changes
