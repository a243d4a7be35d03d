"""assay.policy.v1.Policies over real gRPC: versions, a decision told again, and what another set would change."""

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest

from assay.crypto.keys import generate
from assay.governed.authority import Access
from assay.keymanager.base import KeyType, SigningKey
from assay.rpc.method import Service
from assay.testing.clock import FakeClock
from assay.wire.service import served
from assay_proto.policy.v1 import policy_pb2 as pb
from assay_proto.policy.v1.policy_pb2_grpc import PoliciesStub
from assay_server.api.policy import PolicyApi
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.deciding import facts_of, recorded
from assay_server.governance.policies import Policies
from assay_server.governance.policyreview import PolicyReview
from assay_server.governance.policystore import PolicyStore
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.decision import DECISION, DecisionRequest, Point
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.policybundle import POLICY_BUNDLE
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import TASK, Intent, Task, TaskState
from assay_server.policy.engine import shipped, shipped_text
from assay_server.policy.inputs import inputs_hash

if TYPE_CHECKING:
    from assay_proto.policy.v1.policy_pb2_grpc import PoliciesAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

OWN = """
@id("no-crm-for-bots")
@reason("bots do not read the CRM")
forbid (principal == Assay::Workload::"bot", action, resource == Assay::Tool::"crm.read");
"""
FILES = {"default.cedar": shipped_text("default.cedar"), "own.cedar": OWN}
ALICE = Owner("person:alice@corp")
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
WRITE = replace(READ, name="crm.write")
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read", "crm.write"),
    state=PrincipalState.ACTIVE,
)  # fmt: skip
KEY = generate(KeyType.EC_P256)


def task_of(name: str, now: int, *actions: str) -> Task:
    return Task(
        name, "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (Access(CRM.uri, actions),), "", "",
        "operator:local", now, now + 600,
    )  # fmt: skip


async def key() -> SigningKey:
    return KEY


@pytest.fixture
async def stub(serve: Serve, store: Store, clock: FakeClock) -> "PoliciesAsyncStub":
    api = PolicyApi(PolicyStore(store, clock, key), Policies(store), PolicyReview(store, clock))
    service = served(pb.DESCRIPTOR.services_by_name["Policies"], api)
    return PoliciesStub(await serve(service, Caller(CallerKind.LOCAL)))


async def fill(store: Store, now: int) -> str:
    """Principals and tasks, and a decision that was recorded; its ID."""
    tasks = [task_of("tsk_1", now, "crm.read"), task_of("tsk_2", now, "crm.write"), task_of("tsk_3", now, "crm.read")]
    objects = [
        (OWNER, ALICE), (RESOURCE, CRM), (TOOL, READ), (TOOL, WRITE), (PRINCIPAL, BOT), (TASK, tasks[0]),
        (TASK, tasks[1]), (TASK, replace(tasks[2], state=TaskState.COMPLETED)),
    ]  # fmt: skip

    def write(tx: Transaction) -> str:
        for noun, value in objects:
            tx.governed.put(noun, value)  # type: ignore[arg-type]  # each with its own
        (facts,) = facts_of(tx, tasks[0], BOT, ["crm.read"])
        asked = DecisionRequest(
            Point.ISSUE, now, BOT, facts.owner, "spiffe://a/b", tasks[0], facts.tool, facts.resource, CRM.uri,
            confirmed=True,
        )  # fmt: skip
        return recorded(tx, shipped(), asked, "spiffe://a/b").decision_id

    return await store.write(write)


async def test_versions_are_pushed_listed_got_and_rolled_back(stub: "PoliciesAsyncStub") -> None:
    live = await stub.Live(pb.LiveRequest())
    assert (live.bundle.version, live.bundle.live, live.highest_version, live.unusable) == (0, True, 0, "")
    pushed = (await stub.Push(pb.PushRequest(files=FILES))).bundle
    assert (pushed.version, pushed.live, pushed.pushed_by) == (1, True, f"local:{os.getuid()}")
    assert pushed.signer.startswith("sha-256:")
    got = await stub.Get(pb.GetRequest(version=1))
    assert (dict(got.files), got.live) == (FILES, True)
    back = await stub.Rollback(pb.RollbackRequest())
    assert (back.bundle.version, back.previous_version) == (0, 1)
    (listed,) = (await stub.List(pb.ListRequest())).bundles
    assert (listed.version, listed.live, dict(listed.files)) == (1, False, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '@id("x") forbid (principal, action, resource) when { context.riskScroe > 1 };',
            "own.cedar:1: attribute `riskScroe` in context not found; did you mean riskScore?",
        ),
        ('@id("x") permit (principal, action, resource);', '"x" allows irreversible tools without approval'),
    ],
)
async def test_what_is_not_taken_says_why(stub: "PoliciesAsyncStub", text: str, message: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Push(pb.PushRequest(files={"own.cedar": text}))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in str(refused.value.details())


async def test_a_decision_is_told_again(stub: "PoliciesAsyncStub", store: Store, clock: FakeClock) -> None:
    decision_id = await fill(store, int(clock.now().timestamp()))
    told = await stub.Explain(pb.ExplainRequest(decision_id=decision_id))
    assert (told.decision.id, told.decision.effect, told.decision.ttl, told.same) == (decision_id, "allow", 300, True)
    assert list(told.policy_texts) == ["within-the-task"]
    assert told.policy_texts["within-the-task"].startswith('@id("within-the-task")')
    assert json.loads(told.inputs)["question"]["context"]["audience"] == CRM.uri
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Explain(pb.ExplainRequest(decision_id="dec_other"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_record_without_inputs_is_told_as_far_as_it_goes(
    stub: "PoliciesAsyncStub", store: Store, clock: FakeClock
) -> None:
    decision_id = await fill(store, int(clock.now().timestamp()))

    def change(tx: Transaction) -> None:
        decision = tx.governed.get(DECISION, decision_id)
        assert decision is not None
        tx.governed.put(DECISION, replace(decision, inputs={}))

    await store.write(change)
    told = await stub.Explain(pb.ExplainRequest(decision_id=decision_id))
    assert (told.same, told.HasField("replayed"), told.decision.effect) == (False, False, "allow")
    assert told.why_not_replayed.endswith("they were altered")


async def test_a_record_that_was_changed_gives_another_answer(
    stub: "PoliciesAsyncStub", store: Store, clock: FakeClock
) -> None:
    decision_id = await fill(store, int(clock.now().timestamp()))

    def change(tx: Transaction) -> None:
        decision = tx.governed.get(DECISION, decision_id)
        assert decision is not None
        context = {**decision.inputs["question"]["context"], "confirmed": False}
        inputs = {**decision.inputs, "question": {**decision.inputs["question"], "context": context}}
        # Whoever alters inputs can alter their digest as well.
        tx.governed.put(DECISION, replace(decision, inputs=inputs, inputs_hash=inputs_hash(inputs)))

    await store.write(change)
    told = await stub.Explain(pb.ExplainRequest(decision_id=decision_id))
    assert (told.same, told.replayed.effect) == (False, "deny")


async def test_live_tasks_that_another_set_would_change_are_named(
    stub: "PoliciesAsyncStub", store: Store, clock: FakeClock
) -> None:
    await fill(store, int(clock.now().timestamp()))
    answer = await stub.Diff(pb.DiffRequest(files=FILES))
    (change,) = answer.changes
    assert (answer.tasks, change.task_id, change.principal, change.tool) == (2, "tsk_1", "bot", "crm.read")
    assert (change.before.effect, change.after.effect) == ("allow", "deny")
    assert change.after.reason == "denied by no-crm-for-bots: bots do not read the CRM"
    assert (await stub.Live(pb.LiveRequest())).bundle.version == 0
    same = {"default.cedar": FILES["default.cedar"] + "\n// the same"}
    assert not (await stub.Diff(pb.DiffRequest(files=same))).changes


async def test_a_bundle_that_cannot_be_used_is_said_to_be_so(stub: "PoliciesAsyncStub", store: Store) -> None:
    await stub.Push(pb.PushRequest(files=FILES))

    def spoil(tx: Transaction) -> None:
        bundle = tx.governed.get(POLICY_BUNDLE, "000000001")
        assert bundle is not None
        tx.governed.put(POLICY_BUNDLE, replace(bundle, files={}))

    await store.write(spoil)
    assert "not what was signed" in (await stub.Live(pb.LiveRequest())).unusable
