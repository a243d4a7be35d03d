"""A task told from its events, in order, with each of its decisions decided once more."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.errors import NotFoundError
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.policyreview import bundle_of, ready
from assay_server.model.governed.decision import DECISION, Decision
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.model.governed.task import TASK, Task
from assay_server.policy.engine import Policy
from assay_server.policy.replay import Difference, Replayed, compared, replay

GONE = "the record of it is gone"
PAGE = 200
"""Events that are told at once, unless fewer are asked for."""


@dataclass(frozen=True, slots=True)
class DecisionTold:
    """A decision as it is kept, and what became of deciding it again.

    `altered` are the fields in which the record is not what its event says of it: the event is what a ledger proves.
    """

    recorded: Decision | None
    replayed: Replayed
    altered: tuple[Difference, ...] = ()

    @property
    def same(self) -> bool:
        """Whether it was the same answer, to what was written down."""
        return self.replayed.same and not self.altered


@dataclass(frozen=True, slots=True)
class Step:
    """An event of a task; `told` of decisions only."""

    event: Event
    told: DecisionTold | None = None


@dataclass(frozen=True, slots=True)
class TaskTold:
    """A page of a task's story. `untold` are decisions without an event, said with the last page."""

    task: Task | None
    steps: tuple[Step, ...]
    token: str
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    task: Task | None
    events: Sequence[Event]
    token: str
    decisions: dict[str, Decision]
    bundles: dict[int, PolicyBundle | str]
    untold: tuple[str, ...]


class Replays:
    """Tells tasks of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def explain(self, task_id: str, page: Page) -> TaskTold:
        """A page of what happened to a task (NotFoundError: nothing did)."""
        asked = Page(min(page.size or PAGE, PAGE), page.token)
        read = await self._store.read(lambda tx: _read(tx, task_id, asked))
        steps = await asyncio.to_thread(_steps, read)
        return TaskTold(read.task, steps, read.token, read.untold)


def _read(tx: Transaction, task_id: str, page: Page) -> _Read:
    task = tx.governed.get(TASK, task_id)
    events, token = tx.events.find(page, task_id=task_id) if task_id else ([], "")
    if len(events) < page.size:
        token = ""
    if task is None and not events and not page.token:
        raise NotFoundError(f"no task {task_id[:64]}", hint="see `assay task list`")
    found = (tx.governed.get(DECISION, one.subject) for one in _decided(events))
    decisions = {one.decision_id: one for one in found if one is not None}
    versions = {one.policy_version for one in decisions.values()}
    bundles = {version: bundle_of(tx, version) for version in versions}
    return _Read(task, events, token, decisions, bundles, () if token else _untold(tx, task_id))


def _decided(events: Iterable[Event]) -> Iterable[Event]:
    return (one for one in events if one.type is EventType.DECISION)


def _untold(tx: Transaction, task_id: str) -> tuple[str, ...]:
    """Decisions of the task that are kept and have no event: one was removed, or they were added by hand."""
    kept, _ = tx.governed.find(DECISION, [("task", task_id)], Page())
    events, _ = tx.events.find(Page(), task_id=task_id)
    told = {one.subject for one in _decided(events)}
    return tuple(one.decision_id for one in kept if one.decision_id not in told)


def _steps(read: _Read) -> tuple[Step, ...]:
    policies = {
        version: bundle if isinstance(bundle, str) else ready(bundle) for version, bundle in read.bundles.items()
    }
    return tuple(Step(one, _told(one, read.decisions, policies)) for one in read.events)


def _told(event: Event, decisions: dict[str, Decision], policies: dict[int, Policy | str]) -> DecisionTold | None:
    if event.type is not EventType.DECISION:
        return None
    recorded = decisions.get(event.subject)
    if recorded is None:
        return DecisionTold(None, Replayed(None, why_not=GONE))
    policy = policies[recorded.policy_version]
    replayed = Replayed(None, why_not=policy) if isinstance(policy, str) else replay(policy, recorded)
    said = {**event.details, "at": event.at, "principal": event.principal, "task_id": event.task_id}
    return DecisionTold(recorded, replayed, compared(recorded, said))
