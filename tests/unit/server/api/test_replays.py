"""assay.ledger.v1.Replays over real gRPC: a task page by page, and what is wrong with its decisions."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from tests.unit.server.api.test_policy import ALICE, BOT, CRM, FILES, READ, WRITE, key

from assay.governed.authority import Access
from assay.rpc.method import Service
from assay.testing.clock import FakeClock
from assay.wire.service import served
from assay_proto.ledger.v1 import replay_pb2 as pb
from assay_proto.ledger.v1.replay_pb2_grpc import ReplaysStub
from assay_server.api.replays import ReplaysApi
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.driftsweep import DriftSweep
from assay_server.governance.explaining import Replays
from assay_server.governance.opening import Opener, Terms
from assay_server.governance.policies import Policies
from assay_server.governance.policystore import PolicyStore
from assay_server.governance.refusal import DecisionRefusedError
from assay_server.governance.task_request import TaskRequest
from assay_server.governance.tasks import By, TaskService
from assay_server.model.governed.catalogue import RESOURCE, TOOL
from assay_server.model.governed.decision import DECISION, Decision
from assay_server.model.governed.owner import OWNER
from assay_server.model.governed.policybundle import POLICY_BUNDLE
from assay_server.model.governed.principal import PRINCIPAL
from assay_server.model.governed.task import Intent, Task
from assay_server.policy.inputs import inputs_hash

if TYPE_CHECKING:
    from assay_proto.ledger.v1.replay_pb2_grpc import ReplaysAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]
ME = "spiffe://example.org/principal/bot"
OPERATOR = By("local:0")


@pytest.fixture
async def stub(serve: Serve, store: Store) -> "ReplaysAsyncStub":
    service = served(pb.DESCRIPTOR.services_by_name["Replays"], ReplaysApi(Replays(store)))
    return ReplaysStub(await serve(service, Caller(CallerKind.LOCAL)))


@pytest.fixture
async def tasks(store: Store, clock: FakeClock) -> TaskService:
    objects = [(OWNER, ALICE), (RESOURCE, CRM), (TOOL, READ), (TOOL, WRITE), (PRINCIPAL, replace(BOT, approvals=()))]

    def write(tx: Transaction) -> None:
        for noun, value in objects:
            tx.governed.put(noun, value)  # type: ignore[arg-type]  # each with its own

    await store.write(write)
    return TaskService(store, clock, Policies(store), Terms("https://issuer.example"))


async def opened(tasks: TaskService, *actions: str) -> Task:
    request = TaskRequest(intent=Intent("answer", document={"goal": "answer"}), authority=(Access(CRM.uri, actions),))
    return await tasks.open(request, Opener(f"workload:{ME}", ME, "bot", ME))


async def told(stub: "ReplaysAsyncStub", task_id: str, size: int = 0) -> list[pb.ExplainTaskResponse]:
    pages = [await stub.Explain(pb.ExplainTaskRequest(task_id=task_id, page_size=size))]
    while token := pages[-1].next_page_token:
        pages.append(await stub.Explain(pb.ExplainTaskRequest(task_id=task_id, page_size=size, page_token=token)))
    return pages


async def replayed(stub: "ReplaysAsyncStub", task_id: str) -> pb.Replay:
    """The task's only decision."""
    ((page,)) = await told(stub, task_id)
    (replay,) = [step.replay for step in page.steps if step.HasField("replay")]
    return replay


async def change(store: Store, task_id: str, made: Callable[[Decision], Decision]) -> None:
    def write(tx: Transaction) -> None:
        (decision,), _ = tx.governed.find(DECISION, [("task", task_id)], Page())
        tx.governed.put(DECISION, made(decision))

    await store.write(write)


async def test_a_task_is_told_in_order_and_page_by_page(stub: "ReplaysAsyncStub", tasks: TaskService) -> None:
    task = await opened(tasks, "crm.read", "crm.write")
    await tasks.complete(task.task_id, OPERATOR)
    (page,) = await told(stub, task.task_id)
    types = [one.type for one in page.steps]
    assert types == ["decision", "decision", "task.opened", "task.ended"]
    assert (page.task.id, page.steps[0].actor, page.steps[3].actor) == (task.task_id, ME, "local:0")
    assert json.loads(page.steps[3].details)["cause"] == "task_completed"
    replays = [one.replay for one in page.steps if one.HasField("replay")]
    assert [(one.same, one.recorded.effect, one.replayed.ttl) for one in replays] == [(True, "allow", 300)] * 2
    for size in (1, 2, 3, 4):
        pages = await told(stub, task.task_id, size)
        assert [step.type for one in pages for step in one.steps] == types


async def test_each_decision_is_replayed_by_the_version_that_made_it(
    stub: "ReplaysAsyncStub", tasks: TaskService, store: Store, clock: FakeClock
) -> None:
    before = await opened(tasks, "crm.read")
    await PolicyStore(store, clock, key).push(FILES, "", "", "local:0")  # no CRM for this bot
    with pytest.raises(DecisionRefusedError) as refused:
        await opened(tasks, "crm.read")
    old, new = await replayed(stub, before.task_id), await replayed(stub, refused.value.decision.task_id)
    assert (old.same, old.replayed.effect, old.replayed.policy_version) == (True, "allow", 0)
    assert (new.same, new.replayed.effect, new.replayed.policy_version) == (True, "deny", 1)
    (page,) = await told(stub, refused.value.decision.task_id)
    assert not page.HasField("task")


async def test_what_ended_a_task_by_drift_is_replayed_as_well(
    stub: "ReplaysAsyncStub", tasks: TaskService, store: Store, clock: FakeClock
) -> None:
    task = await opened(tasks, "crm.read")
    await PolicyStore(store, clock, key).push(FILES, "", "", "local:0")
    clock.advance(30)
    assert (await DriftSweep(store, Policies(store), clock).sweep(None)).revoked == 1
    (page,) = await told(stub, task.task_id)
    replays = [one.replay for one in page.steps if one.HasField("replay")]
    assert [(one.same, one.replayed.effect, one.replayed.policy_version) for one in replays] == [
        (True, "allow", 0),
        (True, "deny", 1),
    ]
    assert json.loads(page.steps[-1].details)["cause"].startswith("policy_drift")


PERMITTED = "permitted by within-the-task"


@pytest.mark.parametrize(
    ("changes", "differences"),
    [
        ({"ttl": 9000}, {("ttl", "300", "9000", True), ("ttl", "9000", "300", False)}),
        ({"reason": "x"}, {("reason", PERMITTED, "x", True), ("reason", "x", PERMITTED, False)}),
        ({"advice": "x"}, {("advice", "x", "", False)}),
    ],
)
async def test_a_record_that_was_altered_is_loud(
    stub: "ReplaysAsyncStub", tasks: TaskService, store: Store, changes: dict[str, Any], differences: set[Any]
) -> None:
    task = await opened(tasks, "crm.read")
    await change(store, task.task_id, lambda one: replace(one, **changes))
    replay = await replayed(stub, task.task_id)
    assert not replay.same
    assert {(one.field, one.recorded, one.found, one.altered) for one in replay.differences} == differences


async def test_inputs_and_answer_altered_together_are_not_what_the_event_says(
    stub: "ReplaysAsyncStub", tasks: TaskService, store: Store
) -> None:
    """A record that replays well, of inputs that nobody had: only the event can tell."""
    task = await opened(tasks, "crm.read")

    def forged(one: Decision) -> Decision:
        inputs = {**one.inputs, "requested_ttl": 10}
        return replace(one, ttl=10, inputs=inputs, inputs_hash=inputs_hash(inputs))

    await change(store, task.task_id, forged)
    replay = await replayed(stub, task.task_id)
    assert (replay.same, replay.why_not, replay.replayed.ttl) == (False, "", 10)
    assert {one.field for one in replay.differences} == {"ttl", "inputs_hash"}
    assert all(one.altered for one in replay.differences)


async def test_a_bundle_that_is_not_there_is_said(
    stub: "ReplaysAsyncStub", tasks: TaskService, store: Store, clock: FakeClock
) -> None:
    await PolicyStore(store, clock, key).push({"default.cedar": FILES["default.cedar"]}, "", "", "local:0")
    task = await opened(tasks, "crm.read")
    await store.write(lambda tx: tx.governed.delete(POLICY_BUNDLE, "000000001"))
    replay = await replayed(stub, task.task_id)
    assert (replay.same, replay.HasField("replayed"), replay.why_not) == (False, False, "there is no version 1")


async def test_a_record_that_is_gone_and_one_without_an_event_are_said(
    stub: "ReplaysAsyncStub", tasks: TaskService, store: Store
) -> None:
    task = await opened(tasks, "crm.read")
    (kept,), _ = await store.read(lambda tx: tx.governed.find(DECISION, [("task", task.task_id)], Page()))

    def write(tx: Transaction) -> None:
        tx.governed.delete(DECISION, kept.decision_id)
        tx.governed.put(DECISION, replace(kept, decision_id="dec_added"))

    await store.write(write)
    pages = await told(stub, task.task_id, 1)
    replay = pages[0].steps[0].replay
    assert (replay.same, replay.HasField("recorded"), replay.why_not) == (False, False, "the record of it is gone")
    assert [one for page in pages for one in page.untold_decisions] == ["dec_added"]


async def test_what_never_was_is_not_found(stub: "ReplaysAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await told(stub, "tsk_none")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await told(stub, "")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
