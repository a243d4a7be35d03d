"""Opening: what is registered is looked at, policy decides, and what is refused leaves no task."""

import json
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import (
    AlreadyExistsError,
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from assay.governed.authority import Access
from assay.governed.digest import authority_hash, intent_hash
from assay_server.governance.narrowing import BroaderError
from assay_server.governance.opening import MAX_ACTIVE, MAX_DEPTH
from assay_server.governance.refusal import DecisionRefusedError
from assay_server.governance.task_request import intent_of
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.event import EventType
from assay_server.model.governed.owner import OwnerState
from assay_server.model.governed.principal import ActorType, PrincipalState
from assay_server.model.governed.task import TASK, Budget, TaskState

World = Any  # the fixture's, of conftest.py


async def test_a_task_is_what_was_asked_for_with_its_hashes_and_its_decisions(world: World, tasks: TaskService) -> None:
    request = world.request("crm.read", "crm.refund", data_classes=("tickets",))
    task = await tasks.open(request, world.opener)
    assert task.active(world.now)
    assert (task.principal, task.instance, task.owner, task.tenant) == ("bot", world.me, "person:alice@corp", "acme")
    assert task.intent_hash == intent_hash("https://issuer.example", {"goal": "answer ticket 7"})
    assert task.authority_hash == authority_hash("https://issuer.example", request.authority)
    assert task.trigger == f"workload:{world.me}"
    assert await tasks.get(task.task_id, world.mine) == task
    events = await world.events(task.task_id)
    assert [one.type for one in events] == [EventType.DECISION, EventType.DECISION, EventType.TASK_OPENED]
    assert events[-1].details["decisions"] == [one.subject for one in events[:2]]
    record = await tasks.show(task.task_id, world.operator)
    assert [(tool, one.effect.value) for tool, one in record.decisions] == [
        ("crm.read", "allow"),
        ("crm.refund", "allow"),
    ]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"authority": (Access("https://crm/mcp", ("crm.delete",)),)}, PermissionDeniedError, "no tool of principal"),
        ({"authority": (Access("https://crm/mcp", ("gone.read",)),)}, PermissionDeniedError, "not in the catalogue"),
        ({"authority": (Access("https://crm/mcp", ("other.read",)),)}, PermissionDeniedError, "no tool of https://crm"),
        ({"authority": (Access("https://crm.other/mcp", ("other.read",)),)}, PermissionDeniedError, "tenant"),
        ({"data_classes": ("payroll",)}, PermissionDeniedError, "data class payroll"),
        ({"ends_at": 1}, InvalidArgumentError, "over already"),
        ({"ends_at": -1}, InvalidArgumentError, "over already"),
        ({"budget": Budget(calls=2**60)}, InvalidArgumentError, "out of range"),
        ({"budget": Budget(calls_by_action={"crm.refund": 1})}, InvalidArgumentError, "no action of the task"),
        ({"parent": "tsk_gone"}, NotFoundError, "no task tsk_gone"),
        (
            {"intent": intent_of('{"goal": "x", "resources": ["https://erp"]}')},
            InvalidArgumentError,
            "none that the intent names",
        ),
    ],
)
async def test_what_is_refused_before_policy_is_asked_leaves_nothing(
    world: World, tasks: TaskService, changes: dict[str, Any], kind: type[AssayError], words: str
) -> None:
    sequence = world.store.sequence
    with pytest.raises(kind, match=words):
        await tasks.open(world.request(**changes), world.opener)
    assert world.store.sequence == sequence


async def test_only_an_active_principal_of_a_live_owner_opens_tasks(world: World, tasks: TaskService) -> None:
    for state in set(PrincipalState) - {PrincipalState.ACTIVE}:
        await world.put(replace(world.bot, state=state))
        with pytest.raises(FailedPreconditionError, match=f"is {state.value}"):
            await tasks.open(world.request(), world.opener)
    await world.put(world.bot, replace(world.alice, state=OwnerState.LEFT))
    with pytest.raises(FailedPreconditionError, match="no live owner"):
        await tasks.open(world.request(), world.opener)
    with pytest.raises(NotFoundError):
        await tasks.open(world.request(), replace(world.opener, principal="nobody"))


async def test_a_refusal_by_policy_leaves_its_decision_and_no_task(world: World, tasks: TaskService) -> None:
    await world.put(replace(world.bot, actor_type=ActorType.HUMAN))  # whom the shipped set permits nothing
    with pytest.raises(DecisionRefusedError) as refused:
        await tasks.open(world.request(), world.opener)
    decision = refused.value.decision
    assert await world.get(DECISION, decision.decision_id) == decision
    assert decision.decision_id in str(refused.value)
    assert await world.get(TASK, decision.task_id) is None


@pytest.mark.parametrize(("actor", "cap"), [(ActorType.AI_AGENT, 3600), (ActorType.SERVICE, 8 * 3600)])
async def test_no_task_lasts_longer_than_its_actors_may(
    world: World, tasks: TaskService, actor: ActorType, cap: int
) -> None:
    await world.put(replace(world.bot, actor_type=actor))
    now = world.now
    assert (await tasks.open(world.request(), world.opener)).ends_at == now + cap
    assert (await tasks.open(world.request(ends_at=now + 10**9), world.opener)).ends_at == now + cap
    assert (await tasks.open(world.request(ends_at=now + 60), world.opener)).ends_at == now + 60
    assert (await tasks.open(world.request(budget=Budget(duration=30)), world.opener)).ends_at == now + 30
    intent = intent_of(json.dumps({"goal": "x", "expires_at": "2026-01-01T01:00:20+01:00"}))
    assert (await tasks.open(world.request(intent=intent), world.opener)).ends_at == now + 20


async def test_an_events_task_is_opened_once(world: World, tasks: TaskService) -> None:
    opener = replace(world.opener, instance="", actor="local:0", trigger="")
    first = await tasks.open_for_event(world.request(), opener, "queue", "42")
    assert (first.trigger, first.owner, first.instance) == ("event:queue/42", "person:alice@corp", "")
    await tasks.complete(first.task_id, world.operator)
    again = await tasks.open_for_event(world.request(), opener, "queue", "42")
    assert (again.task_id, again.state) == (first.task_id, TaskState.COMPLETED)
    other = await tasks.open_for_event(world.request(), opener, "queue", "43")
    assert other.task_id != first.task_id
    with pytest.raises(AlreadyExistsError, match=first.task_id):
        await tasks.open_for_event(world.request("crm.refund"), opener, "queue", "42")
    for source, name in (("", "1"), ("q", ""), ("a/b", "1"), ("q", "x" * 300), ("q", "a\nb")):
        with pytest.raises(InvalidArgumentError):
            await tasks.open_for_event(world.request(), opener, source, name)


async def test_a_task_below_another_has_no_more_and_lasts_no_longer(world: World, tasks: TaskService) -> None:
    parent = await tasks.open(world.request("crm.read", ends_at=world.now + 100), world.opener)
    child = await tasks.open(world.request("crm.read", parent=parent.task_id), world.opener)
    assert (child.parent, child.ends_at) == (parent.task_id, parent.ends_at)
    with pytest.raises(BroaderError, match=r"crm\.refund"):
        await tasks.open(world.request("crm.refund", parent=parent.task_id), world.opener)
    with pytest.raises(NotFoundError):
        await tasks.open(world.request(parent=parent.task_id), replace(world.opener, instance=world.twin))
    for _ in range(MAX_DEPTH - 1):
        child = await tasks.open(world.request("crm.read", parent=child.task_id), world.opener)
    with pytest.raises(ResourceExhaustedError):
        await tasks.open(world.request("crm.read", parent=child.task_id), world.opener)
    await tasks.complete(parent.task_id, world.mine)
    assert (await tasks.get(child.task_id, world.mine)).state_reason == "parent_ended"
    with pytest.raises(FailedPreconditionError):
        await tasks.open(world.request("crm.read", parent=parent.task_id), world.opener)


async def test_no_task_stands_below_another_principals(world: World, tasks: TaskService) -> None:
    """A workload is told that there is none; an operator, who sees all of them, whose it is."""
    await world.put(replace(world.bot, name="other"))
    parent = await tasks.open(world.request(), world.opener)
    asked = world.request(parent=parent.task_id)
    workload = replace(world.opener, principal="other", instance="spiffe://example.org/principal/other")
    with pytest.raises(NotFoundError, match=f"no task {parent.task_id}"):
        await tasks.open(asked, workload)
    operator = replace(workload, trigger="operator:local:0", actor="local:0")
    with pytest.raises(PermissionDeniedError, match=r'is of principal "bot", instance .*/bot/one alone'):
        await tasks.open(asked, operator)
    with pytest.raises(PermissionDeniedError, match=r"instance .*/bot/one alone"):
        await tasks.open(asked, replace(operator, principal="bot", instance=world.twin))
    assert await tasks.own(world.twins.callers) == []
    mine = await tasks.open(asked, replace(operator, principal="bot", instance=world.me))
    assert mine.parent == parent.task_id


async def test_an_instance_has_only_so_many_tasks_at_once(world: World, tasks: TaskService) -> None:
    first = await tasks.open(world.request(), world.opener)
    await world.put(*(replace(first, task_id=f"tsk_{number}") for number in range(MAX_ACTIVE - 1)))
    with pytest.raises(ResourceExhaustedError):
        await tasks.open(world.request(), world.opener)
    await tasks.complete(first.task_id, world.mine)
    await tasks.open(world.request(), world.opener)
