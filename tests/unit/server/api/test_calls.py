"""Decisions before a call over real RPC: who may ask, what is counted, and what changes the answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest

from assay.crypto.keys import generate
from assay.entry import Entry
from assay.governed.digest import digest
from assay.keymanager.base import KeyType, SigningKey
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
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.callers import Callers
from assay_server.governance.calling import MAX_ASKED, VALID, CallService
from assay_server.governance.credentials import CredentialService
from assay_server.governance.opening import Terms
from assay_server.governance.policies import Policies
from assay_server.governance.policystore import PolicyStore
from assay_server.governance.tasks import By, TaskService
from assay_server.governance.taskwatch import TaskWatch
from assay_server.governance.tokens import TaskTokens
from assay_server.model import Node
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.decision import DECISION, Decision
from assay_server.model.governed.event import EventType
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger
from assay_server.model.governed.task import CREDENTIAL, TASK, Task, TaskState
from assay_server.model.governed.task import Credential as Issued
from assay_server.policy.engine import shipped
from assay_server.policy.replay import replay

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/one")
ME, GUARD = "spiffe://example.org/principal/bot", "spiffe://example.org/crm-guard"
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL, verifiers=(GUARD,))
WIKI = Resource("https://wiki", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
CLOSE = Tool("crm.close", CRM.uri, ActionClass.CONSEQUENTIAL_WRITE, Risk.LOW)
SEARCH = Tool("wiki.search", WIKI.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
BOT = Principal(
    "bot", ActorType.AI_AGENT, "person:a@b", "x", "prod", "acme", ("tickets",), Risk.LOW, "m",
    ("crm.read", "crm.close", "wiki.search"), approvals=(), state=PrincipalState.ACTIVE,
)  # fmt: skip
ALL = {CRM.uri: ["crm.read", "crm.close"], WIKI.uri: ["wiki.search"]}
NIGHT = '@id("no-closing") @reason("nothing is closed today") forbid (principal, action, resource) when { %s };'
THUMBPRINT = "A" * 43
NOUNS: dict[type, Noun[Any]] = {
    Principal: PRINCIPAL, Resource: RESOURCE, Tool: TOOL, Owner: OWNER, Task: TASK, Issued: CREDENTIAL,
}  # fmt: skip


def workload(entry: str, uid: int) -> pb.Workload:
    return pb.Workload(matches=[pb.Match(entry_id=entry)], selectors=[SelectorMessage(type="unix", value=f"uid:{uid}")])


BOT_ITSELF, GUARDING, STRANGER = workload("bot", 1), workload("guard", 2), workload("stranger", 3)


@dataclass
class World:
    """A bot with two tools of one resource, which a guard serves, and one of another that nobody guards."""

    store: Store
    tasks: TaskService
    versions: PolicyStore
    agent: Any  # grpc types those of sync and async channels alike
    operator: Any

    async def put(self, *objects: object) -> None:
        def write(tx: Transaction) -> None:
            for one in objects:
                tx.governed.put(NOUNS[type(one)], one)

        await self.store.write(write)

    async def open(self, **changes: Any) -> pb.Task:  # noqa: ANN401 - fields of OpenRequest
        asked = {
            "intent": '{"goal":"answer"}',
            "authorization_details": json.dumps(
                [{"type": "mission_resource_access", "resource": uri, "actions": names} for uri, names in ALL.items()]
            ),
            **changes,
        }
        task: pb.Task = await self.agent.Open(pb.AgentOpenRequest(workload=BOT_ITSELF, request=pb.OpenRequest(**asked)))
        return task

    async def token(self, task: pb.Task, *actions: str, audience: str = CRM.uri) -> str:
        asked = pb.CredentialRequest(task_id=task.id, audience=audience, jkt=THUMBPRINT, actions=actions)
        issued = await self.agent.Credential(pb.AgentCredentialRequest(workload=BOT_ITSELF, request=asked))
        return str(issued.jti)

    async def ask(self, who: pb.Workload, action: str = "crm.read", **said: Any) -> pb.DecideResponse:  # noqa: ANN401 - fields of DecideRequest
        request = pb.DecideRequest(action=action, **{"key_proved": True, **said})
        answer: pb.DecideResponse = await self.agent.Decide(pb.AgentDecideRequest(workload=who, request=request))
        return answer

    async def push(self, rule: str) -> None:
        files = {**shipped().bundle.files, "own.cedar": rule}
        await self.versions.push(files, shipped().bundle.tests, "", "local:0")

    async def task(self, task: pb.Task) -> Task:
        found = await self.store.read(lambda tx: tx.governed.get(TASK, task.id))
        assert found is not None
        return found

    async def decision(self, answer: pb.DecideResponse) -> Decision:
        found = await self.store.read(lambda tx: tx.governed.get(DECISION, answer.decision_id))
        assert found is not None
        return found


@pytest.fixture
async def world(serve: Serve, store: Store, clock: FakeClock, authorities: Authorities) -> World:
    def write(tx: Transaction) -> None:
        tx.nodes.put(Node(AGENT, "join_token", "1", 2**40))
        for name, spiffe_id, uid, principal in (
            ("bot", ME, 1, "bot"), ("guard", GUARD, 2, ""), ("stranger", "spiffe://example.org/stranger", 3, ""),
        ):  # fmt: skip
            selectors = (Selector("unix", f"uid:{uid}"),)
            tx.entries.create(Entry(name, SpiffeId.parse(spiffe_id), AGENT, selectors, principal=principal))
        for one in (Owner(BOT.owner), CRM, WIKI, READ, CLOSE, SEARCH, BOT):
            tx.governed.put(NOUNS[type(one)], one)

    await store.write(write)
    signing = generate(KeyType.EC_P256)

    async def key() -> SigningKey:
        return signing

    policies = Policies(store)
    tasks = TaskService(store, clock, policies, Terms("https://issuer.example"))
    tokens = TaskTokens("https://issuer.example", TD, authorities)
    credentials = CredentialService(store, policies, clock, tokens.sign, tokens.ends_at, "https://issuer.example")
    authorized, calls = AuthorizedEntries(store, TD, clock), CallService(store, policies, clock)
    api = AgentTasksApi(
        tasks, credentials, calls, TaskWatch(store, tasks), Callers(authorized, store, clock), authorized, clock
    )
    services = pb.DESCRIPTOR.services_by_name
    line = await serve(served(services["AgentTasks"], api), Caller(CallerKind.AGENT, Credential(AGENT, "1", 2**40)))
    by_hand = await serve(
        served(services["OperatorTasks"], OperatorTasksApi(tasks, calls, clock)), Caller(CallerKind.LOCAL)
    )
    return World(
        store,
        tasks,
        PolicyStore(store, clock, key),
        task_pb2_grpc.AgentTasksStub(line),
        task_pb2_grpc.OperatorTasksStub(by_hand),
    )


async def refused(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code()


async def test_an_instance_asks_about_its_own_task_and_the_answer_is_written_down(world: World) -> None:
    task = await world.open()
    answer = await world.ask(BOT_ITSELF, task_id=task.id, parameters_json='{"b":1,"a":2}')
    assert (answer.effect, answer.task_id, answer.policy_version) == ("allow", task.id, 0)
    decision = await world.decision(answer)
    assert (decision.point.value, answer.valid_until) == ("tool:call", decision.at + VALID)
    assert replay(shipped(), decision).same
    assert decision.inputs["question"]["context"]["paramsDigest"] == digest({"a": 2, "b": 1})
    used = (await world.task(task)).used
    assert (used.calls, used.calls_by_action, used.chain, used.steps) == (1, {"crm.read": 1}, ("crm.read",), 1)


async def test_a_guard_asks_about_tokens_for_what_it_guards_and_about_no_others(world: World) -> None:
    """The confused deputy: a token for one audience is of no use at another, and strangers learn nothing."""
    task = await world.open()
    jti, elsewhere = await world.token(task), await world.token(task, audience=WIKI.uri)
    assert (await world.ask(GUARDING, jti=jti)).effect == "allow"
    for who, token in ((GUARDING, elsewhere), (STRANGER, jti), (GUARDING, "crd_none")):
        assert await refused(world.ask(who, jti=token)) is grpc.StatusCode.NOT_FOUND
    assert await refused(world.ask(GUARDING, task_id=task.id)) is grpc.StatusCode.NOT_FOUND
    answer = await world.ask(GUARDING, "wiki.search", jti=jti)
    assert (answer.effect, answer.reason) == ("deny", "the token does not name wiki.search")
    answer = await world.ask(GUARDING, jti=jti, resource=WIKI.uri)
    assert (answer.effect, answer.reason) == ("deny", "the token is for another resource")
    assert (await world.ask(BOT_ITSELF, "wiki.search", jti=elsewhere)).effect == "allow"


async def test_a_workload_whose_id_is_the_audience_guards_it(world: World) -> None:
    await world.put(replace(WIKI, uri=GUARD), replace(SEARCH, resource=GUARD))
    details = [{"type": "mission_resource_access", "resource": GUARD, "actions": ["wiki.search"]}]
    task = await world.open(authorization_details=json.dumps(details))
    jti = await world.token(task, audience=GUARD)
    assert (await world.ask(GUARDING, "wiki.search", jti=jti)).effect == "allow"


async def test_a_guard_that_has_seen_no_proof_of_the_key_is_told_no(world: World) -> None:
    jti = await world.token(await world.open())
    answer = await world.ask(GUARDING, jti=jti, key_proved=False)
    assert (answer.effect, (await world.decision(answer)).policies) == ("deny", ("agents-prove-a-key",))


async def test_an_unlisted_tool_is_refused_and_counts_for_nothing(world: World) -> None:
    details = [{"type": "mission_resource_access", "resource": CRM.uri, "actions": ["crm.read"]}]
    task = await world.open(authorization_details=json.dumps(details))
    for action in ("crm.close", "crm.drop", "x" * 256):
        answer = await world.ask(BOT_ITSELF, action, task_id=task.id)
        assert (answer.effect, answer.reason) == ("deny", f"the task was not approved for {action}")
    assert (await world.task(task)).used.attempts == {}


async def test_budgets_are_exact_under_32_at_once(world: World) -> None:
    task = await world.open(budget=pb.Budget(calls=10, calls_by_action={"crm.read": 7}))
    asked = [("crm.read" if one % 2 else "crm.close") for one in range(32)]
    answers = await asyncio.gather(*(world.ask(BOT_ITSELF, one, task_id=task.id) for one in asked))
    allowed = [one for one, answer in zip(asked, answers, strict=True) if answer.effect == "allow"]
    assert len(allowed) == 10
    assert allowed.count("crm.read") <= 7
    used = (await world.task(task)).used
    assert (used.calls, used.steps) == (10, 10)
    assert {answer.reason for answer in answers if answer.effect == "deny"} <= {
        f"task {task.id} has used up its calls: 10",
        f"task {task.id} has used up its calls of crm.read: 7",
    }


async def test_a_call_that_is_asked_about_again_is_counted_once(world: World) -> None:
    task = await world.open(budget=pb.Budget(calls=2))
    answers = await asyncio.gather(*(world.ask(BOT_ITSELF, task_id=task.id, call_id="a") for _ in range(MAX_ASKED)))
    assert {one.effect for one in answers} == {"allow"}
    assert (await world.task(task)).used.calls == 1
    over = await world.ask(BOT_ITSELF, task_id=task.id, call_id="a")
    assert (over.effect, over.reason) == ("deny", "the call was asked about too often")
    again = await world.ask(BOT_ITSELF, task_id=task.id, call_id="a")
    assert again == over
    other = world.ask(BOT_ITSELF, "crm.close", task_id=task.id, call_id="a")
    assert await refused(other) is grpc.StatusCode.ALREADY_EXISTS
    assert (await world.ask(BOT_ITSELF, task_id=task.id, call_id="b")).effect == "allow"
    assert (await world.ask(BOT_ITSELF, task_id=task.id, call_id="c")).effect == "deny"


async def test_the_last_call_of_a_budget_may_be_asked_about_again(world: World) -> None:
    task = await world.open(budget=pb.Budget(calls=1))
    for _ in range(2):
        assert (await world.ask(BOT_ITSELF, task_id=task.id, call_id="a")).effect == "allow"
    assert (await world.ask(BOT_ITSELF, task_id=task.id, call_id="b")).effect == "deny"


async def test_a_callers_call_ids_are_not_its_guards(world: World) -> None:
    """Or the caller could pay once and call as often as it likes."""
    task = await world.open()
    jti = await world.token(task)
    for who in (BOT_ITSELF, GUARDING):
        assert (await world.ask(who, jti=jti, call_id="a")).effect == "allow"
    assert (await world.task(task)).used.steps == 2


async def test_a_token_has_paid_for_its_first_call(world: World) -> None:
    task = await world.open(budget=pb.Budget(calls=3, calls_by_action={"crm.close": 1}))
    jti = await world.token(task)
    assert (await world.task(task)).used.calls == 1
    for action, calls in (("crm.read", 1), ("crm.close", 2), ("crm.read", 3)):
        assert (await world.ask(GUARDING, action, jti=jti)).effect == "allow"
        assert (await world.task(task)).used.calls == calls
    for action in ("crm.close", "crm.read"):
        assert (await world.ask(GUARDING, action, jti=jti)).effect == "deny"
    assert (await world.task(task)).used.calls_by_action == {"crm.read": 2, "crm.close": 1}


async def test_calls_below_a_task_count_for_it_and_are_in_its_chain(world: World) -> None:
    """Else a chain would be broken by opening a task below."""
    top = await world.open(budget=pb.Budget(calls=2))
    below = await world.open(parent=top.id, budget=pb.Budget(calls=2))
    await world.ask(BOT_ITSELF, "crm.close", task_id=top.id)
    answer = await world.ask(BOT_ITSELF, task_id=below.id)
    said = (await world.decision(answer)).inputs["question"]["context"]
    assert (said["chain"], said["previous"], said["steps"], said["depth"]) == (["crm.close"], "crm.close", 1, 1)
    assert (await world.task(top)).used.chain == ("crm.close", "crm.read")
    assert (await world.ask(BOT_ITSELF, task_id=below.id)).reason == f"task {top.id} has used up its calls: 2"


async def test_rules_about_chains_hold_and_a_retry_is_not_before_itself(world: World) -> None:
    rule = 'resource.name == "crm.close" && (context.chain.contains("crm.read") || context.previous == "crm.close")'
    await world.push(NIGHT % rule)
    task = await world.open()
    for _ in range(2):
        assert (await world.ask(BOT_ITSELF, "crm.close", task_id=task.id, call_id="1")).effect == "allow"
    assert (await world.ask(BOT_ITSELF, "crm.close", task_id=task.id, call_id="2")).effect == "deny"
    assert (await world.ask(BOT_ITSELF, task_id=task.id)).effect == "allow"
    answer = await world.ask(BOT_ITSELF, "crm.close", task_id=task.id)
    assert (answer.effect, answer.reason) == ("deny", "denied by no-closing: nothing is closed today")


async def test_a_policy_pushed_between_issue_and_call_denies_the_call(world: World) -> None:
    """Requirement 27; and what was allowed under the same call ID before is not allowed by that any more."""
    jti = await world.token(await world.open())
    assert (await world.ask(GUARDING, "crm.close", jti=jti, call_id="1")).effect == "allow"
    await world.push(NIGHT % 'resource.name == "crm.close"')
    for call_id in ("1", "1", "2", ""):
        answer = await world.ask(GUARDING, "crm.close", jti=jti, call_id=call_id)
        assert (answer.effect, answer.policy_version, answer.valid_until) == ("deny", 1, 0)
    assert (await world.ask(GUARDING, jti=jti)).effect == "allow"


async def test_a_task_that_changes_takes_its_answers_with_it(world: World) -> None:
    """Requirement 36."""
    task = await world.open()
    jti = await world.token(task)
    assert (await world.ask(GUARDING, jti=jti, call_id="1")).effect == "allow"
    less = [{"type": "mission_resource_access", "resource": WIKI.uri, "actions": ["wiki.search"]}]
    narrow = pb.NarrowRequest(task_id=task.id, authorization_details=json.dumps(less))
    await world.agent.Narrow(pb.AgentNarrowRequest(workload=BOT_ITSELF, request=narrow))
    answer = await world.ask(GUARDING, jti=jti, call_id="1")
    assert (answer.effect, answer.reason) == ("deny", "the token has ended: task_narrowed")
    assert (await world.ask(BOT_ITSELF, task_id=task.id)).effect == "deny"


@pytest.mark.parametrize("state", [one for one in TaskState if one is not TaskState.ACTIVE])
async def test_only_an_active_task_permits_a_call(world: World, state: TaskState) -> None:
    """A state that is not known among them."""
    task = await world.open()
    jti = await world.token(task)
    await world.put(replace(await world.task(task), state=state))
    for about in ({"jti": jti}, {"task_id": task.id}):
        assert (await world.ask(BOT_ITSELF, **about)).effect == "deny"


async def test_time_ends_tokens_and_tasks_for_calls_too(world: World, clock: FakeClock) -> None:
    task = await world.open(budget=pb.Budget(duration=320))
    jti = await world.token(task)
    clock.advance(290)
    answer = await world.ask(GUARDING, jti=jti)
    assert (answer.effect, answer.valid_until - int(clock.now().timestamp())) == ("allow", 10)
    clock.advance(15)
    assert (await world.ask(GUARDING, jti=jti)).reason == "the token has ended: expired"
    clock.advance(15)
    assert (await world.ask(BOT_ITSELF, task_id=task.id)).effect == "deny"


async def test_tenants_are_not_crossed_by_a_call(world: World) -> None:
    """Requirement 12."""
    task = await world.open()
    await world.put(replace(CRM, tenant="other"))
    answer = await world.ask(BOT_ITSELF, task_id=task.id)
    assert (answer.effect, (await world.decision(answer)).policies) == ("deny", ("no-crossing-of-tenants",))


async def test_a_tool_that_moved_to_another_resource_is_refused(world: World) -> None:
    task = await world.open()
    jti = await world.token(task)
    await world.put(replace(READ, resource=WIKI.uri))
    answer = await world.ask(GUARDING, jti=jti)
    assert "other-audience" in (await world.decision(answer)).policies


async def test_refusals_use_up_attempts_and_then_nothing_is_asked_any_more(world: World) -> None:
    """Requirement 37."""
    await world.put(replace(BOT, triggers=(Trigger.BUDGET_SPENT,)))
    task = await world.open(budget=pb.Budget(attempts=2))
    await world.push(NIGHT % 'resource.name == "crm.close"')
    for _ in range(2):
        answer = await world.ask(BOT_ITSELF, "crm.close", task_id=task.id)
        assert answer.reason.startswith("denied by no-closing")
    answer = await world.ask(BOT_ITSELF, "crm.close", task_id=task.id)
    assert answer.reason == f"task {task.id} has used up its attempts of crm.close: 2"
    ended = await world.task(task)
    assert (ended.state, ended.state_reason) == (TaskState.REVOKED, "budget_spent")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"task_id": "tsk_1", "action": ""},
        {"task_id": "tsk_1", "action": "x" * 257},
        {"task_id": "tsk_1", "action": "a\nb"},
        {"task_id": "tsk_1", "parameters_digest": "sha-256:short"},
        {"task_id": "tsk_1", "parameters_json": "{"},
        {"task_id": "tsk_1", "parameters_json": "[" * 60000},
        {"task_id": "tsk_1", "parameters_json": '"' + "x" * 2**20 + '"'},
        {"task_id": "tsk_1", "parameters_json": "NaN"},
        {"task_id": "tsk_1", "call_id": "x" * 257},
    ],
)
async def test_a_malformed_question_is_no_call_and_leaves_nothing(world: World, said: dict[str, Any]) -> None:
    sequence = world.store.sequence
    assert await refused(world.ask(BOT_ITSELF, **said)) is grpc.StatusCode.INVALID_ARGUMENT
    assert world.store.sequence == sequence


async def test_parameters_are_nowhere_but_their_digest(world: World) -> None:
    task = await world.open()
    await world.ask(BOT_ITSELF, task_id=task.id, parameters_json='{"note":"swordfish"}')
    events, _ = await world.store.read(lambda tx: tx.events.find(Page(), task_id=task.id))
    decisions, _ = await world.store.read(lambda tx: tx.governed.find(DECISION, (), Page()))
    assert "swordfish" not in repr((events, decisions))
    called = [one for one in events if one.type is EventType.TASK_CHANGED]
    assert [one.details["decision_id"] for one in called] == [decisions[-1].decision_id]


async def test_customers_are_whom_others_than_the_workload_said(world: World) -> None:
    mine = await world.open(constraints='{"allowed_customers":["globex"]}')
    given = pb.OpenRequest(
        intent=mine.intent, authorization_details=mine.authorization_details, constraints=mine.constraints
    )
    theirs = await world.operator.Open(pb.OperatorOpenRequest(principal="bot", task=given))
    said = [
        (await world.decision(await world.ask(BOT_ITSELF, task_id=one.id))).inputs["question"]["context"]
        for one in (mine, theirs)
    ]
    assert ("customer" in said[0], said[1].get("customer")) == (False, "globex")


async def test_an_operator_asks_as_an_instance_would(world: World) -> None:
    task = await world.open()
    request = pb.DecideRequest(task_id=task.id, action="crm.read")
    answer = await world.operator.Decide(pb.OperatorDecideRequest(request=request))
    assert answer.effect == "allow"
    assert (await world.decision(answer)).inputs["question"]["context"]["instance"] == ME
    wrong = pb.OperatorDecideRequest(request=request, instance="spiffe://example.org/principal/other")
    assert (await world.operator.Decide(wrong)).effect == "deny"


async def test_a_suspended_principal_calls_nothing(world: World) -> None:
    task = await world.open()
    jti = await world.token(task)
    await world.put(replace(BOT, state=PrincipalState.SUSPENDED))
    answer = await world.ask(GUARDING, jti=jti)
    assert "principal-not-active" in (await world.decision(answer)).policies


async def test_a_revoked_token_calls_nothing_though_its_task_goes_on(world: World) -> None:
    task = await world.open()
    jti, other = await world.token(task), await world.token(task)
    credential = await world.store.read(lambda tx: tx.governed.get(CREDENTIAL, jti))
    assert credential is not None
    await world.put(replace(credential, revoked_at=1, cause="asked"))
    assert (await world.ask(GUARDING, jti=jti)).reason == "the token has ended: asked"
    assert (await world.ask(GUARDING, jti=other)).effect == "allow"
    await world.tasks.revoke(task.id, "over", By("local:0"))
    assert (await world.ask(GUARDING, jti=other)).effect == "deny"


async def test_what_operators_doubt_counts_at_every_point(world: World) -> None:
    """A quarantine refuses under any policy; a risk score is an input, and the greater of what is said counts."""
    task = await world.open()
    jti = await world.token(task)
    await world.put(replace(BOT, risk_score=70))
    answer = await world.ask(GUARDING, jti=jti)
    assert (answer.effect, answer.advice) == ("needs_approval", "ask the task's owner for approval")
    await world.put(replace(BOT, quarantined=True))
    answer = await world.ask(GUARDING, jti=jti)
    assert (answer.effect, (await world.decision(answer)).policies) == ("deny", ("in-quarantine",))
    assert await refused(world.open()) is grpc.StatusCode.PERMISSION_DENIED
    assert await refused(world.token(task)) is grpc.StatusCode.PERMISSION_DENIED
    await world.put(BOT)
    assert (await world.ask(GUARDING, jti=jti)).effect == "allow"
