"""Tasks over real RPC: the operator's service, and the agent's with what it is authorized for."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from assay.entry import Entry
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import served
from assay_proto.spire.api.types.selector_pb2 import Selector as SelectorMessage
from assay_proto.task.v1 import task_pb2 as pb
from assay_proto.task.v1 import task_pb2_grpc
from assay_server.api.task_agent import AgentTasksApi
from assay_server.api.task_operator import OperatorTasksApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.credential.authorities import Authorities
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.callers import Callers
from assay_server.governance.calling import CallService
from assay_server.governance.credentials import CredentialService
from assay_server.governance.opening import Terms
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.tasks import By, TaskService
from assay_server.governance.taskwatch import TaskWatch
from assay_server.governance.tokens import TaskTokens
from assay_server.model import Node
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState

Stub = Any  # grpc types those of sync and async channels alike
Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]
Agent = Callable[[SpiffeId], Awaitable[Stub]]

TD = TrustDomain("example.org")
AGENT, STRANGER = (SpiffeId(TD, f"/spire/agent/{name}") for name in ("one", "two"))
ME = "spiffe://example.org/principal/bot"
ISSUER = "https://as.example.com"
INTENT = '{"goal":"Reconcile Q3 invoices","resources":["https://erp.example.com"],"expires_at":"2026-12-31T23:59:59Z"}'
ACCESSES = [
    {"type": "mission_resource_access", "resource": "https://erp.example.com", "actions": ["invoices.read"]},
    {
        "type": "mission_resource_access",
        "resource": "https://erp.example.com",
        "actions": ["journal-entries.write"],
        "constraints": {"max_amount": {"amount": "500.00", "currency": "USD"}},
    },
]
ERP = Resource("https://erp.example.com", "prod", "acme", Sensitivity.INTERNAL)
TOOLS = [
    Tool(name, ERP.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW) for name in ("invoices.read", "journal-entries.write")
]
BOT = Principal(
    "bot", ActorType.AI_AGENT, "person:a@b", "x", "prod", "acme", ("tickets",), Risk.LOW, "m",
    tuple(one.name for one in TOOLS), state=PrincipalState.ACTIVE,
)  # fmt: skip
THUMBPRINT = "A" * 43


@pytest.fixture
async def tasks(store: Store, clock: FakeClock) -> TaskService:
    def write(tx: Transaction) -> None:
        objects: list[tuple[Any, Any]] = [(OWNER, Owner(BOT.owner)), (RESOURCE, ERP), (PRINCIPAL, BOT)]
        for noun, value in [*objects, *((TOOL, one) for one in TOOLS)]:
            tx.governed.put(noun, value)
        for agent in (AGENT, STRANGER):
            tx.nodes.put(Node(agent, "join_token", "1", 2**40))
        selectors = (Selector("unix", "uid:1"),)
        tx.entries.create(Entry("bot", SpiffeId.parse(ME), AGENT, selectors, principal="bot"))

    await store.write(write)
    return TaskService(store, clock, ShippedPolicy(), Terms(ISSUER))


@pytest.fixture
async def operator(serve: Serve, tasks: TaskService, store: Store, clock: FakeClock) -> Stub:
    service = served(
        pb.DESCRIPTOR.services_by_name["OperatorTasks"],
        OperatorTasksApi(tasks, CallService(store, ShippedPolicy(), clock), clock),
    )
    return task_pb2_grpc.OperatorTasksStub(await serve(service, Caller(CallerKind.LOCAL)))


@pytest.fixture
async def agent(serve: Serve, tasks: TaskService, store: Store, clock: FakeClock, authorities: Authorities) -> Agent:
    tokens = TaskTokens(ISSUER, TD, authorities)
    credentials = CredentialService(store, ShippedPolicy(), clock, tokens.sign, tokens.ends_at, ISSUER)
    authorized = AuthorizedEntries(store, TD, clock)
    calls = CallService(store, ShippedPolicy(), clock)
    api = AgentTasksApi(
        tasks, credentials, calls, TaskWatch(store, tasks), Callers(authorized, store, clock), authorized, clock
    )

    async def dial(agent_id: SpiffeId) -> Stub:
        caller = Caller(CallerKind.AGENT, Credential(agent_id, "1", 2**40))
        channel = await serve(served(pb.DESCRIPTOR.services_by_name["AgentTasks"], api), caller)
        return task_pb2_grpc.AgentTasksStub(channel)

    return dial


def opening(**changes: Any) -> pb.OpenRequest:  # noqa: ANN401 - fields of OpenRequest
    return pb.OpenRequest(**{"intent": INTENT, "authorization_details": json.dumps(ACCESSES), **changes})


def workload(*ids: str, uid: int = 1) -> pb.Workload:
    matches = [pb.Match(entry_id=one) for one in ids]
    return pb.Workload(matches=matches, selectors=[SelectorMessage(type="unix", value=f"uid:{uid}")])


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""


async def test_an_operators_task_has_the_drafts_hashes_and_says_who_opened_it(operator: Stub) -> None:
    task = await operator.Open(pb.OperatorOpenRequest(principal="bot", task=opening()))
    assert task.intent_hash == "sha-256:6mIFoCz79uCHNzKLfBpBwqFjoFXdpmpuc65486IqimQ"
    assert task.authority_hash == "sha-256:vUCCfjGulit9u0qJ0Z6pQSNerZtXMqRlfJNCr4PzLro"
    assert (json.loads(task.intent), json.loads(task.authorization_details)) == (json.loads(INTENT), ACCESSES)
    assert task.trigger.startswith("operator:local:")
    assert (task.state, task.ends_at - task.opened_at) == (pb.TASK_STATE_ACTIVE, 3600)


async def test_an_operator_shows_lists_holds_narrows_and_ends_tasks(operator: Stub) -> None:
    budget = pb.Budget(calls=5, calls_by_action={"invoices.read": 3})
    task = await operator.Open(pb.OperatorOpenRequest(principal="bot", task=opening(budget=budget)))
    shown = await operator.Show(pb.ShowRequest(task_id=task.id))
    assert (shown.task, shown.left.calls, shown.left.seconds) == (task, 5, 3600)
    assert dict(shown.left.calls_by_action) == {"invoices.read": 3}
    assert [(one.tool, one.effect) for one in shown.decisions] == [
        ("invoices.read", "allow"),
        ("journal-entries.write", "allow"),
    ]
    less = await operator.Narrow(
        pb.NarrowRequest(
            task_id=task.id, authorization_details=json.dumps(ACCESSES[:1]), data_classes=pb.DataClasses(), ends_at=0
        )
    )
    assert (less.revision, json.loads(less.authorization_details)) == (2, ACCESSES[:1])
    assert less.ends_at == task.opened_at
    assert (await refused(operator.Suspend(pb.SuspendRequest(task_id=task.id))))[0] is (
        grpc.StatusCode.FAILED_PRECONDITION
    )
    other = await operator.Open(pb.OperatorOpenRequest(principal="bot", task=opening(), subject="alice@corp"))
    assert other.subject == "alice@corp"
    held = await operator.Suspend(pb.SuspendRequest(task_id=other.id, reason="review"))
    assert (held.state, held.state_reason) == (pb.TASK_STATE_SUSPENDED, "review")
    assert (await operator.Resume(pb.ResumeRequest(task_id=other.id))).state == pb.TASK_STATE_ACTIVE
    listed = await operator.List(pb.ListRequest(principal="bot", state="active"))
    assert {one.id for one in listed.tasks} == {task.id, other.id}
    page = await operator.List(pb.ListRequest(page_size=1))
    assert len(page.tasks) == 1
    assert page.next_page_token
    assert (await operator.Complete(pb.CompleteRequest(task_id=other.id))).state == pb.TASK_STATE_COMPLETED
    assert (await operator.Revoke(pb.RevokeRequest(task_id=task.id, reason="x"))).state == pb.TASK_STATE_REVOKED
    code, _ = await refused(operator.List(pb.ListRequest(state="paused")))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    code, _ = await refused(operator.Revoke(pb.RevokeRequest(task_id=task.id, reason="a\nb")))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_event_has_one_task(operator: Stub) -> None:
    request = pb.OpenForEventRequest(
        source="queue", event_id="42", open=pb.OperatorOpenRequest(principal="bot", task=opening())
    )
    first, again = await operator.OpenForEvent(request), await operator.OpenForEvent(request)
    assert (first.id, first.trigger, first.owner) == (again.id, "event:queue/42", "person:a@b")
    request.open.task.intent = '{"goal":"other"}'
    assert (await refused(operator.OpenForEvent(request)))[0] is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    "changes",
    [
        {"intent": "x" * 2**20},
        {"intent": ""},
        {"authorization_details": "[]"},
        {"authorization_details": ""},
        {"constraints": '{"surprise":1}'},
        {"ends_at": 1},
        {"budget": pb.Budget(calls=2**64 - 1)},
        {"budget": pb.Budget(calls_by_action={"nothing": 1})},
    ],
)
async def test_bad_requests_leave_nothing(operator: Stub, store: Store, changes: dict[str, Any]) -> None:
    sequence = store.sequence
    code, _ = await refused(operator.Open(pb.OperatorOpenRequest(principal="bot", task=opening(**changes))))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert store.sequence == sequence


async def test_a_workload_has_its_own_tasks_and_tokens_that_end_with_them(agent: Agent) -> None:
    stub, me = await agent(AGENT), workload("bot")
    task = await stub.Open(pb.AgentOpenRequest(workload=me, request=opening()))
    assert (task.instance, task.trigger) == (ME, f"workload:{ME}")
    assert (await stub.Get(pb.AgentGetRequest(workload=me, request=pb.GetRequest(task_id=task.id)))) == task
    assert list((await stub.List(pb.AgentListRequest(workload=me))).tasks) == [task]
    asked = pb.CredentialRequest(task_id=task.id, audience=ERP.uri, jkt=THUMBPRINT, actions=["invoices.read"])
    issued = await stub.Credential(pb.AgentCredentialRequest(workload=me, request=asked))
    assert issued.token.count(".") == 2
    assert json.loads(issued.authorization_details) == ACCESSES[:1]
    assert task.opened_at < issued.expires_at <= task.ends_at
    beat = await stub.Heartbeat(pb.AgentHeartbeatRequest(workload=me, request=pb.HeartbeatRequest(task_id=task.id)))
    assert beat.state == pb.TASK_STATE_ACTIVE
    done = await stub.Complete(pb.AgentCompleteRequest(workload=me, request=pb.CompleteRequest(task_id=task.id)))
    assert done.state == pb.TASK_STATE_COMPLETED
    code, _ = await refused(stub.Credential(pb.AgentCredentialRequest(workload=me, request=asked)))
    assert code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("key", [{}, {"jkt": ""}, {"jkt": "short"}, {"x5t_s256": "="}])
async def test_a_token_without_a_key_is_not_handed_out(agent: Agent, key: dict[str, Any]) -> None:
    stub, me = await agent(AGENT), workload("bot")
    task = await stub.Open(pb.AgentOpenRequest(workload=me, request=opening()))
    asked = pb.CredentialRequest(task_id=task.id, audience=ERP.uri, **key)
    code, _ = await refused(stub.Credential(pb.AgentCredentialRequest(workload=me, request=asked)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_no_agent_speaks_for_workloads_that_are_not_its_own(agent: Agent) -> None:
    stub = await agent(AGENT)
    task = await stub.Open(pb.AgentOpenRequest(workload=workload("bot"), request=opening()))
    get = pb.GetRequest(task_id=task.id)
    for other in (workload(), workload("gone"), workload("bot", uid=2)):
        code, _ = await refused(stub.Open(pb.AgentOpenRequest(workload=other, request=opening())))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        code, _ = await refused(stub.Get(pb.AgentGetRequest(workload=other, request=get)))
        assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_another_agent_gets_nothing(agent: Agent) -> None:
    stub = await agent(STRANGER)
    code, _ = await refused(stub.Open(pb.AgentOpenRequest(workload=workload("bot"), request=opening())))
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_workload_follows_its_tasks_until_its_agent_is_banned(
    agent: Agent, tasks: TaskService, store: Store
) -> None:
    stub, me = await agent(AGENT), workload("bot")
    task = await stub.Open(pb.AgentOpenRequest(workload=me, request=opening()))
    stream = stub.Watch(pb.AgentWatchRequest(workload=me))
    assert await stream.read() == task
    await store.write(lambda tx: tx.nodes.put(Node(AGENT, "join_token", "", 0)))
    await tasks.revoke(task.id, "wrong", By("local:0"))
    assert (await stream.read()).state_reason == "wrong"
    code, _ = await refused(stream.read())
    assert code is grpc.StatusCode.PERMISSION_DENIED
