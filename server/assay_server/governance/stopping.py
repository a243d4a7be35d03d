"""What ends with a principal's being active: its tasks, its credentials, what its bindings grant. One transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from assay_server.datastore.base import Page, Transaction
from assay_server.governance.deed import Deed
from assay_server.governance.journal import record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import Principal
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task, TaskState

EndTasks = Callable[[Transaction, Sequence[Task], str, str, int], None]
"""Ends tasks and their credentials, for this cause, by this actor, at this Unix second."""

_ENDABLE = (TaskState.ACTIVE, TaskState.SUSPENDED)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was ended: the principals' names, and numbers of the rest."""

    principals: tuple[str, ...] = ()
    tasks: int = 0
    credentials: int = 0
    bindings: int = 0

    def __add__(self, other: "Stopped") -> "Stopped":
        return Stopped(
            self.principals + other.principals,
            self.tasks + other.tasks,
            self.credentials + other.credentials,
            self.bindings + other.bindings,
        )


def stop(tx: Transaction, principal: Principal, cause: str, deed: Deed, end_tasks: EndTasks) -> Stopped:
    """End its tasks, revoke its credentials, withhold its bindings; the caller writes its state."""
    credentials = live_credentials(tx, principal.name, deed.at)
    tasks = endable_tasks(tx, ("principal", principal.name))
    if tasks:
        end_tasks(tx, tasks, cause, deed.actor, deed.at)
    _revoke(tx, principal, credentials, cause, deed)
    bindings = withhold(tx, principal.name, withheld=True)
    return Stopped((principal.name,), len(tasks), len(credentials), bindings)


def endable_tasks(tx: Transaction, term: tuple[str, str]) -> list[Task]:
    """The tasks that it is true of and that are not over."""
    states = [tx.governed.find(TASK, [term, ("state", state.value)], Page())[0] for state in _ENDABLE]
    return [task for tasks in states for task in tasks]


def live_credentials(tx: Transaction, principal: str, now: int) -> list[Credential]:
    """The credentials of that principal that still count."""
    found, _ = tx.governed.find(CREDENTIAL, [("principal", principal)], Page(), due_after=now)
    return [one for one in found if one.live(now)]


def withhold(tx: Transaction, principal: str, *, withheld: bool) -> int:
    """Have its bindings grant nothing, or grant again; how many that changed."""
    changed = [entry for entry in tx.entries.of_principal(principal) if entry.withheld is not withheld]
    for entry in changed:
        tx.entries.update(replace(entry, withheld=withheld, revision=entry.revision + 1))
    return len(changed)


def _revoke(tx: Transaction, principal: Principal, credentials: Iterable[Credential], cause: str, deed: Deed) -> None:
    """Those that did not end with a task."""
    for one in credentials:
        now = tx.governed.get(CREDENTIAL, one.jti)
        if now is None or now.revoked_at:
            continue
        event = Event(
            EventType.REVOCATION,
            deed.at,
            deed.actor,
            one.jti,
            one.task_id,
            principal.name,
            principal.actor_type.value,
            {"cause": cause},
        )
        record(tx, event, (CREDENTIAL, replace(now, revoked_at=deed.at, cause=cause)))
