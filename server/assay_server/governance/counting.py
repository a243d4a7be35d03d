"""Counting what tasks use: in the transaction that asks, so that no two callers are given the last of something."""

from collections.abc import Callable, Sequence

from assay_server.datastore.base import Transaction
from assay_server.governance import budget as budgets
from assay_server.governance import task_state
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.ending import end_tasks, event_of
from assay_server.governance.journal import record
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import PRINCIPAL, Trigger
from assay_server.model.governed.task import TASK, Task


def spend(tx: Transaction, task: Task, actor: str, action: str, now: int) -> Task | BudgetSpentError:
    """The task after one more call, which counts for those above it, too; or why there is none left.

    Raises:
        InactiveTaskError: one of them is not active.
        PermissionDeniedError: it is no action of the task.
    """
    counted = one_more(tx, task, actor, (action,), now)
    if isinstance(counted, BudgetSpentError):
        return counted
    for one in counted:
        record(tx, event_of(tx, EventType.TASK_CHANGED, one, actor, now, change="called", action=action), (TASK, one))
    return counted[0]


def one_more(
    tx: Transaction, task: Task, actor: str, actions: Sequence[str], now: int
) -> list[Task] | BudgetSpentError:
    """The task and those above it after one more call of these actions, for the caller to write down.

    Where nothing is left that is written down here as an attempt, and returned since it has to be committed; raises
    as `spend`.
    """
    return counted_up(tx, task, actor, now, lambda one: budgets.spent(one, *actions))


def counted_up(
    tx: Transaction, task: Task, actor: str, now: int, count: Callable[[Task], Task]
) -> list[Task] | BudgetSpentError:
    """The task and those above it after that, as `one_more`; `count` raises as the functions of `budget` do."""
    counted: list[Task] = []
    for one in (task, *above(tx, task)):
        task_state.require_active(one, now)
        try:
            counted.append(count(one))
        except BudgetSpentError as error:
            _exceeded(tx, one, error.action, error, actor, now)
            return error
    return counted


def note_failed(tx: Transaction, task: Task, actor: str, action: str, now: int) -> Task:
    """The task after one more attempt that failed or was refused; raises as `spend`."""
    task_state.require_active(task, now)
    counted = budgets.failed(task, action)
    event = event_of(tx, EventType.TASK_CHANGED, counted, actor, now, change="failed", action=action)
    record(tx, event, (TASK, counted))
    return counted


def above(tx: Transaction, task: Task) -> list[Task]:
    """The tasks that it stands below, the nearest first."""
    found: list[Task] = []
    while task.parent and (parent := tx.governed.get(TASK, task.parent)) is not None:
        found.append(parent)
        task = parent
    return found


def _exceeded(tx: Transaction, task: Task, action: str, error: BudgetSpentError, actor: str, now: int) -> None:
    tried = budgets.failed(task, action)
    details = {"change": "budget_exceeded", "action": action, "bound": error.bound}
    record(tx, event_of(tx, EventType.TASK_CHANGED, tried, actor, now, **details), (TASK, tried))
    principal = tx.governed.get(PRINCIPAL, task.principal)
    if principal is not None and Trigger.BUDGET_SPENT in principal.triggers:
        end_tasks(tx, [tried], Trigger.BUDGET_SPENT.value, actor, now)
