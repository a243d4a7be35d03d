"""Deciding live tasks again, in slices: what would be refused is revoked in the transaction that decides so."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from assay.clock import Clock
from assay.errors import AssayError
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.deciding import kept
from assay_server.governance.drift import Drift, Judge
from assay_server.governance.driftreconciler import ACTOR, Swept
from assay_server.governance.ending import end_tasks
from assay_server.governance.identifier import new_id
from assay_server.governance.policies import PolicySource, is_live, stored
from assay_server.model.governed.task import TASK, Task, TaskState
from assay_server.policy.engine import compiled, shipped
from assay_server.policy.groups import Groups
from assay_server.policy.inputs import inputs_hash, inputs_of

READ_AT_ONCE = 500
"""Tasks that are looked at in one go; others have their turn between two."""
END_AT_ONCE = 50
"""Tasks that are revoked in one transaction, which other writers wait for."""

_STATES = (TaskState.ACTIVE, TaskState.SUSPENDED)


class _PolicyMovedError(Exception):
    """Another policy is live than the one by which was decided."""


class DriftSweep:
    """Decides live tasks again by the live policy."""

    def __init__(self, store: Store, policies: PolicySource, clock: Clock) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock
        self._before: dict[int, Groups | None] = {}

    async def sweep(self, terms: Sequence[tuple[str, str]] | None) -> Swept:
        """Of all live tasks, or those of which one of these terms is true; again from the start if policy moves.

        Raises:
            UnavailableError: there is no policy that can be read, or the store fails. What is left is not decided.
        """
        revoked = 0
        while True:
            live = Groups(await self._policies.current())
            self._before.clear()
            tasks, policy = 0, live.policy
            try:
                for asked in _questions(terms):
                    async for found, suspects in self._pages(live, asked):
                        tasks += found
                        for at in range(0, len(suspects), END_AT_ONCE):
                            revoked += await self._end(live, suspects[at : at + END_AT_ONCE])
            except _PolicyMovedError:
                continue
            if await self._store.read(lambda tx, one=policy: is_live(tx, one)):  # type: ignore[misc]
                return Swept(tasks, revoked, policy.version)

    async def _pages(self, live: Groups, asked: Sequence[tuple[str, str]]) -> AsyncIterator[tuple[int, list[str]]]:
        token = ""
        while True:
            now = self._now()
            found, suspects, token = await self._store.read(
                lambda tx, at=token, now=now: self._suspected(tx, live, asked, at, now)  # type: ignore[misc]
            )
            yield found, suspects
            if not token:
                return

    def _suspected(
        self, tx: Transaction, live: Groups, asked: Sequence[tuple[str, str]], token: str, now: int
    ) -> tuple[int, list[str], str]:
        tasks, token = tx.governed.find(TASK, asked, Page(READ_AT_ONCE, token))
        judge = Judge(tx, live, self._groups_of, now)
        return len(tasks), [one.task_id for one in tasks if judge.drift_of(one) is not None], token

    async def _end(self, live: Groups, names: Sequence[str]) -> int:
        now = self._now()
        ended = await self._store.write(lambda tx: list(self._ended(tx, live, names, now)))
        return len(ended)

    def _ended(self, tx: Transaction, live: Groups, names: Sequence[str], now: int) -> Iterator[str]:
        """Judged once more, here, where nobody else can write: what was read is older."""
        if not is_live(tx, live.policy):
            raise _PolicyMovedError
        judge = Judge(tx, live, self._groups_of, now)
        for name in names:
            task = tx.governed.get(TASK, name)
            drift = judge.drift_of(task) if task is not None else None
            if task is not None and drift is not None:
                _revoke(tx, task, drift, now)
                yield name

    def _groups_of(self, tx: Transaction, version: int) -> Groups | None:
        """Kept for this sweep: tasks were opened by few policies, and parsing one takes long."""
        if version not in self._before:
            try:
                policy = compiled(stored(tx, version)) if version else shipped()
            except (AssayError, ValueError):
                self._before[version] = None
            else:
                self._before[version] = Groups(policy)
        return self._before[version]

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _questions(terms: Sequence[tuple[str, str]] | None) -> Iterator[list[tuple[str, str]]]:
    for state in _STATES:
        said = ("state", state.value)
        if terms is None:
            yield [said]
        else:
            yield from ([term, said] for term in terms)


def _revoke(tx: Transaction, task: Task, drift: Drift, now: int) -> None:
    inputs = inputs_of(drift.request)
    decision = replace(
        drift.decision,
        decision_id=new_id("dec", now),
        at=now,
        task_id=task.task_id,
        inputs=inputs,
        inputs_hash=inputs_hash(inputs),
    )
    kept(tx, decision, drift.request, ACTOR)
    end_tasks(tx, [task], drift.cause, ACTOR, now)
