"""What is over goes after its time, and nothing else: what the ledger tells of can be asked for as long as it does."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from assay.testing.clock import FakeClock
from assay_server.datastore.base import ChangeKind, Page, Store
from assay_server.governance.pruning import AT_ONCE, CREDENTIAL_KEPT, INTERVAL, Pruning
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.task import CREDENTIAL, TASK, TaskState

World = Any  # the fixture's, of conftest.py
DAY = 24 * 3600


@pytest.fixture
def pruning(store: Store, clock: FakeClock) -> Pruning:
    return Pruning(store, clock, DAY)


async def test_a_credential_goes_an_hour_after_its_end(
    world: World, tasks: TaskService, pruning: Pruning, clock: FakeClock
) -> None:
    task = await tasks.open(world.request(), world.opener)
    await world.put(*(world.credential(task, f"in {ends}", expires_at=world.now + ends) for ends in (10, 11)))
    clock.advance(10 + CREDENTIAL_KEPT - 1)
    assert await pruning.prune() == {}
    clock.advance(1)
    assert await pruning.prune() == {"credential": 1}
    assert [await world.get(CREDENTIAL, f"in {ends}") is None for ends in (10, 11)] == [True, False]


async def test_all_that_are_due_go_in_small_transactions_of_one_change_each(
    world: World, tasks: TaskService, pruning: Pruning, store: Store, clock: FakeClock
) -> None:
    task = await tasks.open(world.request(), world.opener)
    many = [world.credential(task, f"crd_{number}", expires_at=world.now + 1) for number in range(2 * AT_ONCE + 1)]
    await world.put(*many)
    clock.advance(1 + CREDENTIAL_KEPT)
    before = store.sequence
    assert await pruning.prune() == {"credential": len(many)}
    changes = await store.read(lambda tx: tx.changes.since(before, 100))
    assert [(one.kind, one.object_id) for one in changes or ()] == [(ChangeKind.GOVERNED, "credential/")] * 3
    assert await store.read(lambda tx: tx.governed.count(CREDENTIAL, [("task", task.task_id)])) == 0


async def test_a_task_goes_when_its_end_is_long_over_whatever_its_end_was(
    world: World, tasks: TaskService, pruning: Pruning, clock: FakeClock
) -> None:
    done, revoked, kept = [await tasks.open(world.request(), world.opener) for _ in range(3)]
    await tasks.complete(done.task_id, world.mine)
    await tasks.revoke(revoked.task_id, "no longer wanted", world.operator)
    clock.advance(DAY - 1)
    assert await pruning.prune() == {}
    clock.advance(1)
    assert await pruning.prune() == {"task": 2}
    assert [await world.get(TASK, one.task_id) is None for one in (done, revoked, kept)] == [True, True, False]
    assert [event.subject for event in await world.events(done.task_id)][-1] == done.task_id


async def test_a_task_in_a_state_that_is_not_known_stays(
    world: World, tasks: TaskService, pruning: Pruning, clock: FakeClock
) -> None:
    task = await tasks.open(world.request(), world.opener)
    await world.put(replace(task, state=TaskState.UNKNOWN))
    clock.advance(100 * DAY)
    assert await pruning.prune() == {}


async def test_a_decision_goes_when_the_ledger_does_not_tell_of_it_any_more(
    world: World, tasks: TaskService, pruning: Pruning, store: Store, clock: FakeClock
) -> None:
    await tasks.open(world.request(), world.opener)
    [told], _ = await store.read(lambda tx: tx.governed.find(DECISION, [], Page()))
    assert await pruning.prune() == {}
    untold = replace(told, decision_id="dec_old", at=told.at - 1)
    await store.write(lambda tx: tx.governed.forget(DECISION, [told.decision_id]))
    for one in (untold, told):
        await store.write(lambda tx, one=one: tx.governed.put(DECISION, one))  # type: ignore[misc]
    assert await pruning.prune() == {}  # no event has gone since it looked
    assert await Pruning(store, clock, DAY).prune() == {"decision": 1}
    assert await world.get(DECISION, told.decision_id) == told


async def test_it_prunes_every_minute(world: World, tasks: TaskService, pruning: Pruning, clock: FakeClock) -> None:
    task = await tasks.open(world.request(), world.opener)
    await world.put(world.credential(task, "one", expires_at=world.now + 1))
    running = asyncio.get_running_loop().create_task(pruning.run())
    await clock.wait_sleepers()
    clock.advance(1 + CREDENTIAL_KEPT + INTERVAL)
    await clock.wait_sleepers()
    running.cancel()
    assert await world.get(CREDENTIAL, "one") is None
