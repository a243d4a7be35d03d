"""Time ends tasks: on the second, in any number, and after a restart as well."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.testing.clock import FakeClock
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.governance.taskreconciler import TaskReconciler
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.task import CREDENTIAL, TASK, Task, TaskState

World = Any  # the fixture's, of conftest.py


@asynccontextmanager
async def running(store: SqlStore, clock: FakeClock) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(TaskReconciler(store, clock).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


State = Callable[[Task], Awaitable[tuple[TaskState, str]]]


@pytest.fixture
async def state(world: World) -> State:
    async def read(task: Task) -> tuple[TaskState, str]:
        now = await world.get(TASK, task.task_id)
        return now.state, now.state_reason

    return read


async def test_tasks_end_at_their_time_and_by_silence(
    world: World, tasks: TaskService, store: SqlStore, clock: FakeClock, state: State
) -> None:
    await world.put(replace(world.bot, heartbeat=20))
    async with running(store, clock):
        brief = await tasks.open(world.request(ends_at=world.now + 10), world.opener)
        silent = await tasks.open(world.request(), world.opener)
        alive = await tasks.open(world.request(), world.opener)
        await world.put(world.credential(brief, "brief", expires_at=world.now + 99))
        await clock.wait_sleepers()
        clock.advance(10)
        await has_come_to(state, brief, (TaskState.EXPIRED, "timeout"))
        assert (await world.get(CREDENTIAL, "brief")).cause == "timeout"
        assert await state(silent) == (TaskState.ACTIVE, "")
        await tasks.heartbeat(alive.task_id, world.mine)
        await clock.wait_sleepers()
        clock.advance(10)
        await has_come_to(state, silent, (TaskState.REVOKED, "heartbeat_missed"))
        assert await state(alive) == (TaskState.ACTIVE, "")
        assert (await world.events(brief.task_id))[-1].actor == "assay:tasks"


async def has_come_to(state: State, task: Task, wanted: tuple[TaskState, str]) -> None:
    while await state(task) != wanted:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)  # the store's thread has the next word


async def test_a_held_task_ends_at_its_time_too(
    world: World, tasks: TaskService, store: SqlStore, clock: FakeClock, state: State
) -> None:
    task = await tasks.open(world.request(ends_at=world.now + 10), world.opener)
    await tasks.suspend(task.task_id, "", world.operator)
    clock.advance(10)
    await TaskReconciler(store, clock).reconcile()
    assert await state(task) == (TaskState.EXPIRED, "timeout")


async def test_as_many_as_are_due_end_in_one_go_and_the_pause_is_to_the_next(
    world: World, tasks: TaskService, store: SqlStore, clock: FakeClock
) -> None:
    reconciler = TaskReconciler(store, clock)
    assert await reconciler.reconcile() == 60
    first = await tasks.open(world.request(ends_at=world.now + 5), world.opener)
    await world.put(*(replace(first, task_id=f"tsk_{number}") for number in range(250)))
    later = await tasks.open(world.request(ends_at=world.now + 25), world.opener)
    assert await reconciler.reconcile() == 5
    clock.advance(5.5)
    assert await reconciler.reconcile() == 19.5
    assert await store.read(lambda tx: tx.governed.count(TASK, [("state", "expired")])) == 251
    assert (await tasks.get(later.task_id, world.mine)).active(world.now)


async def test_what_came_due_while_nobody_ran_ends_after_the_restart(
    world: World, tasks: TaskService, store: SqlStore, clock: FakeClock, tmp_path: Path
) -> None:
    task = await tasks.open(world.request(ends_at=world.now + 5), world.opener)
    await store.close()
    clock.advance(100)
    again = await open_store(tmp_path / "datastore.sqlite3", clock=clock)
    await TaskReconciler(again, clock).reconcile()
    over = await again.read(lambda tx: tx.governed.get(TASK, task.task_id))
    await again.close()
    assert over is not None
    assert (over.state, over.ended_at) == (TaskState.EXPIRED, world.now)
