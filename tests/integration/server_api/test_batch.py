"""A large batch of which every second item is wrong, in turn in every way there is: the right half is done."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID

if TYPE_CHECKING:
    from tests.integration.server_api.conftest import House
else:
    House = object

ITEMS = 10_000
CHANGES = 2_000
INVALID, EXISTS, NOT_FOUND, INTERNAL = 3, 6, 5, 13

Spoil = Callable[[types.Entry], None]


def no_selectors(entry: types.Entry) -> None:
    del entry.selectors[:]


def no_path(entry: types.Entry) -> None:
    entry.spiffe_id.path = ""


def reserved(entry: types.Entry) -> None:
    entry.spiffe_id.path = "/spire/server"


def foreign(entry: types.Entry) -> None:
    entry.spiffe_id.trust_domain = "foreign.test"


def foreign_parent(entry: types.Entry) -> None:
    entry.parent_id.trust_domain = "foreign.test"


def unknown_bundle(entry: types.Entry) -> None:
    entry.federates_with.append("nowhere.test")


def negative_ttl(entry: types.Entry) -> None:
    entry.x509_svid_ttl = -1


def bad_dns_name(entry: types.Entry) -> None:
    entry.dns_names.append("not a name")


def long_hint(entry: types.Entry) -> None:
    entry.hint = "h" * 1025


def bad_id(entry: types.Entry) -> None:
    entry.id = "no slash / here"


def twice(entry: types.Entry) -> None:
    entry.spiffe_id.path = "/w0"


WRONG: list[tuple[Spoil, int, str]] = [
    (no_selectors, INVALID, "selector list is empty"),
    (no_path, INVALID, "path is empty"),
    (reserved, INVALID, "path is in the reserved namespace"),
    (foreign, INVALID, '"spiffe://foreign.test/w'),
    (foreign_parent, INVALID, "parent ID"),
    (unknown_bundle, INTERNAL, "nowhere.test"),
    (negative_ttl, INVALID, "X509SvidTtl is not set"),
    (bad_dns_name, INVALID, "DNS"),
    (long_hint, INVALID, "hint"),
    (bad_id, INVALID, "entry ID"),
    (twice, EXISTS, "similar entry already exists"),
]


def batch(parent: SpiffeId, items: int = ITEMS) -> list[types.Entry]:
    entries: list[types.Entry] = []
    for number in range(items):
        spiffe_id = SPIFFEID(trust_domain=parent.trust_domain.name, path=f"/w{number}")
        entry = types.Entry(spiffe_id=spiffe_id, parent_id=spiffeid_wire.to_proto(parent))
        entry.selectors.append(Selector(type="unix", value="uid:1"))
        if number % 2:
            WRONG[number // 2 % len(WRONG)][0](entry)
        entries.append(entry)
    return entries


async def test_of_ten_thousand_entries_the_right_half_is_created_and_each_other_told_why(house: House) -> None:
    parent, _ = await house.attest()
    request = entry_pb2.BatchCreateEntryRequest(entries=batch(parent))
    with capture_logs():  # thousands of lines
        results = (await house.entries.BatchCreateEntry(request)).results
    assert len(results) == ITEMS
    for number, result in enumerate(results):
        if number % 2:
            _, code, words = WRONG[number // 2 % len(WRONG)]
            assert (result.status.code, words in result.status.message) == (code, True), result.status
        else:
            assert (result.status.code, result.entry.spiffe_id.path) == (0, f"/w{number}")
    made = [result.entry.id for result in results if result.status.code == 0]
    listed = await house.entries.ListEntries(entry_pb2.ListEntriesRequest())
    assert sorted(entry.id for entry in listed.entries) == sorted(made)
    assert len(made) == ITEMS // 2


async def test_of_many_changes_the_right_half_is_done_and_each_other_told_why(house: House) -> None:
    parent, _ = await house.attest()
    right = batch(parent, CHANGES)[::2]
    made = (await house.entries.BatchCreateEntry(entry_pb2.BatchCreateEntryRequest(entries=right))).results
    changed = [
        each
        for number, result in enumerate(made)
        for each in (
            types.Entry(id=result.entry.id, hint=str(number)),
            types.Entry(
                id=f"missing-{number}" if number % 2 else result.entry.id, hint="h" * (1 if number % 2 else 1025)
            ),
        )
    ]
    mask = types.EntryMask(hint=True)
    updates = entry_pb2.BatchUpdateEntryRequest(entries=changed, input_mask=mask)
    with capture_logs():
        results = (await house.entries.BatchUpdateEntry(updates)).results
    assert [result.status.code for result in results] == [0, INVALID, 0, NOT_FOUND] * (CHANGES // 4)
    assert all(result.status.message for result in results)
    listed = await house.entries.ListEntries(entry_pb2.ListEntriesRequest())
    assert {entry.id: entry.hint for entry in listed.entries} == {
        result.entry.id: str(number) for number, result in enumerate(made)
    }
    ids = [entry.id if number % 2 else f"gone-{number}" for number, entry in enumerate(listed.entries)]
    deleted = (await house.entries.BatchDeleteEntry(entry_pb2.BatchDeleteEntryRequest(ids=ids))).results
    assert [result.status.code for result in deleted] == [NOT_FOUND, 0] * (len(ids) // 2)
