"""What is answered to those who ask again and again, and when it is too long for a message."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest

from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.method import Service
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.transport.dial import dial_unix
from assay.wire.service import ENTRY, served
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import Entry, EntryMask
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.entry import EntryApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration import EntryService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

SyncCall: TypeAlias = "grpc.aio.StreamStreamCall[pb.SyncAuthorizedEntriesRequest, pb.SyncAuthorizedEntriesResponse]"

TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
CALLER = Caller(CallerKind.AGENT, Credential(AGENT, serial="1", expires_at=2**40))
WHOLE = EntryMask(spiffe_id=True, hint=True, revision_number=True)
SELECTORS = EntryMask(selectors=True)
NAME = EntryMask(spiffe_id=True, revision_number=True)


@pytest.fixture
async def stub(serve: Serve, store: SqlStore, clock: FakeClock) -> "EntryAsyncStub":
    api = EntryApi(EntryService(store, clock, TD), AuthorizedEntries(store, TD, clock), TD)
    return EntryStub(await serve(served(ENTRY, api), CALLER))


def entry(path: str, size: int = 1, parent: str = AGENT.path, hint: str = "") -> Entry:
    """With a selector of that many bytes."""
    return Entry(
        spiffe_id=SPIFFEID(trust_domain=TD.name, path=path),
        parent_id=SPIFFEID(trust_domain=TD.name, path=parent),
        selectors=[Selector(type="x", value=size * "y")],
        hint=hint,
    )


async def create(stub: "EntryAsyncStub", *entries: Entry) -> list[Entry]:
    answer = await stub.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=entries))
    assert not any(result.status.code for result in answer.results)
    return [result.entry for result in answer.results]


async def create_large(stub: "EntryAsyncStub", count: int, size: int) -> set[str]:
    """Entries of so many bytes, each batch short enough for a message; their IDs."""
    made: set[str] = set()
    for start in range(0, count, 50):
        batch = [entry(f"/w{number}", size) for number in range(start, min(count, start + 50))]
        made |= {each.id for each in await create(stub, *batch)}
    return made


async def sync(stub: "EntryAsyncStub", mask: EntryMask = WHOLE) -> list[Entry]:
    """All that an agent is sent that knows nothing yet, and needs no second question."""

    async def asking() -> AsyncIterator[pb.SyncAuthorizedEntriesRequest]:
        yield pb.SyncAuthorizedEntriesRequest(output_mask=mask)

    [answer] = [each async for each in stub.SyncAuthorizedEntries(asking())]
    assert not answer.more
    return list(answer.entries)


async def authorized(stub: "EntryAsyncStub", mask: EntryMask = WHOLE) -> list[Entry]:
    return list((await stub.GetAuthorizedEntries(pb.GetAuthorizedEntriesRequest(output_mask=mask))).entries)


@pytest.mark.parametrize("ask", [sync, authorized])
async def test_an_agent_that_asks_again_is_told_what_is_true_now(
    stub: "EntryAsyncStub", ask: Callable[..., Awaitable[list[Entry]]]
) -> None:
    async def hints() -> dict[str, str]:
        again = await ask(stub)
        assert again == await ask(stub)
        return {each.spiffe_id.path: each.hint for each in again}

    assert await hints() == {}
    [first] = await create(stub, entry("/a", hint="old"))
    assert await hints() == {"/a": "old"}
    first.hint = "new"
    await stub.BatchUpdateEntry(pb.BatchUpdateEntryRequest(entries=[first]))
    assert await hints() == {"/a": "new"}
    await create(stub, entry("/below", parent="/a", hint="b"), entry("/other", parent="/nobody"))
    assert await hints() == {"/a": "new", "/below": "b"}
    await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=[first.id]))
    assert await hints() == {}


@pytest.mark.parametrize("ask", [sync, authorized])
async def test_each_mask_has_its_own_answer(stub: "EntryAsyncStub", ask: Callable[..., Awaitable[list[Entry]]]) -> None:
    await create(stub, entry("/a", hint="x"))
    for _ in range(2):
        assert [each.hint for each in await ask(stub, WHOLE)] == ["x"]
        assert [each.hint for each in await ask(stub, NAME)] == [""]


async def read(call: SyncCall) -> pb.SyncAuthorizedEntriesResponse:
    response = await call.read()
    assert isinstance(response, pb.SyncAuthorizedEntriesResponse)
    assert response.ByteSize() <= MAX_MESSAGE_BYTES
    return response


async def test_few_entries_too_long_for_a_message_are_synced_in_pages(stub: "EntryAsyncStub") -> None:
    made = await create_large(stub, 260, 40_000)
    call = stub.SyncAuthorizedEntries()
    await call.write(pb.SyncAuthorizedEntriesRequest())
    revisions = await read(call)
    assert ({each.id for each in revisions.entry_revisions}, revisions.more) == (made, False)
    await call.write(pb.SyncAuthorizedEntriesRequest(ids=sorted(made)))
    pages = [await read(call)]
    while pages[-1].more:
        pages.append(await read(call))
    assert [each.id for page in pages for each in page.entries] == sorted(made)
    assert len(pages) == 3
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_an_entry_that_left_the_agent_meanwhile_is_not_sent(stub: "EntryAsyncStub") -> None:
    made = await create_large(stub, 501, 1)
    call = stub.SyncAuthorizedEntries()
    await call.write(pb.SyncAuthorizedEntriesRequest())
    assert [len((await read(call)).entry_revisions) for _ in range(2)] == [500, 1]
    gone, stays = sorted(made)[:2]
    await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=[gone]))
    await call.write(pb.SyncAuthorizedEntriesRequest(ids=[gone, stays]))
    assert [each.id for each in (await read(call)).entries] == [stays]


async def walk(stub: "EntryAsyncStub", size: int) -> list[pb.ListEntriesResponse]:
    pages: list[pb.ListEntriesResponse] = []
    while not pages or pages[-1].next_page_token:
        token = pages[-1].next_page_token if pages else ""
        pages.append(await stub.ListEntries(pb.ListEntriesRequest(page_size=size, page_token=token)))
    return pages


async def test_a_page_too_long_for_a_message_is_cut_and_the_next_goes_on_there(stub: "EntryAsyncStub") -> None:
    made = await create_large(stub, 260, 40_000)
    pages = await walk(stub, 250)
    assert all(page.ByteSize() <= MAX_MESSAGE_BYTES for page in pages)
    listed = [each.id for page in pages for each in page.entries]
    assert (len(listed), set(listed)) == (260, made)
    assert [bool(page.entries) for page in pages] == [True, True, True, False]


async def test_what_nobody_asked_to_have_in_pages_is_refused_by_the_client_or_complete(
    stub: "EntryAsyncStub", tmp_path: Path
) -> None:
    made = await create_large(stub, 120, 40_000)
    for ask in (stub.ListEntries(pb.ListEntriesRequest()), authorized(stub, SELECTORS)):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await ask
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    async with dial_unix(tmp_path / "api.sock", [("grpc.max_receive_message_length", -1)]) as patient:
        stub = EntryStub(patient)
        listed = (await stub.ListEntries(pb.ListEntriesRequest())).entries
        assert {each.id for each in listed} == {each.id for each in await authorized(stub, SELECTORS)} == made


async def test_a_walk_through_pages_misses_nothing_and_tells_nothing_twice_while_others_write(
    stub: "EntryAsyncStub",
) -> None:
    lasting = {each.id for each in await create(stub, *(entry(f"/lasting{number}") for number in range(60)))}
    walked = asyncio.Event()

    async def disturb() -> None:
        number = 0
        known: list[str] = []
        while not walked.is_set():
            known += [each.id for each in await create(stub, entry(f"/passing{number}"), entry(f"/more{number}"))]
            changed = Entry(id=sorted(lasting)[number % 60], hint=f"{number}")
            await stub.BatchUpdateEntry(pb.BatchUpdateEntryRequest(entries=[changed], input_mask=EntryMask(hint=True)))
            if number % 2:
                await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=known[:3]))
                del known[:3]
            number += 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(disturb())
        for _ in range(5):
            # Newcomers at its end would make the walk as long as their making.
            listed: list[str] = []
            token = ""
            while not lasting.issubset(listed):
                page = await stub.ListEntries(pb.ListEntriesRequest(page_size=7, page_token=token))
                listed += [each.id for each in page.entries]
                token = page.next_page_token
                assert token or lasting.issubset(listed)
            assert len(listed) == len(set(listed))
        walked.set()
