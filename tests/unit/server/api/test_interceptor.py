"""Admission and error mapping over a real gRPC server, for all four kinds of RPC."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from structlog.testing import capture_logs

from assay.crypto.keys import generate
from assay.errors import (
    AlreadyExistsError,
    AssayError,
    DenialReason,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from assay.keymanager.base import KeyType
from assay.rpc.server import Server
from assay.rpc.status import Metadata
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.transport.dial import dial_unix
from assay.transport.peer import Peer, Process, TlsPeer, UnixPeer
from assay.wire.status import DETAILS_KEY, WITH_HINTS, denial_reason
from assay_server.api.interceptor import AuthorizationInterceptor, approach_of
from assay_server.api.interceptor_streams import OpenStreams
from assay_server.authorization.authorizer import Authorizer
from assay_server.authorization.caller import Caller, CallerKind, current_caller
from assay_server.authorization.nodes import NodeRows
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

# Methods of the table lend their rules; what answers them here is made up.
AGENT_API = "spire.api.server.agent.v1.Agent"
AGENT_STATUS_API = "assay.status.v1.AgentStatus"
ANYONE, OPERATOR, AGENTS = "AttestAgent", "ListAgents", "RenewAgent"
WATCH = "/assay.sync.v1.Sync/Watch"
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")

LOCAL = UnixPeer(1, 0, 0, Process(1, -1, None))
ANONYMOUS = TlsPeer("192.0.2.1:999")

UNREADABLE = b"\xff\xff"

Behavior = Callable[[], Any]


class House:
    """A server whose handlers do what the test says, for the caller the test says."""

    def __init__(self) -> None:
        self.peer: Peer | UnauthenticatedError = LOCAL
        self.behavior: Behavior = lambda: b"ok"
        self.channel: Any  # its calls have no types without generated stubs
        self.interceptor: AuthorizationInterceptor
        self.closed = asyncio.Event()

    def peer_of(self, _context: object) -> Peer:
        if isinstance(self.peer, UnauthenticatedError):
            raise self.peer
        return self.peer

    async def unary(self, _request: object, _context: object) -> bytes:
        value: bytes = self.behavior()
        return value

    async def stream(self, _request: object, _context: object) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            yield self.behavior()
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def converse(self, requests: AsyncIterator[object], _context: object) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield b"heard"

    def call(self, method: str = OPERATOR, metadata: Metadata = ()) -> Any:  # noqa: ANN401 - as its channel
        return self.channel.unary_unary(f"/{AGENT_API}/{method}")(b"", metadata=metadata)


@pytest.fixture
async def house(store: SqlStore, clock: FakeClock, tmp_path: Path) -> AsyncIterator[House]:
    house = House()
    authorizer = Authorizer(store, NodeRows(store), clock, [])
    house.interceptor = AuthorizationInterceptor(authorizer, house.peer_of)
    server = Server(house.interceptor)
    unary: Any = grpc.unary_unary_rpc_method_handler(house.unary)
    handlers = {
        ANYONE: unary,
        OPERATOR: unary,
        AGENTS: unary,
        "Surprise": unary,
        "GetAgent": grpc.unary_stream_rpc_method_handler(house.stream),
        "BanAgent": grpc.stream_unary_rpc_method_handler(house.unary),
        "DeleteAgent": grpc.unary_unary_rpc_method_handler(house.unary, Empty.FromString),
        "CreateJoinToken": grpc.stream_stream_rpc_method_handler(house.converse, Empty.FromString),
        "CountAgents": grpc.stream_stream_rpc_method_handler(house.stream),
    }
    pushing: dict[str, Any] = {"Watch": grpc.stream_stream_rpc_method_handler(house.stream)}
    for service, methods in ((AGENT_API, handlers), (AGENT_STATUS_API, pushing)):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    await server.listen_unix(tmp_path / "api.sock")
    async with dial_unix(tmp_path / "api.sock") as house.channel:
        yield house
    await server.close(0)


async def refusal(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - any kind of call
    with capture_logs(), pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


def raising(error: Exception) -> Behavior:
    def behave() -> bytes:
        raise error

    return behave


def agent_peer(authority: Authority, serial: list[str] | None = None) -> TlsPeer:
    svid = authority.x509_svid("/spire/agent/one", key=generate(KeyType.EC_P256))  # type: ignore[arg-type]
    if serial is not None:
        serial.append(str(svid.leaf.serial_number))
    return TlsPeer("192.0.2.1:999", (svid.leaf,), AGENT)


@pytest.mark.parametrize("kind", ["GetAgent", "BanAgent", "CountAgents"])
async def test_every_kind_of_rpc_is_guarded_and_answers(house: House, kind: str) -> None:
    path = f"/{AGENT_API}/{kind}"
    calls: dict[str, Callable[[], Any]] = {
        "GetAgent": lambda: house.channel.unary_stream(path)(b"").read(),
        "BanAgent": lambda: house.channel.stream_unary(path)([b""]),
        "CountAgents": lambda: house.channel.stream_stream(path)([b""]).read(),
    }
    assert await calls[kind]() in {b"ok", b"first"}
    house.peer = ANONYMOUS
    assert (await refusal(calls[kind]())).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_handlers_know_their_caller(house: House) -> None:
    callers: list[Caller] = []

    def behave() -> bytes:
        callers.append(current_caller())
        return b"ok"

    house.behavior = behave
    await house.call()
    house.peer = ANONYMOUS
    await house.call(ANYONE)
    assert [caller.kind for caller in callers] == [CallerKind.LOCAL, CallerKind.ANONYMOUS]
    assert callers[1].host == "192.0.2.1"


async def test_a_handler_outside_the_table_is_refused(house: House) -> None:
    assert (await refusal(house.call("Surprise"))).code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (f"/{AGENT_API}/Missing", f"unknown method Missing for service {AGENT_API}"),
        ("/grpc.health.v1.Health/Watch", "method Watch not implemented"),
        ("/spire.api.server.debug.v1.Debug/GetInfo", "method GetInfo not implemented"),
        ("/some.Service/Method", "unknown service some.Service"),
        ("/no-slash", 'malformed method name: "/no-slash"'),
    ],
)
async def test_an_rpc_that_nobody_serves_is_unimplemented(house: House, method: str, words: str) -> None:
    for call in (house.channel.unary_unary(method)(b""), house.channel.stream_stream(method)([b""]).read()):
        error = await refusal(call)
        assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, words)


async def test_an_rpc_that_is_not_built_tells_only_those_whom_it_is_for(house: House) -> None:
    method = "/spire.api.server.localauthority.v1.LocalAuthority/PrepareX509Authority"
    assert (await refusal(house.channel.unary_unary(method)(b""))).code() is grpc.StatusCode.UNIMPLEMENTED
    house.peer = ANONYMOUS
    assert (await refusal(house.channel.unary_unary(method)(b""))).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_message_that_cannot_be_read_is_refused_as_such(house: House) -> None:
    unary, conversation = f"/{AGENT_API}/DeleteAgent", f"/{AGENT_API}/CreateJoinToken"
    assert await house.channel.unary_unary(unary)(b"") == b"ok"
    assert await house.channel.stream_stream(conversation)([b""]).read() == b"heard"
    for call in (
        house.channel.unary_unary(unary)(UNREADABLE),
        house.channel.stream_stream(conversation)([UNREADABLE]).read(),
    ):
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.INTERNAL
        assert (error.details() or "").startswith("grpc: error unmarshalling request: ")


async def test_a_connection_that_is_not_known_is_unauthenticated(house: House) -> None:
    house.peer = UnauthenticatedError("caller's connection is not known")
    error = await refusal(house.call(ANYONE))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT),
        (NotFoundError, grpc.StatusCode.NOT_FOUND),
        (AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
        (PermissionDeniedError, grpc.StatusCode.PERMISSION_DENIED),
        (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
        (FailedPreconditionError, grpc.StatusCode.FAILED_PRECONDITION),
        (ResourceExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (UnavailableError, grpc.StatusCode.UNAVAILABLE),
        (UnimplementedError, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_refusals_become_status(house: House, kind: type[AssayError], code: grpc.StatusCode) -> None:
    house.behavior = raising(kind("what was wrong"))
    error = await refusal(house.call())
    assert (error.code(), error.details()) == (code, "what was wrong")


async def test_hints_are_for_local_callers_who_ask(house: House) -> None:
    house.behavior = raising(InvalidArgumentError("join token expired", hint="make a new one"))
    assert (await refusal(house.call(ANYONE))).details() == "join token expired"
    assert (await refusal(house.call(ANYONE, WITH_HINTS))).details() == "join token expired; make a new one"
    house.peer = ANONYMOUS
    assert (await refusal(house.call(ANYONE, WITH_HINTS))).details() == "join token expired"


async def test_agents_get_the_reason_in_the_trailer(house: House) -> None:
    house.behavior = raising(PermissionDeniedError("must", reason=DenialReason.AGENT_MUST_REATTEST))
    error = await refusal(house.call())
    assert denial_reason(error.trailing_metadata()) is DenialReason.AGENT_MUST_REATTEST


async def test_an_agent_without_a_row_gets_its_reason(house: House, authority: Authority) -> None:
    house.peer = agent_peer(authority)
    error = await refusal(house.call(AGENTS))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert denial_reason(error.trailing_metadata()) is DenialReason.AGENT_NOT_ATTESTED


async def test_other_refusals_have_no_trailer(house: House) -> None:
    house.peer = ANONYMOUS
    error = await refusal(house.call())
    assert DETAILS_KEY not in dict(error.trailing_metadata())


@pytest.mark.parametrize("kind", [OPERATOR, "GetAgent"])
async def test_what_is_no_refusal_is_internal_and_logged(house: House, kind: str) -> None:
    house.behavior = raising(RuntimeError("secret detail"))
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as error:
        if kind == OPERATOR:
            await house.call()
        else:
            async for _ in house.channel.unary_stream(f"/{AGENT_API}/{kind}")(b""):
                pass
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert [line["event"] for line in logs] == ["Unexpected error"]


async def test_refusals_are_logged_with_the_caller(house: House) -> None:
    house.behavior = raising(NotFoundError("agent not found", hint="look"))
    house.peer = ANONYMOUS
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError):
        await house.call(ANYONE)
    assert logs == [
        {
            "event": "Request refused", "log_level": "warning", "method": f"/{AGENT_API}/{ANYONE}",
            "status": "NOT_FOUND", "error": "agent not found; look", "caller_addr": "192.0.2.1:999",
        }
    ]  # fmt: skip


async def test_a_stream_refused_halfway_ends_with_the_refusal(house: House) -> None:
    house.behavior = raising(PermissionDeniedError("banned", reason=DenialReason.AGENT_BANNED))
    call = house.channel.unary_stream(f"/{AGENT_API}/GetAgent")(b"")
    assert await call.read() == b"first"
    error = await refusal(call.read())
    assert denial_reason(error.trailing_metadata()) is DenialReason.AGENT_BANNED


async def test_a_stream_that_the_caller_leaves_is_closed(house: House) -> None:
    call = house.channel.unary_stream(f"/{AGENT_API}/GetAgent")(b"")
    assert [await call.read(), await call.read()] == [b"first", b"ok"]
    call.cancel()
    async with asyncio.timeout(5):
        await house.closed.wait()


async def test_a_stream_that_waits_is_refused_when_the_server_ends(house: House) -> None:
    call = house.channel.unary_stream(f"/{AGENT_API}/GetAgent")(b"")
    assert [await call.read(), await call.read()] == [b"first", b"ok"]
    house.interceptor.end_streams()
    error = await refusal(call.read())
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "server is shutting down")
    assert house.closed.is_set()


async def test_a_stream_that_sends_as_the_server_ends_is_refused_when_it_would_wait_again() -> None:
    async def responses() -> AsyncGenerator[str]:
        yield "sent meanwhile"
        await asyncio.Event().wait()

    streams = OpenStreams()
    async with aclosing(streams.through(responses())) as passed:
        assert await anext(passed) == "sent meanwhile"
        streams.end()
        with pytest.raises(UnavailableError, match="server is shutting down"):
            await anext(passed)


async def test_a_conversation_is_left_to_end_by_itself(house: House) -> None:
    call = house.channel.stream_stream(f"/{AGENT_API}/CountAgents")()
    await call.write(b"")
    assert await call.read() == b"first"
    house.interceptor.end_streams()
    assert await call.read() == b"ok"
    call.cancel()


async def test_a_stream_that_pushes_is_refused_when_the_server_ends_though_callers_are_heard_on_it(
    house: House, store: SqlStore, authority: Authority, clock: FakeClock
) -> None:
    serial: list[str] = []
    house.peer = agent_peer(authority, serial)
    node = Node(AGENT, "join_token", serial=serial[0], expires_at=int(clock.now().timestamp()) + 3600)
    await store.write(lambda tx: tx.nodes.put(node))
    call = house.channel.stream_stream(f"/{AGENT_STATUS_API}/Watch")()
    await call.write(b"")
    assert [await call.read(), await call.read()] == [b"first", b"ok"]
    house.interceptor.end_streams()
    error = await refusal(call.read())
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "server is shutting down")


def test_what_the_transport_knows(authority: Authority) -> None:
    serial: list[str] = []
    approach = approach_of(agent_peer(authority, serial))
    assert approach.credential is not None
    assert (approach.local, approach.address) == (False, "192.0.2.1:999")
    assert (approach.credential.spiffe_id, approach.credential.serial) == (AGENT, serial[0])
    assert approach.credential.expires_at == int(authority.now.timestamp()) + 3600
    assert approach_of(LOCAL).local
    assert approach_of(ANONYMOUS).credential is None
