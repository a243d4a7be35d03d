"""The principals of an owner who left: suspended in slices, each a transaction of its own.

What is left to do is what the store says, an owner who left and is not swept: whoever is killed between two slices
goes on with the next one.
"""

from dataclasses import replace

from assay_server.datastore.base import Page, Transaction
from assay_server.governance.deed import Deed
from assay_server.governance.ending import end_tasks, endable_tasks
from assay_server.governance.journal import record
from assay_server.governance.principal_state import Move
from assay_server.governance.principals import apply
from assay_server.governance.stopping import Stopped
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.owner import OWNER, Owner, OwnerState
from assay_server.model.governed.principal import PRINCIPAL, PrincipalState, Trigger

REASON = "owner left"
SLICE = 100
"""Principals that are suspended in one transaction."""

_CAUSE = Trigger.OWNER_LEFT.value


def active_count(tx: Transaction, owner: str) -> int:
    """How many of its principals are active."""
    return tx.governed.count(PRINCIPAL, _active(owner))


def unswept(tx: Transaction) -> list[Owner]:
    """Some of the owners who left and may still have something that is active."""
    return tx.governed.find(OWNER, [("unswept", "yes")], Page(SLICE))[0]


def sweep_slice(tx: Transaction, name: str, deed: Deed) -> Stopped | None:
    """One slice of that owner's; None when there is nothing left to do."""
    owner = tx.governed.get(OWNER, name)
    if owner is None or owner.state is not OwnerState.LEFT or owner.swept_at:
        return None
    if active_count(tx, name):
        return suspend_some(tx, name, deed)
    return end_work(tx, owner, deed)


def suspend_some(tx: Transaction, owner: str, deed: Deed) -> Stopped:
    """Suspend at most SLICE of the owner's active principals."""
    stopped = Stopped()
    found, _ = tx.governed.find(PRINCIPAL, _active(owner), Page(SLICE))
    for principal in found:
        stopped += apply(tx, principal, Move.SUSPEND, REASON, deed, cause=_CAUSE).stopped
    return stopped


def end_work(tx: Transaction, owner: Owner, deed: Deed) -> Stopped:
    """End what it still answers for, tasks of principals that got another owner, and call the owner swept."""
    tasks = endable_tasks(tx, ("owner", owner.name))
    end_tasks(tx, tasks, _CAUSE, deed.actor, deed.at)
    details = {"change": "swept", "state": owner.state.value, "tasks": len(tasks)}
    event = Event(EventType.OWNER_CHANGED, deed.at, deed.actor, owner.name, details=details)
    record(tx, event, (OWNER, replace(owner, swept_at=deed.at)))
    return Stopped(tasks=len(tasks))


def _active(owner: str) -> list[tuple[str, str]]:
    return [("owner", owner), ("state", PrincipalState.ACTIVE.value)]
