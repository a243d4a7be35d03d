"""Requirement 48: whatever ends work before its time revokes what it handed out, and says by its cause which it was."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Store
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.owners import OwnerService
from assay_server.governance.principal_state import Move
from assay_server.governance.principals import PrincipalService
from assay_server.governance.revocations import RevocationService
from assay_server.governance.taskreconciler import TaskReconciler
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import Trigger
from assay_server.model.governed.revocation import Revocation, Target
from assay_server.model.governed.task import CREDENTIAL, TASK, Budget, Task, TaskState

World = Any  # the fixture's, of conftest.py


@dataclass(frozen=True)
class House:
    """All that ends tasks, on one store."""

    world: World
    store: Store
    clock: FakeClock
    tasks: TaskService

    async def complete(self, task: Task) -> None:
        await self.tasks.complete(task.task_id, self.world.mine)

    async def timeout(self, task: Task) -> None:
        self.clock.advance(task.ends_at - self.world.now)
        await TaskReconciler(self.store, self.clock).reconcile()

    async def silence(self, _: Task) -> None:
        self.clock.advance(20)
        await TaskReconciler(self.store, self.clock).reconcile()

    async def spend(self, task: Task) -> None:
        await self.tasks.spend(task.task_id, "crm.read", self.world.mine)
        with pytest.raises(BudgetSpentError):
            await self.tasks.spend(task.task_id, "crm.read", self.world.mine)

    async def suspend(self, task: Task) -> None:
        await self._move(task, Move.SUSPEND)

    async def retire(self, task: Task) -> None:
        await self._move(task, Move.RETIRE)

    async def leave(self, task: Task) -> None:
        await OwnerService(self.store, self.clock, lambda: None).leave(task.owner, "local:0")

    async def hold(self, task: Task) -> None:
        await self.tasks.suspend(task.task_id, "under review", self.world.operator)

    async def human(self, task: Task) -> None:
        await self.tasks.revoke(task.task_id, "wrong", self.world.operator)

    async def human_of_all(self, task: Task) -> None:
        asked = Revocation("", Target.PRINCIPAL, task.principal, "recalled", "local:0", self.world.now)
        await RevocationService(self.store, self.clock, lambda: None).revoke(asked, 0)

    async def _move(self, task: Task, move: Move) -> None:
        service = PrincipalService(self.store, self.clock, TrustDomain("example.org"))
        await service.move(task.principal, move, "why", "local:0")


Ends = Callable[[House, Task], Awaitable[None]]
ENDS: dict[str, tuple[Ends, TaskState, str]] = {
    "completion": (House.complete, TaskState.COMPLETED, "task_completed"),
    "timeout": (House.timeout, TaskState.EXPIRED, "timeout"),
    "missed heartbeat": (House.silence, TaskState.REVOKED, "heartbeat_missed"),
    "budget": (House.spend, TaskState.REVOKED, "budget_spent"),
    "suspension": (House.suspend, TaskState.REVOKED, "principal_suspended"),
    "retirement": (House.retire, TaskState.REVOKED, "principal_retired"),
    "owner left": (House.leave, TaskState.REVOKED, "owner_left"),
    "a human, one task": (House.human, TaskState.REVOKED, "wrong"),
    "a human, all of a kind": (House.human_of_all, TaskState.REVOKED, "revoked: recalled"),
}


@pytest.fixture
async def house(world: World, store: Store, clock: FakeClock, tasks: TaskService) -> House:
    await world.put(replace(world.bot, triggers=(Trigger.BUDGET_SPENT,)))
    return House(world, store, clock, tasks)


@pytest.mark.parametrize("what", ENDS)
async def test_each_end_names_its_cause_and_takes_the_credentials_with_it(house: House, what: str) -> None:
    world = house.world
    end, state, cause = ENDS[what]
    request = world.request(budget=Budget(calls=1), heartbeat=20 if what == "missed heartbeat" else 0)
    task = await house.tasks.open(request, world.opener)
    await world.put(world.credential(task, "crd_1", expires_at=task.ends_at + 1))
    await end(house, task)
    over, credential = await world.get(TASK, task.task_id), await world.get(CREDENTIAL, "crd_1")
    assert (over.state, over.state_reason) == (state, cause)
    assert (credential.revoked_at, credential.cause) == (world.now, cause)
    events = await world.events(task.task_id)
    told = [one for one in events if one.type in {EventType.TASK_ENDED, EventType.REVOCATION}]
    assert [one.details["cause"] for one in told] == [cause, cause]


async def test_a_task_that_is_held_has_its_credentials_revoked_for_good(house: House) -> None:
    task = await house.tasks.open(house.world.request(), house.world.opener)
    await house.world.put(house.world.credential(task, "crd_1"))
    await house.hold(task)
    await house.tasks.resume(task.task_id, house.world.operator)
    assert (await house.world.get(CREDENTIAL, "crd_1")).cause == "task_suspended"


async def test_a_budget_that_is_spent_ends_only_tasks_whose_principal_says_so(house: House) -> None:
    await house.world.put(replace(house.world.bot, triggers=()))
    task = await house.tasks.open(house.world.request(budget=Budget(calls=1)), house.world.opener)
    await house.spend(task)
    assert (await house.world.get(TASK, task.task_id)).state is TaskState.ACTIVE
