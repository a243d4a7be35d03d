"""Which task a request belongs to that does not say: the one active task that covers its audience, or none."""

from assay.clock import Clock
from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.identity import principal_of
from assay_server.governance.refusal import TaskRefusedError
from assay_server.model.governed.task import TASK, Task


class TaskSelection:
    """Finds tasks of instances."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def covering(self, instance: SpiffeId, audience: str) -> str:
        """The task's ID.

        Raises:
            TaskRefusedError: no active task of that instance has authority there, or more than one.
        """
        now = self._clock.now().timestamp()
        found = await self._store.read(lambda tx: _covering(tx, instance, audience, now))
        if len(found) != 1:
            many = "more than one active task covers" if found else "no active task covers"
            raise TaskRefusedError(f"{many} that audience", hint="name the task" if found else "open a task")
        return found[0].task_id


def covering(tx: Transaction, principal: str, instance: SpiffeId, audience: str, now: float) -> list[Task]:
    """The active tasks of that principal in which this instance may have a token for the audience."""
    tasks, _ = tx.governed.find(TASK, [("active_of", principal)], Page())
    return [
        task
        for task in tasks
        if task.active(now)
        and task.instance in {"", str(instance)}
        and any(access.resource == audience for access in task.authority)
    ]


def _covering(tx: Transaction, instance: SpiffeId, audience: str, now: float) -> list[Task]:
    principal = principal_of(tx, instance)
    return [] if principal is None else covering(tx, principal, instance, audience, now)
