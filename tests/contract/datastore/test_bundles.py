"""What every store does with bundles."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.entry import Entry
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import Page, Store, Transaction

A_ORG, B_ORG, C_ORG = (TrustDomain(f"{name}.org") for name in "abc")
FULL = Bundle(
    A_ORG,
    (X509Authority(b"\x30\x00\xff"), X509Authority(b"second", tainted=True)),
    (JwtAuthority("kid", b"\x00key", 2_000_000_000), JwtAuthority('"', b"", tainted=True)),
    refresh_hint=300,
    sequence=2**40,
    wit_authorities=(WitAuthority("wit", b"\x00key", 2_000_000_000), WitAuthority("old", b"k", tainted=True)),
)


def putting(bundle: Bundle) -> Callable[[Transaction], None]:
    return lambda tx: tx.bundles.put(bundle)


def creating(entry: Entry) -> Callable[[Transaction], None]:
    return lambda tx: tx.entries.create(entry)


async def put(store: Store, *bundles: Bundle) -> None:
    for bundle in bundles:
        await store.write(putting(bundle))


async def test_a_bundle_comes_back_as_it_was_written(store: Store) -> None:
    await put(store, FULL)
    assert await store.read(lambda tx: tx.bundles.get(A_ORG)) == FULL


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 2**64 - 1])
async def test_a_sequence_number_is_unsigned(store: Store, number: int) -> None:
    await put(store, Bundle(A_ORG, sequence=number))
    assert await store.read(lambda tx: tx.bundles.get(A_ORG)) == Bundle(A_ORG, sequence=number)


async def test_an_unknown_bundle_is_none(store: Store) -> None:
    assert await store.read(lambda tx: tx.bundles.get(A_ORG)) is None


@pytest.mark.spec("TDB-3-a")
async def test_put_replaces_everything_and_keeps_the_place(store: Store) -> None:
    await put(store, FULL, Bundle(B_ORG), Bundle(A_ORG, sequence=3))
    bundles, token = await store.read(lambda tx: tx.bundles.find(Page()))
    assert (bundles, token) == ([Bundle(A_ORG, sequence=3), Bundle(B_ORG)], "")


async def test_pages_go_in_order_of_creation(store: Store) -> None:
    await put(store, Bundle(C_ORG), Bundle(A_ORG), Bundle(B_ORG))
    first, token = await store.read(lambda tx: tx.bundles.find(Page(2)))
    second, end = await store.read(lambda tx: tx.bundles.find(Page(2, token)))
    assert [bundle.trust_domain for bundle in (*first, *second)] == [C_ORG, A_ORG, B_ORG]
    assert await store.read(lambda tx: tx.bundles.find(Page(2, end))) == ([], "")
    assert await store.read(lambda tx: tx.bundles.count()) == 3


async def test_get_many_gives_those_there_are(store: Store) -> None:
    await put(store, Bundle(B_ORG), Bundle(A_ORG))
    found = await store.read(lambda tx: tx.bundles.get_many([A_ORG, C_ORG, B_ORG, A_ORG]))
    assert found == [Bundle(B_ORG), Bundle(A_ORG)]


async def test_delete_says_whether_there_was_one(store: Store) -> None:
    await put(store, FULL)
    assert await store.write(lambda tx: tx.bundles.delete(A_ORG))
    assert not await store.write(lambda tx: tx.bundles.delete(A_ORG))
    assert await store.read(lambda tx: tx.bundles.count()) == 0


async def test_delete_is_refused_while_entries_federate_with_it(store: Store, make_entry: Callable[..., Entry]) -> None:
    await put(store, Bundle(A_ORG), Bundle(B_ORG))
    entries = [make_entry("both", federates_with=(A_ORG, B_ORG)), make_entry("a", federates_with=(A_ORG,))]
    for entry in entries:
        await store.write(creating(entry))
    assert await store.read(lambda tx: tx.bundles.federated_entries(A_ORG)) == entries
    with pytest.raises(FailedPreconditionError, match="cannot delete bundle; federated with 2 registration entries"):
        await store.write(lambda tx: tx.bundles.delete(A_ORG))
    assert await store.read(lambda tx: tx.bundles.get(A_ORG)) == Bundle(A_ORG)


async def test_entries_can_be_dissociated_and_the_bundle_deleted_in_one_function(
    store: Store, make_entry: Callable[..., Entry]
) -> None:
    await put(store, Bundle(A_ORG))
    entry = make_entry("a", federates_with=(A_ORG,))
    await store.write(lambda tx: tx.entries.create(entry))

    def dissociate(tx: Transaction) -> bool:
        for federated in tx.bundles.federated_entries(A_ORG):
            tx.entries.update(replace(federated, federates_with=()))
        return tx.bundles.delete(A_ORG)

    assert await store.write(dissociate)
    assert await store.read(lambda tx: tx.entries.get("a")) == replace(entry, federates_with=())


async def test_replacing_a_bundle_keeps_the_entries_that_federate_with_it(
    store: Store, make_entry: Callable[..., Entry]
) -> None:
    await put(store, Bundle(A_ORG))
    entry = make_entry("a", federates_with=(A_ORG,))
    await store.write(lambda tx: tx.entries.create(entry))
    await put(store, FULL)
    assert await store.read(lambda tx: tx.bundles.federated_entries(A_ORG)) == [entry]
