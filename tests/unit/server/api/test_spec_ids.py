"""SPIFFE IDs as the issuer takes them: what is registered is what will be signed."""

import string
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import grpc
import pytest

from assay.rpc.method import Service
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import ENTRY, served
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.entry import EntryApi
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration import EntryService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

HOME = "example.org"
INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]


@pytest.fixture
async def stub(serve: Serve, store: SqlStore, clock: FakeClock) -> "EntryAsyncStub":
    home = TrustDomain(HOME)
    api = EntryApi(EntryService(store, clock, home), AuthorizedEntries(store, home, clock), home)
    return EntryStub(await serve(served(ENTRY, api), Caller(CallerKind.LOCAL)))


async def codes(stub: "EntryAsyncStub", ids: Iterable[tuple[str, str]]) -> Sequence[int]:
    """How each ID, of trust domain and path, is answered."""
    entries = [
        Entry(
            spiffe_id=SPIFFEID(trust_domain=trust_domain, path=path),
            parent_id=SPIFFEID(trust_domain=HOME, path="/spire/agent/one"),
            selectors=[Selector(type="unix", value="uid:1")],
        )
        for trust_domain, path in ids
    ]
    results = (await stub.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=entries))).results
    return [each.status.code for each in results]


async def registered(stub: "EntryAsyncStub") -> set[str]:
    return {each.spiffe_id.path for each in (await stub.ListEntries(pb.ListEntriesRequest())).entries}


BAD = [
    *[("", "/x"), ("Example.org", "/x"), ("EXAMPLE.ORG", "/x"), (f"{HOME}:80", "/x"), (f"{HOME}:", "/x")],
    *[(f"u@{HOME}", "/x"), (f"@{HOME}", "/x"), ("ex%61mple.org", "/x"), (f"https://{HOME}", "/x"), ("[::1]", "/x")],
    *[(HOME, ""), (HOME, "/"), (HOME, "/x/"), (HOME, "//x"), (HOME, "/a//b"), (HOME, "/."), (HOME, "/a/../b")],
    *[(HOME, "x"), (HOME, "/a%62"), (HOME, "/x?"), (HOME, "/x?a=b"), (HOME, "/x#"), ("other.test", "/x")],
    ("x" * 256, "/x"),
]


@pytest.mark.spec("ID-2-a", "ID-2-b", "ID-2-c", "ID-2-d", "ID-2.1-a", "ID-2.1-b", "ID-2.1-c", "ID-2.1-e", "ID-2.2-a")
@pytest.mark.spec("ID-2.2-b", "ID-2.2-c", "ID-2.2-d", "ID-2.3-c", "ID-2.4-a", "ID-4.1.2-a", "X509-3.1-b")
async def test_what_is_no_id_of_a_workload_of_ours_is_not_registered(stub: "EntryAsyncStub") -> None:
    found = await codes(stub, BAD)
    assert [bad for bad, code in zip(BAD, found, strict=True) if code != INVALID] == []
    assert await registered(stub) == set()


@pytest.mark.spec("ID-2.2-e")
async def test_every_character_of_a_path_is_one_of_65(stub: "EntryAsyncStub") -> None:
    found = await codes(stub, [(HOME, f"/a{chr(code)}b") for code in range(256)])
    good = {*string.ascii_letters, *string.digits, *".-_", "/"}
    assert {chr(code) for code, status in enumerate(found) if status == 0} == good
    assert await registered(stub) == {f"/a{one}b" for one in good}


@pytest.mark.spec("ID-2.4-b")
async def test_paths_of_another_case_are_other_identities(stub: "EntryAsyncStub") -> None:
    assert await codes(stub, [(HOME, "/web"), (HOME, "/Web"), (HOME, "/web")]) == [0, 0, 6]
    assert await registered(stub) == {"/web", "/Web"}
