"""Tasks in a real store: narrowed, held, counted and ended, with what they handed out."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from assay.governed.authority import Access
from assay_server.datastore.base import Page, Store
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.ending import end_tasks, endable_tasks
from assay_server.governance.narrowing import BroaderError, Narrowing
from assay_server.governance.task_state import InactiveTaskError
from assay_server.governance.tasks import By, Caller, TaskService
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import Trigger
from assay_server.model.governed.task import CREDENTIAL, TASK, Budget, Task, TaskState

World = Any  # the fixture's, of conftest.py
READ_ONLY = Narrowing(authority=(Access("https://crm/mcp", ("crm.read",)),))


@pytest.fixture
async def task(world: World, tasks: TaskService) -> Task:
    return await tasks.open(world.request("crm.read", "crm.refund"), world.opener)


async def kinds(world: World, task: Task) -> list[EventType]:
    return [one.type for one in await world.events(task.task_id) if one.type is not EventType.DECISION]


async def test_a_task_is_nobody_elses(world: World, tasks: TaskService, task: Task) -> None:
    stranger = By(callers=(Caller("other", world.me),))
    for by in (world.twins, stranger, By()):
        sequence = world.store.sequence
        for ask in (
            tasks.get(task.task_id, by),
            tasks.show(task.task_id, by),
            tasks.narrow(task.task_id, READ_ONLY, by),
            tasks.complete(task.task_id, by),
            tasks.heartbeat(task.task_id, by),
            tasks.spend(task.task_id, "crm.read", by),
            tasks.failed(task.task_id, "crm.read", by),
        ):
            with pytest.raises(NotFoundError) as refused:
                await ask
            with pytest.raises(NotFoundError) as unknown:
                await tasks.get("tsk_none", by)
            assert refused.value.message.replace(task.task_id, "tsk_none") == unknown.value.message
        assert world.store.sequence == sequence


async def test_a_task_without_instance_is_any_copys(world: World, tasks: TaskService) -> None:
    task = await tasks.open(world.request(), replace(world.opener, instance=""))
    assert await tasks.own(world.twins.callers) == await tasks.own(world.mine.callers) == [task]
    done = await tasks.complete(task.task_id, world.twins)
    assert done.state is TaskState.COMPLETED
    assert (await world.events(task.task_id))[-1].actor == world.twin


async def test_narrowing_revokes_what_had_more_and_leaves_what_had_not(
    world: World, tasks: TaskService, task: Task
) -> None:
    other = replace(task, authority=(*task.authority, Access("https://erp", ("erp.post",))))
    await world.put(other, world.credential(task, "crm"), world.credential(task, "erp", audience="https://erp"))
    less = await tasks.narrow(
        task.task_id,
        Narrowing(authority=(Access("https://crm/mcp", ("crm.read",)), Access("https://erp", ("erp.post",)))),
        world.mine,
    )
    assert less.authority[0].actions == ("crm.read",)
    assert (await world.get(CREDENTIAL, "crm")).cause == "task_narrowed"
    assert (await world.get(CREDENTIAL, "erp")).live(world.now)
    with pytest.raises(BroaderError):
        await tasks.narrow(task.task_id, Narrowing(authority=task.authority), world.mine)
    ends_at = task.ends_at - 10
    await tasks.narrow(task.task_id, Narrowing(ends_at=ends_at), world.mine)
    assert not (await world.get(CREDENTIAL, "erp")).live(world.now)
    assert await kinds(world, task) == [
        EventType.TASK_OPENED,
        EventType.TASK_CHANGED,
        EventType.REVOCATION,
        EventType.TASK_CHANGED,
        EventType.REVOCATION,
    ]


async def test_tasks_below_that_have_more_than_is_left_end(world: World, tasks: TaskService, task: Task) -> None:
    reader = await tasks.open(world.request("crm.read", parent=task.task_id), world.opener)
    refunder = await tasks.open(world.request("crm.refund", parent=task.task_id), world.opener)
    await world.put(world.credential(refunder, "below"))
    await tasks.narrow(task.task_id, READ_ONLY, world.mine)
    assert (await tasks.get(reader.task_id, world.mine)).active(world.now)
    over = await tasks.get(refunder.task_id, world.mine)
    assert (over.state, over.state_reason) == (TaskState.REVOKED, "task_narrowed")
    assert (await world.get(CREDENTIAL, "below")).cause == "task_narrowed"


async def test_an_end_ends_all_below_and_all_that_was_handed_out(world: World, tasks: TaskService, task: Task) -> None:
    below = await tasks.open(world.request("crm.read", parent=task.task_id), world.opener)
    lowest = await tasks.open(world.request("crm.read", parent=below.task_id), world.opener)
    await world.put(*(world.credential(one, one.task_id) for one in (task, below, lowest)))
    await world.put(world.credential(task, "spent", expires_at=world.now))
    done = await tasks.complete(task.task_id, world.mine)
    assert (done.state, done.state_reason, done.ended_at) == (TaskState.COMPLETED, "task_completed", world.now)
    for one in (below, lowest):
        assert (await tasks.get(one.task_id, world.mine)).state_reason == "parent_ended"
    for one in (task, below, lowest):
        credential = await world.get(CREDENTIAL, one.task_id)
        assert (credential.revoked_at, credential.live(world.now)) == (world.now, False)
    assert (await world.get(CREDENTIAL, "spent")).revoked_at == 0
    revocation, ended = (await world.events(lowest.task_id))[-2:]
    assert (revocation.type, revocation.details) == (
        EventType.REVOCATION,
        {"cause": "parent_ended", "credentials": [lowest.task_id]},
    )
    assert (ended.type, ended.details["credentials"], ended.actor) == (EventType.TASK_ENDED, 1, world.me)
    assert await tasks.complete(task.task_id, world.mine) == done
    with pytest.raises(InactiveTaskError):
        await tasks.narrow(task.task_id, READ_ONLY, world.mine)


async def test_tasks_that_were_read_before_end_as_they_are_now(world: World, tasks: TaskService, task: Task) -> None:
    stale = task
    await tasks.narrow(task.task_id, READ_ONLY, world.mine)
    await world.store.write(lambda tx: end_tasks(tx, [stale, stale], "owner_left", "assay:sweep", world.now))
    over = await tasks.get(task.task_id, world.mine)
    assert (over.state, over.state_reason, over.authority) == (TaskState.REVOKED, "owner_left", READ_ONLY.authority)
    assert (await kinds(world, task)).count(EventType.TASK_ENDED) == 1


async def test_a_held_task_has_no_credentials_and_permits_nothing_until_it_goes_on(
    world: World, tasks: TaskService, task: Task
) -> None:
    await world.put(world.credential(task, "held"))
    held = await tasks.suspend(task.task_id, "under review", world.operator)
    assert (held.state, held.state_reason) == (TaskState.SUSPENDED, "under review")
    assert (await world.get(CREDENTIAL, "held")).cause == "task_suspended"
    for ask in (tasks.spend(task.task_id, "crm.read", world.mine), tasks.complete(task.task_id, world.mine)):
        with pytest.raises(InactiveTaskError, match=r"suspended \(under review\)"):
            await ask
    assert (await tasks.resume(task.task_id, world.operator)).active(world.now)
    with pytest.raises(InactiveTaskError):
        await tasks.resume(task.task_id, world.operator)
    await tasks.suspend(task.task_id, "", world.operator)
    assert (await tasks.revoke(task.task_id, "", world.operator)).state_reason == "revoked"


async def test_a_task_in_a_state_of_the_future_permits_nothing(world: World, tasks: TaskService, task: Task) -> None:
    await world.put(replace(task, state=TaskState.UNKNOWN))
    for ask in (
        tasks.spend(task.task_id, "crm.read", world.mine),
        tasks.heartbeat(task.task_id, world.mine),
        tasks.complete(task.task_id, world.mine),
        tasks.narrow(task.task_id, READ_ONLY, world.mine),
        tasks.suspend(task.task_id, "", world.operator),
    ):
        with pytest.raises(InactiveTaskError, match="not known"):
            await ask
    assert (await tasks.revoke(task.task_id, "cleanup", world.operator)).state is TaskState.REVOKED


async def test_a_task_in_a_state_of_the_future_ends_with_what_it_stands_on_and_counts_until_then(
    world: World, task: Task, store: Store
) -> None:
    held = replace(task, state=TaskState.UNKNOWN)
    below = replace(held, task_id="tsk_below", parent=task.task_id)
    await world.put(held, below)
    for term in (("principal", "bot"), ("owner", task.owner), ("tool", "crm.read"), ("tenant", task.tenant)):
        found = await store.read(lambda tx, term=term: endable_tasks(tx, term))  # type: ignore[misc]
        assert {one.task_id for one in found} == {task.task_id, "tsk_below"}
    await store.write(lambda tx: end_tasks(tx, [held], "cleanup", "local:0", world.now))
    assert (await world.get(TASK, "tsk_below")).state is TaskState.REVOKED
    assert await store.read(lambda tx: endable_tasks(tx, ("principal", "bot"))) == []


async def test_a_heartbeat_keeps_a_task_until_one_is_missed(world: World, tasks: TaskService) -> None:
    await world.put(replace(world.bot, heartbeat=10))
    task = await tasks.open(world.request(heartbeat=60), world.opener)
    assert task.heartbeat == 10
    assert (await tasks.open(world.request(heartbeat=5), world.opener)).heartbeat == 5
    for _ in range(3):
        world.clock.advance(9)
        task = await tasks.heartbeat(task.task_id, world.mine)
    assert task.active(world.now)
    world.clock.advance(10)
    with pytest.raises(InactiveTaskError, match="missed its heartbeat"):
        await tasks.heartbeat(task.task_id, world.mine)


async def test_calls_are_counted_exactly_when_many_come_at_once(world: World, tasks: TaskService) -> None:
    budget = Budget(calls=10, calls_by_action={"crm.refund": 3})
    task = await tasks.open(world.request("crm.read", "crm.refund", budget=budget), world.opener)
    asked = [tasks.spend(task.task_id, "crm.refund" if n % 2 else "crm.read", world.mine) for n in range(32)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    granted = [one for one in answers if isinstance(one, Task)]
    assert len(granted) == 10
    assert all(isinstance(one, BudgetSpentError) for one in answers if not isinstance(one, Task))
    after = await tasks.get(task.task_id, world.mine)
    assert after.used.calls == 10
    assert after.used.calls_by_action["crm.refund"] <= 3
    assert sum(after.used.calls_by_action.values()) == 10
    assert sum(after.used.attempts.values()) == 22
    assert after.active(world.now)
    exceeded = [one for one in await world.events(task.task_id) if one.details.get("change") == "budget_exceeded"]
    assert len(exceeded) == 22


async def test_a_spent_budget_ends_the_task_where_that_is_a_trigger(world: World, tasks: TaskService) -> None:
    await world.put(replace(world.bot, triggers=(Trigger.BUDGET_SPENT,)))
    task = await tasks.open(world.request(budget=Budget(calls=1)), world.opener)
    await world.put(world.credential(task, "last"))
    await tasks.spend(task.task_id, "crm.read", world.mine)
    assert (await tasks.get(task.task_id, world.mine)).active(world.now)
    with pytest.raises(BudgetSpentError):
        await tasks.spend(task.task_id, "crm.read", world.mine)
    over = await tasks.get(task.task_id, world.mine)
    assert (over.state, over.state_reason) == (TaskState.REVOKED, "budget_spent")
    assert (await world.get(CREDENTIAL, "last")).cause == "budget_spent"
    with pytest.raises(InactiveTaskError):
        await tasks.spend(task.task_id, "crm.read", world.mine)


async def test_attempts_that_fail_use_up_the_attempts_of_their_action(world: World, tasks: TaskService) -> None:
    task = await tasks.open(world.request("crm.read", "crm.refund", budget=Budget(attempts=2)), world.opener)
    for _ in range(2):
        await tasks.failed(task.task_id, "crm.refund", world.mine)
    with pytest.raises(BudgetSpentError, match="attempts"):
        await tasks.spend(task.task_id, "crm.refund", world.mine)
    await tasks.spend(task.task_id, "crm.read", world.mine)
    with pytest.raises(PermissionDeniedError):
        await tasks.spend(task.task_id, "crm.delete", world.mine)


async def test_what_a_task_below_uses_is_used_of_the_task_above(world: World, tasks: TaskService) -> None:
    task = await tasks.open(world.request(budget=Budget(calls=3)), world.opener)
    children = [
        await tasks.open(world.request(budget=Budget(calls=3), parent=task.task_id), world.opener) for _ in range(2)
    ]
    asked = [tasks.spend(children[n % 2].task_id, "crm.read", world.mine) for n in range(8)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, Task) for one in answers) == 3
    assert (await tasks.get(task.task_id, world.mine)).used.calls == 3


async def test_tasks_are_found_by_what_they_are(world: World, tasks: TaskService, task: Task) -> None:
    other = await tasks.open(world.request("crm.read"), world.opener)
    await tasks.complete(other.task_id, world.mine)

    async def found(*terms: tuple[str, str]) -> list[str]:
        return [one.task_id for one in (await tasks.find(terms, Page()))[0]]

    assert await found() == [task.task_id, other.task_id]
    assert await found(("state", "active")) == [task.task_id]
    assert await found(("tool", "crm.read"), ("owner", "person:alice@corp")) == [task.task_id, other.task_id]
    assert await found(("tool", "crm.refund")) == [task.task_id]
    assert await found(("instance", world.twin)) == []
    page, token = await tasks.find((), Page(1))
    assert ([one.task_id for one in page], bool(token)) == ([task.task_id], True)
    with pytest.raises(InvalidArgumentError):
        await tasks.find((), Page(1, "x"))


async def test_an_owner_sees_what_was_decided_used_and_handed_out(
    world: World, tasks: TaskService, task: Task, store: Store
) -> None:
    await world.put(world.credential(task, "one"))
    record = await tasks.show(task.task_id, world.operator)
    assert (record.task, [one.jti for one in record.credentials], record.children) == (task, ["one"], ())
    assert [tool for tool, _ in record.decisions] == ["crm.read", "crm.refund"]
    assert await store.read(lambda tx: tx.governed.count(TASK, [("state", "active")])) == 1
