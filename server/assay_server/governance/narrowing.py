"""Less of a task, never more: what a narrowed task, or one opened below another, may still have. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from assay.errors import PermissionDeniedError
from assay.governed import authority as authorities
from assay.governed import constraints as bounds
from assay.governed.authority import Authority
from assay.governed.digest import authority_hash
from assay_server.governance import budget as budgets
from assay_server.model.governed.task import Budget, Task


class BroaderError(PermissionDeniedError):
    """More was asked for than there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What is left of a task; None leaves a part as it is. `ends_at` is in Unix seconds."""

    authority: Authority | None = None
    constraints: dict[str, Any] | None = None
    data_classes: tuple[str, ...] | None = None
    budget: Budget | None = None
    ends_at: int | None = None


def narrowed(task: Task, to: Narrowing, issuer: str, now: int) -> Task:
    """The task with less. An end that has come already is `now`, at which the task is over.

    Raises:
        BroaderError: it would have more of something.
        InvalidArgumentError: a constraint is not known, or a budget is none.
    """
    less = replace(
        task,
        authority=task.authority if to.authority is None else to.authority,
        constraints=task.constraints if to.constraints is None else to.constraints,
        data_classes=task.data_classes if to.data_classes is None else to.data_classes,
        budget=_budget(task, to),
        ends_at=_end(task, to, now),
        revision=task.revision + 1,
    )
    require_within(less, task)
    budgets.check(less.budget, less.authority)
    return replace(less, authority_hash=authority_hash(issuer, less.authority))


def require_within(less: Task, task: Task) -> None:
    """See that one task has no more than another of authority, constraints, data classes, budget and time.

    Raises:
        BroaderError: it has.
        InvalidArgumentError: a constraint is not known.
    """
    if (extra := authorities.outside(less.authority, task.authority)) is not None:
        raise _broader(task, extra)
    if (key := bounds.broader(less.constraints, task.constraints)) is not None:
        raise _broader(task, f'constraint "{key}"')
    if classes := sorted(set(less.data_classes) - set(task.data_classes)):
        raise _broader(task, f"data class {', '.join(classes)}")
    if (name := budgets.outside(less.budget, _of_same_actions(task.budget, less))) is not None:
        raise _broader(task, f"budget of {name}")
    if less.ends_at > task.ends_at:
        raise _broader(task, "a later end")


def _budget(task: Task, to: Narrowing) -> Budget:
    """The one it had without bounds of actions that are gone, and the new bounds where there are some."""
    authority = task.authority if to.authority is None else to.authority
    kept = _restricted(task.budget, (action for _, action in authorities.actions_of(authority)))
    if to.budget is None:
        return kept
    return Budget(
        calls=to.budget.calls or kept.calls,
        attempts=to.budget.attempts or kept.attempts,
        duration=to.budget.duration or kept.duration,
        calls_by_action=kept.calls_by_action | to.budget.calls_by_action,
    )


def _end(task: Task, to: Narrowing, now: int) -> int:
    """An end that was asked for, or that the new duration makes."""
    asked = task.ends_at if to.ends_at is None else to.ends_at
    if to.budget is not None and to.budget.duration:
        asked = min(asked, task.opened_at + to.budget.duration)
    return max(asked, now)


def _of_same_actions(budget: Budget, less: Task) -> Budget:
    return _restricted(budget, (action for _, action in authorities.actions_of(less.authority)))


def _restricted(budget: Budget, actions: Iterable[str]) -> Budget:
    kept = set(actions)
    return replace(budget, calls_by_action={key: one for key, one in budget.calls_by_action.items() if key in kept})


def _broader(task: Task, what: str) -> BroaderError:
    return BroaderError(f"not within task {task.task_id}: {what}", hint="a task only ever becomes less; open another")
