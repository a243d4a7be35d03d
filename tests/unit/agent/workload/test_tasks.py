"""Tasks through the agent: who calls is attested, the server is asked, and the caller says nothing of itself."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import (
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from assay.governed.authority import Access
from assay.governed.digest import digest
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.method import Context
from assay.rpc.server import Server
from assay.rpc.status import EndError, StatusCode
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay.testing.scripted import channel_to
from assay.testing.wait import until
from assay.wire.service import served
from assay.workloadapi import Endpoint
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.tasks import Bounds, TaskClient
from assay.workloadapi.wire import METADATA
from assay_agent.cache import Cache, Update
from assay_agent.client.server import ServerClient
from assay_agent.endpoints import Endpoints
from assay_agent.instance.instances import Instances
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.instance.values import InstanceValues
from assay_agent.plugins.workloadattestor_unix import UnixAttestor
from assay_agent.sync.signer import SigningSettings
from assay_agent.workload import tasks
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.caller import Callers
from assay_agent.workload.taskservice import TasksService
from assay_proto.task.v1 import task_pb2 as pb

ME = f"uid:{os.getuid()}"
READING = [Access("https://crm", ("read",))]
TASK = pb.Task(
    id="tsk_1", principal="bot", intent='{"goal":"x"}', state=pb.TASK_STATE_ACTIVE, ends_at=100, revision=1,
    authorization_details='[{"type":"mission_resource_access","resource":"https://crm","actions":["read"]}]',
)  # fmt: skip


@dataclass
class ServerSide:
    """The server's end, as the test wants it."""

    asked: list[pb.AgentOpenRequest] = field(default_factory=list)
    decided: list[pb.DecideRequest] = field(default_factory=list)
    answer: pb.DecideResponse = field(default_factory=lambda: pb.DecideResponse(effect="allow", valid_until=9))
    known: list[dict[str, int]] = field(default_factory=list)
    streams: list[asyncio.Queue[pb.Task]] = field(default_factory=list)
    refusal: EndError | None = None

    async def Open(self, request: pb.AgentOpenRequest, _context: Context) -> pb.Task:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return TASK

    async def Credential(self, request: pb.AgentCredentialRequest, _context: Context) -> pb.CredentialResponse:
        return pb.CredentialResponse(token=f"for {request.request.jkt}", jti="crd_1", expires_at=50)

    async def Decide(self, request: pb.AgentDecideRequest, _context: Context) -> pb.DecideResponse:
        self.decided.append(request.request)
        return self.answer

    async def Watch(self, request: pb.AgentWatchRequest, _context: Context) -> AsyncIterator[pb.Task]:
        self.known.append(dict(request.request.known))
        updates: asyncio.Queue[pb.Task] = asyncio.Queue()
        self.streams.append(updates)
        while True:
            yield await updates.get()


@dataclass
class House:
    cache: Cache
    client: ServerClient
    server: ServerSide
    path: Path

    def bind(self, *selectors: str) -> None:
        entry = Entry(
            "bot",
            SpiffeId.parse("spiffe://example.org/principal/bot"),
            SpiffeId.parse("spiffe://example.org/agent"),
            tuple(Selector("unix", one) for one in selectors),
        )
        self.cache.apply(Update(entries=[entry]))


@pytest.fixture
async def house(folder: Path, authority: Authority, clock: Clock) -> AsyncIterator[House]:
    side = ServerSide()
    server = Server()
    server.add_generic_rpc_handlers((served(pb.DESCRIPTOR.services_by_name["AgentTasks"], side),))
    await server.listen_unix(folder / "server.sock")
    cache = Cache(authority.trust_domain)
    cache.apply(Update(snapshot=True, bundles=[authority.bundle]))
    endpoints = Endpoints(folder / "api.sock")
    callers = Callers(endpoints.peer, Attestor([UnixAttestor(clock)], own_pid=0), own_pid=0)
    async with ServerClient(lambda: channel_to(folder / "server.sock")) as client:
        svids = InstanceSvids(cache, client, clock, SigningSettings(), lambda: 0.0)
        values = InstanceValues(lambda: callers.attestor.plugins)
        instances = Instances(cache, svids, values, PrincipalTokens(client, clock))
        endpoints.serve_more(TasksService(cache, callers, instances, client))
        await endpoints.start()
        yield House(cache, client, side, folder / "api.sock")
        await endpoints.close()
    await server.close(0)


@pytest.fixture
async def workload(house: House) -> AsyncIterator[TaskClient]:
    async with TaskClient(Endpoint.of_path(house.path)) as client:
        yield client


async def test_the_server_is_told_what_was_attested(house: House, workload: TaskClient) -> None:
    house.bind(ME)
    task = await workload.open("x", READING, lasting=60, budget=Bounds(calls=3), principal="bot")
    assert (task.id, task.active, task.authority) == ("tsk_1", True, tuple(READING))
    (asked,) = house.server.asked
    assert [one.entry_id for one in asked.workload.matches] == ["bot"]
    assert ("unix", ME) in {(one.type, one.value) for one in asked.workload.selectors}
    assert (asked.request.budget.calls, asked.request.budget.duration, asked.request.principal) == (3, 60, "bot")


async def test_a_token_comes_back_to_whom_it_is_for(house: House, workload: TaskClient) -> None:
    house.bind(ME)
    issued = await workload.credential("tsk_1", "https://crm", jkt="thumb")
    assert (issued.token, issued.expires_at) == ("for thumb", 50)
    assert "for thumb" not in repr(issued)


async def test_a_call_is_asked_about_by_the_digest_of_its_parameters(house: House, workload: TaskClient) -> None:
    house.bind(ME)
    parameters = {"note": "swordfish", "amount": 5}
    found = await workload.decide("read", jti="crd_1", parameters=parameters, call_id="1", key_proved=True)
    assert (found.allowed, found.valid_until) == (True, 9)
    (asked,) = house.server.decided
    assert asked == pb.DecideRequest(
        jti="crd_1", action="read", parameters_digest=digest(parameters), call_id="1", key_proved=True
    )
    house.server.answer = pb.DecideResponse(effect="needs_approval", reason="because", obligations={"a": "b"})
    found = await workload.decide("read", task_id="tsk_1")
    assert (found.allowed, found.effect, found.reason) == (False, "needs_approval", "because")
    assert found.obligations == {"a": "b"}


@pytest.mark.parametrize("answer", [{}, {"effect": "allow"}, {"effect": "allow", "valid_until": -1}])
async def test_an_answer_that_says_nothing_is_none(house: House, workload: TaskClient, answer: dict[str, Any]) -> None:
    house.bind(ME)
    house.server.answer = pb.DecideResponse(**answer)
    with pytest.raises(MalformedResponseError):
        await workload.decide("read", task_id="tsk_1")


async def test_an_answer_that_is_not_known_allows_nothing(house: House, workload: TaskClient) -> None:
    house.bind(ME)
    house.server.answer = pb.DecideResponse(effect="Allow", valid_until=9)
    assert not (await workload.decide("read", task_id="tsk_1")).allowed
    with pytest.raises(ValueError):
        await workload.decide("read", task_id="tsk_1", parameters={"a": float("nan")})


async def test_without_an_entry_the_server_is_not_asked(house: House, workload: TaskClient) -> None:
    house.bind("uid:99999")
    with pytest.raises(PermissionDeniedError, match="no identity issued"):
        await workload.open("x", READING)
    assert house.server.asked == []


async def test_before_the_agent_has_heard_of_the_server_nobody_is_judged(house: House, workload: TaskClient) -> None:
    house.cache._snapshot = False
    with pytest.raises(UnavailableError, match="not synced"):
        await workload.open("x", READING)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (StatusCode.PERMISSION_DENIED, PermissionDeniedError),
        (StatusCode.FAILED_PRECONDITION, FailedPreconditionError),
        (StatusCode.RESOURCE_EXHAUSTED, ResourceExhaustedError),
        (StatusCode.INVALID_ARGUMENT, InvalidArgumentError),
        (StatusCode.UNAVAILABLE, UnavailableError),
        (StatusCode.INTERNAL, UnavailableError),
    ],
)
async def test_the_servers_refusals_reach_the_workload(
    house: House, workload: TaskClient, code: StatusCode, kind: type[AssayError]
) -> None:
    house.bind(ME)
    house.server.refusal = EndError(code, "because")
    with pytest.raises(kind, match="because"):
        await workload.open("x", READING)


async def raw(house: House, metadata: tuple[tuple[str, str], ...], request: bytes) -> bytes:
    channel = Channel(Endpoint.of_path(house.path).connect, max_message=MAX_MESSAGE_BYTES)
    try:
        return await channel.unary("/assay.task.v1.Tasks/Open", request, metadata, timeout=30)
    finally:
        await channel.close()


@pytest.mark.parametrize(
    ("metadata", "request_bytes", "code"),
    [
        ((), b"", StatusCode.INVALID_ARGUMENT),
        ((("workload.spiffe.io", "false"),), b"", StatusCode.INVALID_ARGUMENT),
        (METADATA, b"\xff", StatusCode.INTERNAL),
        (METADATA, pb.OpenRequest(intent="x" * 2**20).SerializeToString(), StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_is_refused_here_does_not_reach_the_server(
    house: House, metadata: tuple[tuple[str, str], ...], request_bytes: bytes, code: StatusCode
) -> None:
    house.bind(ME)
    with pytest.raises(EndError) as refused:
        await raw(house, metadata, request_bytes)
    assert refused.value.code is code
    assert house.server.asked == []


async def test_changes_reach_a_workload_also_after_the_agents_own_svid_was_renewed(
    house: House, workload: TaskClient
) -> None:
    house.bind(ME)
    over = pb.Task()
    over.CopyFrom(TASK)
    over.state, over.revision = pb.TASK_STATE_REVOKED, 2
    streams = house.server.streams
    async with aclosing(workload.watch({"tsk_0": 3})) as updates:
        first = asyncio.ensure_future(anext(updates))  # noqa: TID251 - awaited below
        await until(lambda: len(streams) == 1)
        await streams[0].put(TASK)
        assert (await first).active
        await house.client.renewed()
        second = asyncio.ensure_future(anext(updates))  # noqa: TID251 - likewise
        await until(lambda: len(streams) == 2)
        await streams[1].put(over)
        assert (await second).state == "revoked"
    assert house.server.known == [{"tsk_0": 3}, {"tsk_0": 3, "tsk_1": 1}]


async def test_only_so_many_workloads_follow_their_tasks_at_once(house: House, workload: TaskClient) -> None:
    house.bind(ME)
    streams = [workload.watch() for _ in range(tasks.MAX_WATCHES + 1)]
    begun = [asyncio.ensure_future(anext(stream)) for stream in streams[:-1]]  # noqa: TID251 - cancelled below
    await until(lambda: len(house.server.streams) == tasks.MAX_WATCHES)
    with pytest.raises(ResourceExhaustedError):
        await anext(streams[-1])
    for one in begun:
        one.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
