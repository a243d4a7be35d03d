"""What every store does with the CA journal."""

from dataclasses import replace

from assay_server.datastore.base import Store
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

RECORD = AuthorityRecord(
    kind=AuthorityKind.X509,
    slot=Slot.A,
    status=AuthorityStatus.ACTIVE,
    key_id="x509-CA-A",
    authority_id="ab01",
    issued_at=1_700_000_000,
    not_after=2_000_000_000,
    document=b"\x30\x82\x00",
)


async def test_the_journal_is_empty_at_first(store: Store) -> None:
    assert await store.read(lambda tx: tx.authorities.load()) == []


async def test_save_replaces_the_journal_and_keeps_its_order(store: Store) -> None:
    records = [
        replace(RECORD, kind=kind, slot=slot, status=status, key_id=f"{kind}{slot}")
        for kind in AuthorityKind
        for slot in Slot
        for status in AuthorityStatus
    ]
    await store.write(lambda tx: tx.authorities.save([RECORD]))
    await store.write(lambda tx: tx.authorities.save(records))
    assert await store.read(lambda tx: tx.authorities.load()) == records
    await store.write(lambda tx: tx.authorities.save([]))
    assert await store.read(lambda tx: tx.authorities.load()) == []


async def test_saving_is_no_change_that_agents_see(store: Store) -> None:
    await store.write(lambda tx: tx.authorities.save([RECORD]))
    assert await store.read(lambda tx: tx.changes.latest()) == 0
