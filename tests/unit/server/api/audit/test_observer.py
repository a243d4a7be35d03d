"""What real calls over a real socket leave in the trail."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from structlog.testing import capture_logs

from assay.errors import UnavailableError
from assay.rpc.server import Server
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay.transport.dial import dial_unix
from assay.transport.peer import Peer, Process, TlsPeer, UnixPeer
from assay.wire.service import ENTRY, served
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import Entry, EntryMask
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.audit.note import note
from assay_server.api.audit.observer import Audit, caller_of
from assay_server.api.entry import EntryApi
from assay_server.api.interceptor import AuthorizationInterceptor
from assay_server.audit.record import LocalCaller, Outcome, Record, RemoteCaller
from assay_server.authorization.authorizer import Authorizer
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.nodes import NodeRows
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration import EntryService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub

TD = TrustDomain("example.org")
AGENTS = "/spire.api.server.agent.v1.Agent/"
ANONYMOUS = TlsPeer("192.0.2.1:999")
PROGRAM = str(Path("/proc/self/exe").readlink())


class Kept:
    """A trail in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        self.records.append(record)

    def said(self) -> list[tuple[dict[str, object], str]]:
        return [(dict(one.object), one.outcome.code) for one in self.records]


class House:
    """The Entry service, and streams whose handlers do what the test says."""

    def __init__(self) -> None:
        self.trail = Kept()
        self.peer: Peer = UnixPeer(os.getpid(), 1, 2, Process.open(os.getpid()))
        self.behavior: Callable[[], Any] = lambda: b"ok"
        self.channel: Any  # its calls have no types without generated stubs
        self.entries: EntryAsyncStub

    def peer_of(self, _context: object) -> Peer:
        return self.peer

    async def stream(self, _request: object, _context: object) -> AsyncIterator[bytes]:
        yield b"first"
        yield self.behavior()
        await asyncio.Event().wait()


@pytest.fixture
async def house(store: SqlStore, clock: FakeClock, tmp_path: Path) -> AsyncIterator[House]:
    house = House()
    audit = Audit([house.trail], clock, house.peer_of)
    guard = AuthorizationInterceptor(Authorizer(store, NodeRows(store), clock, []), house.peer_of)
    server = Server(lambda path, method: audit(guard(path, method)))
    api = EntryApi(EntryService(store, clock, TD), AuthorizedEntries(store, TD, clock), TD)
    stream: Any = grpc.unary_stream_rpc_method_handler(house.stream)
    streams = grpc.method_handlers_generic_handler(AGENTS.strip("/"), {"GetAgent": stream, "AttestAgent": stream})
    server.add_generic_rpc_handlers((served(ENTRY, api), streams))
    async with AsyncExitStack() as stack:
        await server.listen_unix(tmp_path / "api.sock")
        stack.push_async_callback(server.close, 0)
        house.channel = await stack.enter_async_context(dial_unix(tmp_path / "api.sock"))
        house.entries = EntryStub(house.channel)
        yield house


def entry(path: str, **fields: Any) -> Entry:  # noqa: ANN401 - the message's own types
    spiffe_id, parent_id = (SPIFFEID(trust_domain="example.org", path=one) for one in (path, "/p"))
    selectors = [Selector(type="unix", value="uid:1")]
    return Entry(spiffe_id=spiffe_id, parent_id=parent_id, selectors=selectors, **fields)


async def test_who_what_and_how_it_ended(house: House, clock: FakeClock) -> None:
    assert (await house.entries.CountEntries(pb.CountEntriesRequest())).count == 0
    (record,) = house.trail.records
    assert (record.time, record.method) == (clock.now(), "/spire.api.server.entry.v1.Entry/CountEntries")
    assert record.caller == LocalCaller(1, 2, os.getpid(), PROGRAM)
    assert (record.authorized_as, record.object, record.outcome) == ("local", {}, Outcome())
    assert len(record.request_id) == 36


async def test_every_item_of_a_batch_has_its_own_outcome_and_the_same_request(house: House) -> None:
    given = [entry("/a", hint="h", dns_names=["a", "b"], x509_svid_ttl=5), entry("no slash"), entry("/a")]
    with capture_logs():
        made = (await house.entries.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=given))).results
    first, refused, second = house.trail.records
    assert first.object == {
        "entry_id": made[0].entry.id, "spiffe_id": "spiffe://example.org/a", "parent_id": "spiffe://example.org/p",
        "selectors": "unix:uid:1", "dns_name": "a,b", "x509_svid_ttl": 5, "jwt_svid_ttl": 0, "admin": False,
        "downstream": False, "expires_at": 0, "revision_number": 0, "store_svid": False, "hint": "h", "created_at": 0,
    }  # fmt: skip
    assert "spiffe_id" not in refused.object
    assert [one.outcome for one in (first, refused, second)] == [
        Outcome(),
        Outcome("InvalidArgument", made[1].status.message),
        Outcome("AlreadyExists", "similar entry already exists"),
    ]
    assert len({one.request_id for one in house.trail.records}) == 1


async def test_updates_say_what_their_mask_names_and_deletions_the_id(house: House) -> None:
    made = (await house.entries.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=[entry("/a")]))).results[0].entry
    house.trail.records.clear()
    update = pb.BatchUpdateEntryRequest(entries=[Entry(id=made.id, hint="new")], input_mask=EntryMask(hint=True))
    await house.entries.BatchUpdateEntry(update)
    with capture_logs():
        await house.entries.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=[made.id, "none"]))
    assert house.trail.said() == [
        ({"entry_id": made.id, "hint": "new"}, "OK"),
        ({"entry_id": made.id}, "OK"),
        ({"entry_id": "none"}, "NotFound"),
    ]


async def test_a_refusal_says_what_was_asked_and_what_the_caller_was_told(house: House) -> None:
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError) as refusal:
        await house.entries.GetEntry(pb.GetEntryRequest(id="none"))
    (record,) = house.trail.records
    assert (record.object, record.authorized_as) == ({"entry_id": "none"}, "local")
    assert record.outcome == Outcome("NotFound", refusal.value.details() or "")


async def test_who_was_not_admitted_is_said_to_be_denied(house: House) -> None:
    house.peer = ANONYMOUS
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError):
        await house.entries.CountEntries(pb.CountEntriesRequest())
    (record,) = house.trail.records
    assert (record.caller, record.authorized_as) == (RemoteCaller("192.0.2.1:999", ""), "")
    assert record.outcome.code == "PermissionDenied"


async def test_a_message_that_cannot_be_read_says_nothing(house: House) -> None:
    call = house.channel.unary_unary("/spire.api.server.entry.v1.Entry/GetEntry")
    with pytest.raises(grpc.aio.AioRpcError):
        await call(b"\xff\xff")
    assert house.trail.said() == [({}, "Internal")]


@pytest.mark.parametrize(
    "method", ["ActivateX509Authority", "TaintJWTAuthority", "RevokeX509UpstreamAuthority", "PrepareX509Authority"]
)
async def test_what_nobody_serves_yet_is_refused_as_without_a_trail(house: House, method: str) -> None:
    call = house.channel.unary_unary(f"/spire.api.server.localauthority.v1.LocalAuthority/{method}")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call(b"\x0a\x02id")
    assert refusal.value.details() == f"method {method} not implemented"
    assert house.trail.said() == [({}, "Unimplemented")]


async def test_a_stream_is_said_when_it_is_granted_and_when_it_is_refused_later(house: House) -> None:
    call = house.channel.unary_stream(f"{AGENTS}GetAgent")(b"")
    assert await call.read() == b"first"
    assert house.trail.said() == [({}, "OK")]
    call.cancel()
    house.behavior = lambda: 1 / 0
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError):
        [_ async for _ in house.channel.unary_stream(f"{AGENTS}GetAgent")(b"")]
    assert house.trail.said()[-2:] == [({}, "OK"), ({}, "Internal")]


async def test_a_granted_stream_that_the_servers_end_ends_has_had_its_line(house: House) -> None:
    def behave() -> bytes:
        raise UnavailableError("server is shutting down")

    house.behavior = behave
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError):
        [_ async for _ in house.channel.unary_stream(f"{AGENTS}GetAgent")(b"")]
    assert house.trail.said() == [({}, "OK")]


async def test_notes_of_handlers_are_part_of_it(house: House) -> None:
    def behave() -> bytes:
        note(ttl=60)
        raise RuntimeError("a defect")

    house.behavior = behave
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError):
        [_ async for _ in house.channel.unary_stream(f"{AGENTS}AttestAgent")(b"")]
    (record,) = house.trail.records
    assert (record.object, record.outcome) == ({"ttl": 60}, Outcome("Internal", "internal error"))
    assert record.authorized_as == "nobody"


def test_a_program_that_has_ended_has_no_path() -> None:
    process = Process.open(os.getpid())
    process.close()
    assert caller_of(UnixPeer(os.getpid(), 1, 2, process)) == LocalCaller(1, 2, os.getpid(), "")
