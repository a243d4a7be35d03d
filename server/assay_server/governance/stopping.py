"""What ends with a principal's being active: its tasks, its credentials, what its bindings grant. One transaction."""

from dataclasses import dataclass, replace

from assay_server.datastore.base import Page, Transaction
from assay_server.governance.deed import Deed
from assay_server.governance.ending import end_tasks, endable_tasks, revoke_credential
from assay_server.model.governed.principal import Principal
from assay_server.model.governed.task import CREDENTIAL, Credential


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


def stop(tx: Transaction, principal: Principal, cause: str, deed: Deed) -> Stopped:
    """End its tasks, revoke its credentials, withhold its bindings; the caller writes its state."""
    credentials = len(live_credentials(tx, principal.name, deed.at))
    tasks = endable_tasks(tx, ("principal", principal.name))
    end_tasks(tx, tasks, cause, deed.actor, deed.at)
    for one in live_credentials(tx, principal.name, deed.at):  # those that did not end with a task
        revoke_credential(tx, one, cause, deed.actor, deed.at)
    bindings = withhold(tx, principal.name, withheld=True)
    return Stopped((principal.name,), len(tasks), credentials, bindings)


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
