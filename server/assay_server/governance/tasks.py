"""Tasks: opened, narrowed, held, counted and ended, each in one transaction with the event that tells of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from assay.clock import Clock
from assay.errors import AlreadyExistsError, AssayError, InvalidArgumentError, NotFoundError
from assay.telemetry import tracing
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance import task_state
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.counting import note_failed, spend
from assay_server.governance.ending import (
    children_of,
    credentials_of,
    end_tasks,
    endable_tasks,
    event_of,
    revoke_credentials,
)
from assay_server.governance.journal import record
from assay_server.governance.narrowing import BroaderError, Narrowing, narrowed, require_within
from assay_server.governance.opening import Opener, Terms, open_task
from assay_server.governance.policies import PolicySource, under_live
from assay_server.governance.refusal import DecisionRefusedError
from assay_server.governance.task_request import TaskRequest
from assay_server.model.governed.decision import DECISION, Decision
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import Trigger
from assay_server.model.governed.task import TASK, Credential, Task, TaskState
from assay_server.policy.engine import Policy

NARROWED = "task_narrowed"
"""Why credentials end that had more than the task has now."""

SUSPENDED = "task_suspended"
MAX_EVENT_NAME = 256

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """An attested instance of a principal."""

    principal: str
    instance: str


@dataclass(frozen=True, slots=True)
class By:
    """Who does it: an operator, named as events name it, whom every task is open to; or a workload, `callers`."""

    operator: str = ""
    callers: tuple[Caller, ...] = ()

    def actor(self, task: Task) -> str | None:
        """Who events say does it; None if the task is none of its instance's, nor any's of its principal."""
        if self.operator:
            return self.operator
        own = (one for one in self.callers if one.principal == task.principal and task.instance in {"", one.instance})
        return next((one.instance for one in own), None)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task with what it was decided by, each about a tool, and what it handed out."""

    task: Task
    decisions: tuple[tuple[str, Decision], ...]
    credentials: tuple[Credential, ...]
    children: tuple[str, ...]


Change = Callable[[Transaction, Task, str, int], Task]


class TaskService:
    """What workloads, operators and events do with tasks.

    Raises (from every method that names one):
        NotFoundError: there is no such task, or it is not the caller's: to strangers the two look the same.
    """

    def __init__(self, store: Store, clock: Clock, policies: PolicySource, terms: Terms) -> None:
        self._store = store
        self._clock = clock
        self._policies = policies
        self._terms = terms

    async def open(self, request: TaskRequest, opener: Opener) -> Task:
        """Open a task; raises as `opening.open_task`, and DecisionRefusedError when policy refuses."""
        return _told(
            await self._decided(lambda tx, policy: open_task(tx, policy, self._terms, opener, request, self._now()))
        )

    async def open_for_event(self, request: TaskRequest, opener: Opener, source: str, event_id: str) -> Task:
        """Open a task for a machine's event; the same event again answers with the task it has, whatever its state.

        Raises:
            AlreadyExistsError: the event has a task that was opened for something else.
            AssayError: as `open`.
        """
        opener = replace(opener, trigger=event_trigger(source, event_id))

        def work(tx: Transaction, policy: Policy) -> Task | AssayError:
            found, _ = tx.governed.find(TASK, [("trigger", opener.trigger)], Page())
            if found:
                return _same(found[0], opener, request)
            return open_task(tx, policy, self._terms, opener, request, self._now())

        return _told(await self._decided(work))

    async def get(self, task_id: str, by: By) -> Task:
        """The task."""
        return await self._store.read(lambda tx: _owned(tx, task_id, by)[0])

    async def show(self, task_id: str, by: By) -> TaskRecord:
        """The task with what belongs to it."""

        def read(tx: Transaction) -> TaskRecord:
            task, _ = _owned(tx, task_id, by)
            children = tuple(one.task_id for one in children_of(tx, task))
            return TaskRecord(task, _decisions(tx, task_id), tuple(credentials_of(tx, task_id)), children)

        return await self._store.read(read)

    async def find(self, terms: Iterable[tuple[str, str]], page: Page) -> tuple[list[Task], str]:
        """Tasks of which all of these terms are true, in order of creation, and the token of the next page."""
        asked = list(terms)
        return await self._store.read(lambda tx: tx.governed.find(TASK, asked, page))

    async def own(self, callers: Iterable[Caller]) -> list[Task]:
        """Those of these instances that have not ended, in order of creation."""
        by = By(callers=tuple(callers))

        def read(tx: Transaction) -> list[Task]:
            return [
                task
                for name in sorted({one.principal for one in by.callers})
                for task in endable_tasks(tx, ("principal", name))
                if by.actor(task) is not None
            ]

        return sorted(await self._store.read(read), key=lambda task: task.task_id)

    async def narrow(self, task_id: str, to: Narrowing, by: By) -> Task:
        """Leave it less; credentials that have more are revoked, and so are tasks below it.

        Raises:
            InactiveTaskError: it is not active.
            BroaderError: it would have more of something.
        """

        def change(tx: Transaction, task: Task, actor: str, now: int) -> Task:
            task_state.require_active(task, now)
            less = narrowed(task, to, self._terms.issuer, now)
            details = {"change": "narrowed", "authority_hash": less.authority_hash, "ends_at": less.ends_at}
            record(tx, event_of(tx, EventType.TASK_CHANGED, less, actor, now, **details), (TASK, less))
            revoke_credentials(tx, less, NARROWED, actor, now, lambda one: _exceeds(one, task, less))
            end_tasks(tx, [one for one in children_of(tx, less) if not _within(one, less)], NARROWED, actor, now)
            return less

        return await self._change(task_id, by, change)

    async def complete(self, task_id: str, by: By) -> Task:
        """End it as done; done again it stays as it is.

        Raises:
            InactiveTaskError: it has ended otherwise, or is held.
        """

        def change(tx: Transaction, task: Task, actor: str, now: int) -> Task:
            if task.state is not TaskState.COMPLETED:
                task_state.require_active(task, now)
                end_tasks(tx, [task], Trigger.TASK_COMPLETED.value, actor, now)
            return _read(tx, task_id)

        return await self._change(task_id, by, change)

    async def revoke(self, task_id: str, reason: str, by: By) -> Task:
        """End it before its time, whatever state it is in; one that has ended stays as it is."""

        def change(tx: Transaction, task: Task, actor: str, now: int) -> Task:
            end_tasks(tx, [task], reason or "revoked", actor, now)
            return _read(tx, task_id)

        return await self._change(task_id, by, change)

    async def suspend(self, task_id: str, reason: str, by: By) -> Task:
        """Hold it: what it handed out is revoked, and its time goes on."""

        def change(tx: Transaction, task: Task, actor: str, now: int) -> Task:
            held = task_state.suspended(task, reason, now)
            record(tx, event_of(tx, EventType.TASK_CHANGED, held, actor, now, change="suspended"), (TASK, held))
            revoke_credentials(tx, held, SUSPENDED, actor, now)
            return held

        return await self._change(task_id, by, change)

    async def resume(self, task_id: str, by: By) -> Task:
        """Let it go on."""

        def change(tx: Transaction, task: Task, actor: str, now: int) -> Task:
            task = task_state.resumed(task, now)
            record(tx, event_of(tx, EventType.TASK_CHANGED, task, actor, now, change="resumed"), (TASK, task))
            return task

        return await self._change(task_id, by, change)

    async def heartbeat(self, task_id: str, by: By) -> Task:
        """Note that it is still at work.

        Raises:
            InactiveTaskError: it is not active, or was silent for too long.
        """

        def change(tx: Transaction, task: Task, actor: str, now: int) -> Task:
            task = task_state.heard(task, now)
            if task.heartbeat:
                record(tx, event_of(tx, EventType.TASK_CHANGED, task, actor, now, change="heartbeat"), (TASK, task))
            return task

        return await self._change(task_id, by, change)

    async def spend(self, task_id: str, action: str, by: By) -> Task:
        """Count one call of an action before it is made, also for the tasks above it.

        Raises:
            InactiveTaskError: it is not active.
            PermissionDeniedError: it is no action of the task.
            BudgetSpentError: it would be one too many, which is an event, and the end of a task whose principal has
                `budget_spent` among its triggers.
        """
        return await self._counted(lambda tx, now: spend(tx, *_owned(tx, task_id, by), action, now))

    async def failed(self, task_id: str, action: str, by: By) -> Task:
        """Count an attempt of an action that failed or was refused; raises as `spend`, but never for the budget."""
        return await self._counted(lambda tx, now: note_failed(tx, *_owned(tx, task_id, by), action, now))

    async def _decided(self, work: Callable[[Transaction, Policy], T]) -> T:
        return await under_live(self._store, self._policies, work)

    async def _change(self, task_id: str, by: By, change: Change) -> Task:
        now = self._now()
        changed = await self._store.write(lambda tx: change(tx, *_owned(tx, task_id, by), now))
        tracing.note(tracing.TASK, changed.task_id)
        return changed

    async def _counted(self, count: Callable[[Transaction, int], Task | BudgetSpentError]) -> Task:
        now = self._now()
        counted = await self._store.write(lambda tx: count(tx, now))
        if isinstance(counted, BudgetSpentError):
            raise counted
        return counted

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _told(opened: Task | AssayError) -> Task:
    """What was opened, or the refusal raised; the trace is told which it was."""
    if isinstance(opened, DecisionRefusedError):
        tracing.note(tracing.TASK, opened.decision.task_id)
        tracing.note(tracing.DECISION, opened.decision.decision_id)
    if isinstance(opened, AssayError):
        raise opened
    tracing.note(tracing.TASK, opened.task_id)
    return opened


def event_trigger(source: str, event_id: str) -> str:
    """What opened the task of an event.

    Raises:
        InvalidArgumentError: they name no event.
    """
    for what, name in (("source", source), ("id", event_id)):
        if not 0 < len(name) <= MAX_EVENT_NAME or not name.isprintable():
            raise InvalidArgumentError(f"event {what} must be a text of at most {MAX_EVENT_NAME} characters")
    if "/" in source:
        raise InvalidArgumentError('event source has a "/", which ends it')
    return f"event:{source}/{event_id}"


def _same(task: Task, opener: Opener, request: TaskRequest) -> Task | AssayError:
    same = task.principal == opener.principal and task.intent == request.intent and task.authority == request.authority
    return task if same else AlreadyExistsError(f"the event has task {task.task_id}, opened for something else")


def _owned(tx: Transaction, task_id: str, by: By) -> tuple[Task, str]:
    """The task, and who events say does it."""
    task = tx.governed.get(TASK, task_id)
    actor = by.actor(task) if task is not None else None
    if task is None or actor is None:
        raise NotFoundError(f"no task {task_id[:64]}")
    return task, actor


def _read(tx: Transaction, task_id: str) -> Task:
    task = tx.governed.get(TASK, task_id)
    if task is None:
        raise NotFoundError(f"no task {task_id}")
    return task


def _decisions(tx: Transaction, task_id: str) -> tuple[tuple[str, Decision], ...]:
    events, _ = tx.events.find(Page(), task_id=task_id)
    tools = {one.subject: str(one.details.get("tool", "")) for one in events if one.type is EventType.DECISION}
    found, _ = tx.governed.find(DECISION, [("task", task_id)], Page())
    return tuple((tools.get(one.decision_id, ""), one) for one in found)


def _exceeds(credential: Credential, before: Task, after: Task) -> bool:
    """Whether it may say or do more than the task has now: at its audience, by its end or for all of it."""
    at_audience = [[one for one in task.authority if one.resource == credential.audience] for task in (before, after)]
    whole = (before.constraints, before.data_classes) != (after.constraints, after.data_classes)
    return whole or at_audience[0] != at_audience[1] or credential.expires_at > after.ends_at


def _within(child: Task, parent: Task) -> bool:
    try:
        require_within(child, parent)
    except BroaderError:
        return False
    return True
