from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from assay.bundle import Bundle
from assay.rpc.method import Service
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import ENTRY, served
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import Entry, EntryMask
from assay_proto.spire.api.types.federateswith_pb2 import FederatesWithMatch
from assay_proto.spire.api.types.selector_pb2 import Selector, SelectorMatch
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.entry import EntryApi
from assay_server.api.entry_sync import PAGE
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration import EntryService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

SyncCall: TypeAlias = "grpc.aio.StreamStreamCall[pb.SyncAuthorizedEntriesRequest, pb.SyncAuthorizedEntriesResponse]"

TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
CALLER = Caller(CallerKind.AGENT, Credential(AGENT, serial="1", expires_at=2**40))
OK, INVALID, MISSING, EXISTS, INTERNAL = 0, 3, 5, 6, 13
BIG = 2**31 - 1


def spiffe_id(path: str, trust_domain: str = "example.org") -> SPIFFEID:
    return SPIFFEID(trust_domain=trust_domain, path=path)


def entry(path: str = "/web", parent: str = AGENT.path, uid: int = 1000, **fields: object) -> Entry:
    values: dict[str, Any] = {
        "spiffe_id": spiffe_id(path),
        "parent_id": spiffe_id(parent),
        "selectors": [Selector(type="unix", value=f"uid:{uid}")],
    }
    return Entry(**(values | fields))


@pytest.fixture
async def stub(serve: Serve, store: SqlStore, clock: FakeClock) -> "EntryAsyncStub":
    api = EntryApi(EntryService(store, clock, TD), AuthorizedEntries(store, TD, clock), TD)
    return EntryStub(await serve(served(ENTRY, api), CALLER))


async def create(stub: "EntryAsyncStub", *entries: Entry, mask: EntryMask | None = None) -> list[Any]:
    return list((await stub.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=entries, output_mask=mask))).results)


async def update(stub: "EntryAsyncStub", *entries: Entry, mask: EntryMask | None = None) -> list[Any]:
    return list((await stub.BatchUpdateEntry(pb.BatchUpdateEntryRequest(entries=entries, input_mask=mask))).results)


async def list_all(stub: "EntryAsyncStub", request: pb.ListEntriesRequest | None = None) -> list[Entry]:
    return list((await stub.ListEntries(request or pb.ListEntriesRequest())).entries)


async def test_an_entry_is_created_as_given_with_an_id_and_a_time_of_its_own(
    stub: "EntryAsyncStub", clock: FakeClock
) -> None:
    given = entry(
        x509_svid_ttl=60, jwt_svid_ttl=BIG, dns_names=["web", "*.web.test"], hint="h", admin=True, downstream=True,
        expires_at=int(clock.now().timestamp()) + 10, revision_number=7, created_at=7,
        additional_attributes=Entry.AdditionalAttributes(jwt_svid_include_jti=True),
    )  # fmt: skip
    [result] = await create(stub, given)
    assert (result.status.code, result.status.message) == (OK, "OK")
    made = result.entry
    assert len(made.id) == 36
    assert (made.revision_number, made.created_at) == (0, int(clock.now().timestamp()))
    given.id, given.revision_number, given.created_at = made.id, 0, made.created_at
    assert made == given
    assert await stub.GetEntry(pb.GetEntryRequest(id=made.id)) == made


async def test_an_entry_may_bring_its_own_id_once(stub: "EntryAsyncStub") -> None:
    first, second = await create(stub, entry(id="my.id_1-A"), entry("/db", id="my.id_1-A"))
    assert first.entry.id == "my.id_1-A"
    assert (second.status.code, second.status.message) == (
        EXISTS, "failed to create entry: datastore-sql: UNIQUE constraint failed: registered_entries.entry_id"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("twice", "columns"),
    [
        (
            {"selectors": [Selector(type="unix", value="uid:1"), Selector(type="unix", value="uid:1")]},
            "selectors.registered_entry_id, selectors.type, selectors.value",
        ),
        ({"dns_names": ["a.b", "c.d", "a.b"]}, "dns_names.registered_entry_id, dns_names.value"),
    ],
)
async def test_selectors_and_dns_names_are_given_once(
    stub: "EntryAsyncStub", twice: dict[str, Any], columns: str
) -> None:
    [made] = await create(stub, entry(id="one"))
    [refused] = await create(stub, entry("/db", **twice))
    words = f"entry: datastore-sql: UNIQUE constraint failed: {columns}"
    assert (refused.status.code, refused.status.message) == (EXISTS, f"failed to create {words}")
    [refused] = await update(stub, Entry(id="one", **twice), mask=EntryMask(**dict.fromkeys(twice, True)))
    assert (refused.status.code, refused.status.message) == (EXISTS, f"failed to update {words}")
    assert await stub.GetEntry(pb.GetEntryRequest(id="one")) == made.entry


async def test_a_similar_entry_is_answered_with_the_one_there_is(stub: "EntryAsyncStub") -> None:
    selectors = [Selector(type="unix", value="uid:1"), Selector(type="unix", value="gid:1")]
    [first] = await create(stub, entry(selectors=selectors, hint="first"))
    again, other = await create(stub, entry(selectors=selectors[::-1], hint="second"), entry(selectors=selectors[:1]))
    assert (again.status.code, again.status.message) == (EXISTS, "similar entry already exists")
    assert again.entry == first.entry
    assert other.status.code == OK


MALFORMED = "failed to convert entry: "
SPIFFE_ID = "failed to convert entry: invalid spiffe ID: "
PARENT = "failed to convert entry: invalid parent ID: "
WHOLE = "failed to create entry: datastore-validation: "
INVALID_ENTRY = f"{WHOLE}invalid registration entry: "
MEMBER = 'is not a member of trust domain "example.org"'
WORKLOAD = 'is not a workload in trust domain "example.org"'

BAD: dict[str, tuple[Entry, int, str]] = {
    "no SPIFFE ID": (entry(spiffe_id=None), INVALID, SPIFFE_ID + "request must specify SPIFFE ID"),
    "no parent": (entry(parent_id=None), INVALID, PARENT + "request must specify SPIFFE ID"),
    "neither ID": (entry(spiffe_id=None, parent_id=None), INVALID, PARENT + "request must specify SPIFFE ID"),
    "no trust domain": (entry(spiffe_id=spiffe_id("/w", "")), INVALID, SPIFFE_ID + "trust domain is missing"),
    "foreign SPIFFE ID": (
        entry(spiffe_id=spiffe_id("/w", "other.org")),
        INVALID,
        SPIFFE_ID + f'"spiffe://other.org/w" {MEMBER}',
    ),
    "foreign parent": (
        entry(parent_id=spiffe_id("/w", "other.org")),
        INVALID,
        PARENT + f'"spiffe://other.org/w" {MEMBER}',
    ),
    "no path": (entry(""), INVALID, SPIFFE_ID + f'"spiffe://example.org" {WORKLOAD}; path is empty'),
    "parent without path": (entry(parent=""), INVALID, PARENT + f'"spiffe://example.org" {MEMBER}; path is empty'),
    "reserved path": (
        entry("/spire/agent/x"),
        INVALID,
        SPIFFE_ID + f'"spiffe://example.org/spire/agent/x" {WORKLOAD}; path is in the reserved namespace',
    ),
    "the reserved folder itself": (
        entry("/spire"),
        INVALID,
        SPIFFE_ID + f'"spiffe://example.org/spire" {WORKLOAD}; path is in the reserved namespace',
    ),
    "dot segment": (entry("/a/../b"), INVALID, SPIFFE_ID + "path cannot contain dot segments"),
    "trailing slash": (entry("/a/"), INVALID, SPIFFE_ID + "path cannot have a trailing slash"),
    "percent encoding": (
        entry("/a%62"),
        INVALID,
        SPIFFE_ID + "path segment characters are limited to letters, numbers, dots, dashes, and underscores",
    ),
    "SPIFFE ID of 2049 bytes": (
        entry("/" + "a" * (2049 - len("spiffe://example.org/"))),
        INVALID,
        SPIFFE_ID + "SPIFFE ID is longer than 2048 bytes",
    ),
    "no selectors": (entry(selectors=[]), INVALID, MALFORMED + "selector list is empty"),
    "selector without type": (entry(selectors=[Selector(value="x")]), INVALID, MALFORMED + "missing selector type"),
    "selector without value": (entry(selectors=[Selector(type="unix")]), INVALID, MALFORMED + "missing selector value"),
    "colon in selector type": (
        entry(selectors=[Selector(type="a:b", value="x")]),
        INVALID,
        MALFORMED + "selector type contains ':'",
    ),
    "DNS name": (entry(dns_names=["a", ""]), INVALID, MALFORMED + "invalid DNS name: empty or only whitespace"),
    "hint of 1025 bytes": (
        entry(hint="é" * 512 + "a"),
        INVALID,
        MALFORMED + "hint is too long, max length is 1024 characters",
    ),
    "federation with ourselves": (
        entry(federates_with=["example.org"]),
        INVALID,
        MALFORMED + 'invalid federated trust domain: "example.org" is the server\'s own trust domain',
    ),
    "malformed federated trust domain": (
        entry(federates_with=["Other.Org"]),
        INVALID,
        MALFORMED
        + "invalid federated trust domain: trust domain characters are limited to lowercase letters, numbers, "
        "dots, dashes, and underscores",
    ),
    "unknown federated trust domain": (
        entry(federates_with=["other.org"]),
        INTERNAL,
        'failed to create entry: unable to find federated bundle "spiffe://other.org"',
    ),
    "negative X.509 TTL": (entry(x509_svid_ttl=-1), INVALID, INVALID_ENTRY + "X509SvidTtl is not set"),
    "negative JWT TTL": (entry(jwt_svid_ttl=-1), INVALID, INVALID_ENTRY + "JwtSvidTtl is not set"),
    "negative expiry": (entry(expires_at=-1), INVALID, INVALID_ENTRY + "expiry is out of range"),
    "entry ID of 256 characters": (entry(id="a" * 256), INVALID, INVALID_ENTRY + "entry ID too long"),
    "entry ID with a slash": (entry(id="a/b"), INVALID, INVALID_ENTRY + "entry ID contains invalid characters"),
    "stored SVID with selectors of two types": (
        entry(store_svid=True, selectors=[Selector(type="a", value="1"), Selector(type="b", value="1")]),
        INVALID,
        INVALID_ENTRY + "selector types must be the same when store SVID is enabled",
    ),
    "stored SVID with cache behaviour": (
        entry(store_svid=True, additional_attributes=Entry.AdditionalAttributes(disable_x509_svid_prefetch=True)),
        INVALID,
        WHOLE + "specifying cache behaviour is incompatible with storable SVIDs",
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.spec("ID-2.1.1-a", "ID-2.2-a", "ID-2.2-d", "ID-2.3-b", "WAPI-8-b")
async def test_a_bad_entry_is_refused_in_spires_words_and_the_others_stand(stub: "EntryAsyncStub", name: str) -> None:
    bad, code, message = BAD[name]
    before, refused, after = await create(stub, entry("/before"), bad, entry("/after"))
    assert refused.status.code == code
    assert refused.status.message.startswith(message)
    assert not refused.HasField("entry")
    assert (before.status.code, after.status.code) == (OK, OK)
    assert {each.spiffe_id.path for each in await list_all(stub)} == {"/before", "/after"}


@pytest.mark.spec("ID-2.3-a", "WAPI-8-b")
async def test_what_is_just_within_the_limits_is_taken(stub: "EntryAsyncStub") -> None:
    longest = "/" + "a" * (2048 - len("spiffe://example.org/"))
    results = await create(
        stub,
        entry(longest),
        entry("/hint", hint="é" * 512),
        entry("/id", id="a" * 255),
        entry("/ttl", x509_svid_ttl=BIG, jwt_svid_ttl=BIG, expires_at=2**62),
        entry("/alias", parent="/spire/server"),
        entry("/stored", store_svid=True, selectors=[Selector(type="a", value="1"), Selector(type="a", value="2")]),
    )
    assert [each.status.message for each in results] == ["OK"] * 6


async def test_an_output_mask_leaves_the_id_and_what_it_names(stub: "EntryAsyncStub") -> None:
    [result] = await create(stub, entry(hint="h"), mask=EntryMask(hint=True))
    assert result.entry == Entry(id=result.entry.id, hint="h")
    assert await stub.GetEntry(pb.GetEntryRequest(id=result.entry.id, output_mask=EntryMask())) == Entry(
        id=result.entry.id
    )


async def test_an_update_changes_what_the_mask_names_and_raises_the_revision(stub: "EntryAsyncStub") -> None:
    [made] = await create(stub, entry(hint="old", x509_svid_ttl=5, dns_names=["a"]))
    change = Entry(id=made.entry.id, hint="new", x509_svid_ttl=9, revision_number=40, created_at=40)
    [result] = await update(stub, change, mask=EntryMask(hint=True, revision_number=True, created_at=True))
    assert result.status.message == "OK"
    made.entry.hint, made.entry.revision_number = "new", 1
    assert result.entry == made.entry
    assert await stub.GetEntry(pb.GetEntryRequest(id=made.entry.id)) == made.entry


async def test_an_update_without_mask_replaces_everything(stub: "EntryAsyncStub", clock: FakeClock) -> None:
    attributes = Entry.AdditionalAttributes(jwt_svid_include_jti=True)
    [made] = await create(stub, entry(hint="old", admin=True, additional_attributes=attributes))
    clock.advance(100)
    change = entry("/new", uid=5, id=made.entry.id)
    [result] = await update(stub, change)
    change.revision_number, change.created_at = 1, made.entry.created_at
    assert result.entry == change


async def test_an_update_is_checked_with_what_is_stored(stub: "EntryAsyncStub") -> None:
    [made] = await create(stub, entry(selectors=[Selector(type="a", value="1"), Selector(type="b", value="1")]))
    [result] = await update(stub, Entry(id=made.entry.id, store_svid=True), mask=EntryMask(store_svid=True))
    assert (result.status.code, result.status.message) == (
        INVALID,
        INVALID_ENTRY.replace("create", "update") + "selector types must be the same when store SVID is enabled",
    )


async def test_updates_of_a_batch_fail_alone(stub: "EntryAsyncStub") -> None:
    [made] = await create(stub, entry())
    mask = EntryMask(hint=True, spiffe_id=True)
    missing, bad, good = await update(
        stub,
        entry("/x", id="none"),
        entry("/spire/x", id=made.entry.id),
        entry("/y", id=made.entry.id, hint="done"),
        mask=mask,
    )
    assert (missing.status.code, missing.status.message) == (MISSING, "failed to update entry")
    assert bad.status.code == INVALID
    assert bad.status.message.startswith("failed to convert entry: invalid spiffe ID: ")
    assert (good.status.code, good.entry.hint, good.entry.revision_number) == (OK, "done", 1)


async def test_an_update_may_empty_what_it_names_but_not_the_selectors(stub: "EntryAsyncStub") -> None:
    [made] = await create(stub, entry(dns_names=["a"]))
    [emptied] = await update(stub, Entry(id=made.entry.id), mask=EntryMask(dns_names=True))
    assert emptied.status.code == OK
    assert not emptied.entry.dns_names
    [refused] = await update(stub, Entry(id=made.entry.id), mask=EntryMask(selectors=True))
    assert refused.status.message.startswith("failed to convert entry: selector list is empty")


async def test_entries_are_deleted_each_by_itself(stub: "EntryAsyncStub") -> None:
    [made] = await create(stub, entry())
    response = await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=["", "none", made.entry.id, made.entry.id]))
    assert [(each.id, each.status.code, each.status.message) for each in response.results] == [
        ("", INVALID, "missing entry ID"),
        ("none", MISSING, "entry not found"),
        (made.entry.id, OK, "OK"),
        (made.entry.id, MISSING, "entry not found"),
    ]
    assert await list_all(stub) == []


async def test_get_names_what_is_missing(stub: "EntryAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as missing_id:
        await stub.GetEntry(pb.GetEntryRequest())
    assert (missing_id.value.code(), missing_id.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "missing ID")
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stub.GetEntry(pb.GetEntryRequest(id="none"))
    assert (unknown.value.code(), unknown.value.details()) == (grpc.StatusCode.NOT_FOUND, "entry not found")


async def test_listing_goes_in_pages_when_asked(stub: "EntryAsyncStub") -> None:
    await create(stub, *(entry(f"/w{number}") for number in range(5)))
    assert len(await list_all(stub)) == 5
    paths: list[str] = []
    token = ""
    while True:
        response = await stub.ListEntries(
            pb.ListEntriesRequest(page_size=2, page_token=token, output_mask=EntryMask(spiffe_id=True))
        )
        assert all(not each.selectors for each in response.entries)
        paths += [each.spiffe_id.path for each in response.entries]
        token = response.next_page_token
        if not token:
            break
    assert paths == [f"/w{number}" for number in range(5)]


async def test_pages_are_stable_under_writes(stub: "EntryAsyncStub") -> None:
    made = await create(stub, *(entry(f"/w{number}", hint="x") for number in range(4)))
    where = pb.ListEntriesRequest.Filter(by_hint=StringValue(value="x"))
    first = await stub.ListEntries(pb.ListEntriesRequest(filter=where, page_size=2))
    gone = [each.entry.id for each in made[1:3]]  # the last of the first page, the first of the second
    await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=gone))
    await create(stub, entry("/other"), entry("/late", hint="x"))
    request = pb.ListEntriesRequest(filter=where, page_size=2, page_token=first.next_page_token)
    second = await stub.ListEntries(request)
    assert [each.spiffe_id.path for each in (*first.entries, *second.entries)] == ["/w0", "/w1", "/w3", "/late"]
    assert not (await stub.ListEntries(pb.ListEntriesRequest(page_size=2, page_token=second.next_page_token))).entries


UID_1, UID_2 = (Selector(type="unix", value=f"uid:{uid}") for uid in (1, 2))


def federating(match: FederatesWithMatch.MatchBehavior.ValueType, *names: str) -> dict[str, Any]:
    return {"by_federates_with": FederatesWithMatch(trust_domains=names, match=match)}


FILTERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "spiffe id": ({"by_spiffe_id": spiffe_id("/a")}, {"/a"}),
    "parent id": ({"by_parent_id": spiffe_id("/spire/server")}, {"/b"}),
    "hint": ({"by_hint": StringValue(value="x")}, {"/b"}),
    "empty hint": ({"by_hint": StringValue()}, {"/a", "/b", "/c"}),
    "downstream": ({"by_downstream": BoolValue(value=True)}, {"/c"}),
    "not downstream": ({"by_downstream": BoolValue(value=False)}, {"/a", "/b", "/c"}),
    "federates with any": (federating(FederatesWithMatch.MATCH_ANY, "north.test", "west.test"), {"/b", "/c"}),
    "federates with exactly": (federating(FederatesWithMatch.MATCH_EXACT, "north.test"), {"/b"}),
    "federates with these at least": (federating(FederatesWithMatch.MATCH_SUPERSET, "north.test"), {"/b", "/c"}),
    "federates with these at most": (federating(FederatesWithMatch.MATCH_SUBSET, "north.test", "west.test"), {"/b"}),
    "superset of selectors": (
        {"by_selectors": SelectorMatch(selectors=[UID_1], match=SelectorMatch.MATCH_SUPERSET)},
        {"/a", "/c"},
    ),
    "exact selectors": ({"by_selectors": SelectorMatch(selectors=[UID_1], match=SelectorMatch.MATCH_EXACT)}, {"/a"}),
    "subset of selectors": (
        {"by_selectors": SelectorMatch(selectors=[UID_1, UID_2], match=SelectorMatch.MATCH_SUBSET)},
        {"/a", "/b"},
    ),
    "any of the selectors": (
        {"by_selectors": SelectorMatch(selectors=[UID_1, UID_2], match=SelectorMatch.MATCH_ANY)},
        {"/a", "/b", "/c"},
    ),
}


def putting(bundle: Bundle) -> Callable[[Transaction], None]:
    return lambda tx: tx.bundles.put(bundle)


@pytest.mark.parametrize("name", FILTERS)
async def test_listing_and_counting_filter_alike(stub: "EntryAsyncStub", store: SqlStore, name: str) -> None:
    for trust_domain in ("north.test", "south.test"):
        await store.write(putting(Bundle(TrustDomain(trust_domain))))
    both = [Selector(type="unix", value="uid:1"), Selector(type="unix", value="gid:1")]
    await create(
        stub,
        entry("/a", uid=1),
        entry("/b", parent="/spire/server", uid=2, hint="x", federates_with=["north.test"]),
        entry("/c", selectors=both, downstream=True, federates_with=["north.test", "south.test"]),
    )
    fields, wanted = FILTERS[name]
    found = await list_all(stub, pb.ListEntriesRequest(filter=pb.ListEntriesRequest.Filter(**fields)))
    assert {each.spiffe_id.path for each in found} == wanted
    counted = await stub.CountEntries(pb.CountEntriesRequest(filter=pb.CountEntriesRequest.Filter(**fields)))
    assert counted.count == len(wanted)


BAD_FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "spiffe id": ({"by_spiffe_id": SPIFFEID()}, "malformed SPIFFE ID filter: "),
    "foreign spiffe id": ({"by_spiffe_id": spiffe_id("/a", "other.org")}, "malformed SPIFFE ID filter: "),
    "parent": ({"by_parent_id": spiffe_id("")}, "malformed parent ID filter: "),
    "no selectors": ({"by_selectors": SelectorMatch()}, "malformed selectors filter: empty selector set"),
    "bad selector": (
        {"by_selectors": SelectorMatch(selectors=[Selector(value="x")])},
        "malformed selectors filter: missing selector type",
    ),
    "no trust domains": (
        {"by_federates_with": FederatesWithMatch()},
        "malformed federates with filter: empty trust domain set",
    ),
    "bad trust domain": (
        {"by_federates_with": FederatesWithMatch(trust_domains=[""])},
        "malformed federates with filter: trust domain is missing",
    ),
}


@pytest.mark.parametrize("name", BAD_FILTERS)
async def test_a_malformed_filter_is_refused(stub: "EntryAsyncStub", name: str) -> None:
    fields, message = BAD_FILTERS[name]
    with pytest.raises(grpc.aio.AioRpcError) as listed:
        await list_all(stub, pb.ListEntriesRequest(filter=pb.ListEntriesRequest.Filter(**fields)))
    with pytest.raises(grpc.aio.AioRpcError) as counted:
        await stub.CountEntries(pb.CountEntriesRequest(filter=pb.CountEntriesRequest.Filter(**fields)))
    for refusal in (listed.value, counted.value):
        assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (refusal.details() or "").startswith(message)


async def test_a_made_up_page_token_is_refused(stub: "EntryAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await list_all(stub, pb.ListEntriesRequest(page_size=1, page_token="next, please"))
    words = "failed to list entries: could not parse token 'next, please'"
    assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, words)


async def test_an_agent_gets_what_it_is_authorized_for(stub: "EntryAsyncStub") -> None:
    await create(stub, entry("/mine"), entry("/below", parent="/mine"), entry("/other", parent="/spire/agent/two"))
    response = await stub.GetAuthorizedEntries(pb.GetAuthorizedEntriesRequest(output_mask=EntryMask(spiffe_id=True)))
    assert {each.spiffe_id.path for each in response.entries} == {"/mine", "/below"}
    assert all(not each.selectors for each in response.entries)


async def read(call: SyncCall) -> pb.SyncAuthorizedEntriesResponse:
    response = await call.read()
    assert isinstance(response, pb.SyncAuthorizedEntriesResponse)
    return response


async def one(request: pb.SyncAuthorizedEntriesRequest) -> AsyncIterator[pb.SyncAuthorizedEntriesRequest]:
    yield request


AGENT_MASK = EntryMask(spiffe_id=True, selectors=True, revision_number=True, created_at=True)


async def test_few_entries_are_synced_whole_in_one_message(stub: "EntryAsyncStub") -> None:
    await create(stub, entry("/a"), entry("/b"))
    call = stub.SyncAuthorizedEntries(one(pb.SyncAuthorizedEntriesRequest(output_mask=AGENT_MASK)))
    [response] = [each async for each in call]
    assert not response.more
    assert {each.spiffe_id.path for each in response.entries} == {"/a", "/b"}
    assert not response.entries[0].HasField("parent_id")


async def test_many_entries_are_synced_by_revision_and_sent_on_request(stub: "EntryAsyncStub") -> None:
    made = await create(stub, *(entry(f"/w{number}") for number in range(2 * PAGE + 1)))
    call = stub.SyncAuthorizedEntries()
    await call.write(pb.SyncAuthorizedEntriesRequest(output_mask=AGENT_MASK))
    pages = [await read(call) for _ in range(3)]
    assert [(len(page.entry_revisions), page.more) for page in pages] == [(PAGE, True), (PAGE, True), (1, False)]
    ids = {each.id for page in pages for each in page.entry_revisions}
    assert ids == {each.entry.id for each in made}
    wanted = sorted(ids)[: PAGE + 1]
    await call.write(pb.SyncAuthorizedEntriesRequest(ids=[*reversed(wanted), "unknown"]))
    whole = [await read(call), await read(call)]
    assert [(len(page.entries), page.more) for page in whole] == [(PAGE, True), (1, False)]
    assert [each.id for page in whole for each in page.entries] == wanted
    await call.write(pb.SyncAuthorizedEntriesRequest(ids=["unknown"]))
    assert await read(call) == pb.SyncAuthorizedEntriesResponse()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_spires_protocol_never_tells_of_entries_that_name_instances(
    stub: "EntryAsyncStub", store: SqlStore
) -> None:
    """Requirement 4: SPIRE's agents would give one SVID to all copies."""
    made = await create(stub, *(entry(f"/w{number}") for number in range(PAGE + 1)))
    instanced, bound = made[0].entry.id, made[1].entry.id

    def bind(tx: Transaction) -> None:
        for entry_id, instance_from in ((instanced, "unix:process"), (bound, "")):
            found = tx.entries.get(entry_id)
            assert found is not None
            tx.entries.update(replace(found, principal="bot", instance_from=instance_from))

    await store.write(bind)
    response = await stub.GetAuthorizedEntries(pb.GetAuthorizedEntriesRequest())
    authorized = {each.id for each in response.entries}
    assert authorized == {each.entry.id for each in made} - {instanced}
    # One fewer than a page and one more: sent whole.
    call = stub.SyncAuthorizedEntries(one(pb.SyncAuthorizedEntriesRequest(output_mask=AGENT_MASK)))
    assert {each.id async for page in call for each in page.entries} == authorized
    await create(stub, entry("/more"))
    call = stub.SyncAuthorizedEntries()
    await call.write(pb.SyncAuthorizedEntriesRequest(output_mask=AGENT_MASK))
    pages = [await read(call) for _ in range(2)]
    assert instanced not in {each.id for page in pages for each in page.entry_revisions}
    await call.write(pb.SyncAuthorizedEntriesRequest(ids=[instanced, bound]))
    assert [each.id for each in (await read(call)).entries] == [bound]
    call.cancel()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (pb.SyncAuthorizedEntriesRequest(ids=["a"]), "specifying IDs on initial request is not supported"),
        (pb.SyncAuthorizedEntriesRequest(output_mask=EntryMask(hint=True)), "revision number cannot be masked"),
    ],
)
async def test_a_wrong_first_sync_request_is_refused(
    stub: "EntryAsyncStub", request_: pb.SyncAuthorizedEntriesRequest, message: str
) -> None:
    call = stub.SyncAuthorizedEntries(one(request_))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)


async def test_only_a_new_entry_may_not_be_both_for_a_store_and_kept_from_prefetching(stub: "EntryAsyncStub") -> None:
    attributes = Entry.AdditionalAttributes(disable_x509_svid_prefetch=True)
    await create(stub, entry(id="one", additional_attributes=attributes))
    [result] = await update(stub, Entry(id="one", store_svid=True), mask=EntryMask(store_svid=True))
    assert (result.status.code, result.entry.store_svid) == (OK, True)


async def test_a_sync_without_a_request_is_refused(stub: "EntryAsyncStub") -> None:
    call = stub.SyncAuthorizedEntries()
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert (refusal.value.code(), refusal.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "EOF",
    )
