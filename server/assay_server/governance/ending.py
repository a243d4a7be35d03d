"""How tasks end: with them, in the same transaction, the credentials that they handed out and the tasks below them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from assay_server.datastore.base import Page, Transaction
from assay_server.governance import task_state
from assay_server.governance.journal import record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import PRINCIPAL
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task, live

PARENT_ENDED = "parent_ended"
"""The cause of the end of a task that stood below another."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How many tasks and credentials."""

    tasks: int = 0
    credentials: int = 0

    def __add__(self, other: "Ended") -> "Ended":
        return Ended(self.tasks + other.tasks, self.credentials + other.credentials)


def end_tasks(tx: Transaction, tasks: Sequence[Task], cause: str, actor: str, now: int) -> Ended:
    """End these and all below them, and revoke what they handed out; those that have ended stay as they are.

    `cause` is a trigger's value, or says in a word what happened.
    """
    ended = Ended()
    for task in tasks:
        ended += _end(tx, task, cause, actor, now)
    return ended


def endable_tasks(tx: Transaction, term: tuple[str, str], limit: int = 0) -> list[Task]:
    """The tasks that it is true of and that have not ended, in order of creation; at most `limit`, if that is not 0."""
    name, value = term
    return tx.governed.find(TASK, [(live(name), value)], Page(limit))[0]


def revoke_credential(tx: Transaction, credential: Credential, cause: str, actor: str, now: int) -> None:
    """Revoke one by itself: its task goes on, or is over already."""
    event = Event(
        EventType.REVOCATION,
        now,
        actor,
        credential.jti,
        credential.task_id,
        credential.principal,
        _actor_type(tx, credential.principal),
        {"cause": cause},
    )
    record(tx, event, (CREDENTIAL, replace(credential, revoked_at=now, cause=cause)))


def revoke_credentials(
    tx: Transaction, task: Task, cause: str, actor: str, now: int, which: Callable[[Credential], bool] = lambda _: True
) -> int:
    """Revoke the live credentials of a task, or those of them that are said; how many that were."""
    gone = [one for one in credentials_of(tx, task.task_id) if one.live(now) and which(one)]
    if gone:
        revoked = [(CREDENTIAL, replace(one, revoked_at=now, cause=cause)) for one in gone]
        details = {"cause": cause, "credentials": [one.jti for one in gone]}
        record(tx, event_of(tx, EventType.REVOCATION, task, actor, now, **details), *revoked)
    return len(gone)


def credentials_of(tx: Transaction, task_id: str) -> list[Credential]:
    """All that a task has handed out, as far as they are still written down."""
    return tx.governed.find(CREDENTIAL, [("task", task_id)], Page())[0]


def event_of(tx: Transaction, kind: EventType, task: Task, actor: str, now: int, **details: object) -> Event:
    """An event about a task."""
    actor_type = _actor_type(tx, task.principal)
    return Event(kind, now, actor, task.task_id, task.task_id, task.principal, actor_type, dict(details))


def children_of(tx: Transaction, task: Task) -> Iterable[Task]:
    """The tasks right below it that have not ended."""
    return endable_tasks(tx, ("parent", task.task_id))


def _actor_type(tx: Transaction, name: str) -> str:
    principal = tx.governed.get(PRINCIPAL, name)
    return principal.actor_type.value if principal is not None else ""


def _end(tx: Transaction, task: Task, cause: str, actor: str, now: int) -> Ended:
    # What the caller read may be older than this transaction.
    current = tx.governed.get(TASK, task.task_id) or task
    if not task_state.live(current):
        return Ended()
    revoked = revoke_credentials(tx, current, cause, actor, now)
    over = task_state.ended(current, cause, now)
    details = {"state": over.state.value, "cause": cause, "credentials": revoked}
    record(tx, event_of(tx, EventType.TASK_ENDED, over, actor, now, **details), (TASK, over))
    return Ended(1, revoked) + end_tasks(tx, list(children_of(tx, over)), PARENT_ENDED, actor, now)
