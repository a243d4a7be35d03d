"""Tasks end at their time: whether anybody asks or not, and after a restart as well.

The store knows when each is due, so that nothing has to be remembered: what a crash kept from being done is due still.
"""

import asyncio

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay.waiting import first_of
from assay_server.datastore.base import ChangeKind, Store, Transaction
from assay_server.governance import task_state
from assay_server.governance.ending import end_tasks
from assay_server.model.governed.task import TASK

ACTOR = "assay:tasks"

# In one transaction, which others wait for.
_AT_ONCE = 100
# The wall clock may be set, and a machine sleep: never trust one long wait.
_LONGEST_LOOK_AWAY = 60.0
_RETRY = 1.0
_FOR_EVER = 2**62

log = structlog.get_logger(__name__)


class TaskReconciler:
    """Ends tasks whose time is over or whose heartbeat was missed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._changed = asyncio.Event()
        self._awaited = _FOR_EVER

    async def run(self) -> None:
        """Until cancelled; a store that fails once is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            while True:
                self._changed.clear()
                pause = await self._round()
                await first_of(self._changed.wait(), self._clock.sleep(pause))

    async def reconcile(self) -> float:
        """End what is due; seconds until the next task is.

        Raises:
            UnavailableError: the store cannot be read or written.
        """
        # Until it is known which is the next, any may be.
        self._awaited = _FOR_EVER
        while True:
            due = await self._store.read(_earliest)
            self._awaited = due
            wait = due - self._clock.now().timestamp()
            if wait > 0:
                return min(wait, _LONGEST_LOOK_AWAY)
            now = int(self._clock.now().timestamp())
            ended = await self._store.write(lambda tx, now=now: _end_due(tx, now))  # type: ignore[misc]
            for task_id, cause in ended:
                log.info("Ended a task", task=task_id, cause=cause)
            if not ended:
                return _RETRY

    async def _round(self) -> float:
        try:
            return await self.reconcile()
        except AssayError as error:
            log.error("Failed to end tasks", error=str(error))  # noqa: TRY400 - a refusal, no fault
            return _RETRY

    async def _follow(self) -> None:
        seen = self._store.sequence
        async for sequence in self._store.watch():
            if self._brings_forward(seen):
                self._changed.set()
            seen = sequence

    def _brings_forward(self, since: int) -> bool:
        """Whether a task is due before the one that is waited for: most that is written of tasks is what they use."""
        written = self._store.recent(since)
        return written is None or any(
            one.change.kind is ChangeKind.GOVERNED
            and one.change.object_id.startswith("task/")
            and 0 < one.due < self._awaited
            for one in written
        )


def _earliest(tx: Transaction) -> int:
    """When the next task is due, in Unix seconds."""
    found = tx.governed.due(TASK, _FOR_EVER, 1)
    return TASK.due(found[0]) if found else _FOR_EVER


def _end_due(tx: Transaction, now: int) -> list[tuple[str, str]]:
    ended: list[tuple[str, str]] = []
    for task in tx.governed.due(TASK, now, _AT_ONCE):
        cause = task_state.due_cause(task, now)
        if cause is not None:
            end_tasks(tx, [task], cause, ACTOR, now)
            ended.append((task.task_id, cause))
    return ended
