"""Which task a request belongs to that does not say: the one active task that covers its audience, or none."""

from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Page, Transaction
from assay_server.governance.refusal import TaskRefusedError
from assay_server.model.governed.task import TASK, Task, place_of


def only_covering(tx: Transaction, principal: str | None, instance: SpiffeId, audience: str, now: float) -> Task:
    """The one task of that principal's in which this instance may have a token for the audience.

    Raises:
        TaskRefusedError: there is none, or more than one.
    """
    found = covering(tx, principal, instance, audience, now) if principal else []
    if len(found) != 1:
        many = "more than one active task covers" if found else "no active task covers"
        raise TaskRefusedError(f"{many} that audience", hint="name the task" if found else "open a task")
    return found[0]


def covering(tx: Transaction, principal: str, instance: SpiffeId, audience: str, now: float) -> list[Task]:
    """The active tasks of that principal in which this instance may have a token for the audience."""
    places = (place_of(principal, whose, audience) for whose in (str(instance), ""))
    tasks = [task for place in places for task in tx.governed.find(TASK, [("active_at", place)], Page())[0]]
    return [task for task in tasks if task.active(now)]
