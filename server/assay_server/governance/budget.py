"""What of a task's budget is used and left: pure. Zero is no bound, here as in `Budget`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from assay.errors import InvalidArgumentError, PermissionDeniedError, ResourceExhaustedError
from assay.governed.authority import Authority, actions_of
from assay_server.model.governed.task import Budget, Task

MOST = 2**53
"""JSON says no whole number beyond this everywhere alike."""


class BudgetSpentError(ResourceExhaustedError):
    """One more would be more than the task's budget; `bound` is the one: `calls`, `calls of X` or `attempts of X`."""

    def __init__(self, task_id: str, bound: str, limit: int, action: str) -> None:
        super().__init__(f"task {task_id} has used up its {bound}: {limit}")
        self.bound = bound
        self.action = action


@dataclass(frozen=True, slots=True)
class Left:
    """What is left; None where there is no bound. `seconds` is until the task's end."""

    calls: int | None
    seconds: int
    calls_by_action: Mapping[str, int] = field(default_factory=dict[str, int])
    attempts: Mapping[str, int] = field(default_factory=dict[str, int])


def check(budget: Budget, authority: Authority) -> None:
    """See that its bounds are numbers that can be counted to, of actions that the authority has.

    Raises:
        InvalidArgumentError: one is not.
    """
    named = {"calls": budget.calls, "attempts": budget.attempts, "duration": budget.duration}
    for name, value in (*named.items(), *((f"calls of {key}", one) for key, one in budget.calls_by_action.items())):
        if not 0 <= value <= MOST:
            raise InvalidArgumentError(f"budget: {name} is out of range")
    actions = {action for _, action in actions_of(authority)}
    for action, calls in budget.calls_by_action.items():
        if action not in actions:
            raise InvalidArgumentError(f"budget: {action} is no action of the task")
        if not calls:
            raise InvalidArgumentError(f"budget: no calls of {action}", hint="leave the action out of the authority")


def outside(candidate: Budget, reference: Budget) -> str | None:
    """The first bound in which `candidate` allows more than `reference`; None if there is none.

    How long a task lasts is compared by its end.
    """
    pairs = {
        "calls": (candidate.calls, reference.calls),
        "attempts": (candidate.attempts, reference.attempts),
    }
    for action, most in reference.calls_by_action.items():
        pairs[f"calls of {action}"] = (candidate.calls_by_action.get(action, 0), most)
    return next((name for name, (one, most) in pairs.items() if most and not 0 < one <= most), None)


def spent(task: Task, *actions: str) -> Task:
    """The task after one more call, of one action or of several at once.

    Raises:
        PermissionDeniedError: one is no action of the task.
        BudgetSpentError: it would be one too many.
    """
    for action in actions:
        _require_action(task, action)
        _require_left(task, action)
    used = task.used
    calls = {**used.calls_by_action, **{one: used.calls_by_action.get(one, 0) + 1 for one in actions}}
    return replace(task, used=replace(used, calls=used.calls + 1, calls_by_action=calls))


@dataclass(frozen=True, slots=True)
class Paid:
    """What of a call was counted before, with the token that it is made with: as a call, as one of its action."""

    call: bool = False
    action: bool = False


def called(task: Task, action: str, paid: Paid) -> Task:
    """The task after a call of that action, which is the last of its chain now; raises as `spent`."""
    _require_action(task, action)
    _require_left(task, action, paid)
    used = task.used
    by_action = dict(used.calls_by_action)
    by_action[action] = by_action.get(action, 0) + (not paid.action)
    chain = (*(each for each in used.chain if each != action), action)
    more = replace(
        used, calls=used.calls + (not paid.call), calls_by_action=by_action, chain=chain, steps=used.steps + 1
    )
    return replace(task, used=more)


def failed(task: Task, action: str) -> Task:
    """The task after one more attempt of an action that failed or was refused."""
    _require_action(task, action)
    attempts = {**task.used.attempts, action: task.used.attempts.get(action, 0) + 1}
    return replace(task, used=replace(task.used, attempts=attempts))


def left(task: Task, now: int) -> Left:
    """What is left at `now`, never less than nothing."""
    budget, used = task.budget, task.used
    actions = sorted({action for _, action in actions_of(task.authority)})
    return Left(
        calls=max(0, budget.calls - used.calls) if budget.calls else None,
        seconds=max(0, task.ends_at - now),
        calls_by_action={
            action: max(0, most - used.calls_by_action.get(action, 0))
            for action, most in sorted(budget.calls_by_action.items())
        },
        attempts={action: max(0, budget.attempts - used.attempts.get(action, 0)) for action in actions}
        if budget.attempts
        else {},
    )


def _require_action(task: Task, action: str) -> None:
    if all(action != one for _, one in actions_of(task.authority)):
        raise PermissionDeniedError(f"{action} is no action of task {task.task_id}")


def _require_left(task: Task, action: str, paid: Paid = Paid()) -> None:
    budget, used = task.budget, task.used
    bounds = (
        ("calls", 0 if paid.call else budget.calls, used.calls),
        (
            f"calls of {action}",
            0 if paid.action else budget.calls_by_action.get(action, 0),
            used.calls_by_action.get(action, 0),
        ),
        (f"attempts of {action}", budget.attempts, used.attempts.get(action, 0)),
    )
    for name, most, so_far in bounds:
        if most and so_far >= most:
            raise BudgetSpentError(task.task_id, name, most, action)
