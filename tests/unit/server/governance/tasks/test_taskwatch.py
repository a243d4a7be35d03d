"""Following tasks: as they are, then each change, and nothing that was told before."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import PermissionDeniedError
from assay_server.datastore.base import Store
from assay_server.governance.narrowing import Narrowing
from assay_server.governance.tasks import TaskService
from assay_server.governance.taskwatch import TaskWatch
from assay_server.model.governed.task import Task, TaskState

World = Any  # the fixture's, of conftest.py


async def allowed() -> None:
    pass


@pytest.fixture
def watch(store: Store, tasks: TaskService) -> TaskWatch:
    return TaskWatch(store, tasks)


async def test_a_task_is_told_at_first_and_whenever_it_changes(
    world: World, tasks: TaskService, watch: TaskWatch
) -> None:
    task = await tasks.open(world.request(), world.opener)
    updates: AsyncGenerator[Task, None] = watch.follow(world.mine.callers, {}, allowed)
    async with aclosing(updates):
        assert await anext(updates) == task
        await tasks.heartbeat(task.task_id, world.mine)
        await tasks.spend(task.task_id, "crm.read", world.mine)
        less = await tasks.narrow(task.task_id, Narrowing(ends_at=task.ends_at - 1), world.mine)
        assert await anext(updates) == less
        other = await tasks.open(world.request(), world.opener)
        assert await anext(updates) == other
        await tasks.revoke(task.task_id, "wrong", world.operator)
        assert (await anext(updates)).state is TaskState.REVOKED


async def test_what_was_told_before_is_not_told_again_but_its_end_is(
    world: World, tasks: TaskService, watch: TaskWatch
) -> None:
    first = await tasks.open(world.request(), world.opener)
    second = await tasks.open(world.request(), world.opener)
    third = await tasks.open(world.request(), world.opener)
    await tasks.complete(second.task_id, world.mine)
    known = {first.task_id: first.revision, second.task_id: second.revision, "tsk_gone": 3}
    updates: AsyncGenerator[Task, None] = watch.follow(world.mine.callers, known, allowed)
    async with aclosing(updates):
        told = {one.task_id: one.state for one in (await anext(updates), await anext(updates))}
    assert told == {second.task_id: TaskState.COMPLETED, third.task_id: TaskState.ACTIVE}


async def test_others_tasks_are_not_told_whatever_is_claimed_to_be_known(
    world: World, tasks: TaskService, watch: TaskWatch
) -> None:
    task = await tasks.open(world.request(), world.opener)
    updates: AsyncGenerator[Task, None] = watch.follow(world.twins.callers, {task.task_id: 0}, allowed)
    async with aclosing(updates):
        await tasks.complete(task.task_id, world.mine)
        mine = await tasks.open(world.request(), replace(world.opener, instance=world.twin))
        assert await anext(updates) == mine


async def test_it_ends_with_the_callers_right_once_the_last_change_was_told(
    world: World, tasks: TaskService, watch: TaskWatch
) -> None:
    async def refused() -> None:
        raise PermissionDeniedError("no longer")

    task = await tasks.open(world.request(), world.opener)
    updates: AsyncGenerator[Task, None] = watch.follow(world.mine.callers, {}, refused)
    async with aclosing(updates):
        assert await anext(updates) == task
        await tasks.revoke(task.task_id, "principal suspended", world.operator)
        assert (await anext(updates)).state_reason == "principal suspended"
        with pytest.raises(PermissionDeniedError):
            await anext(updates)
