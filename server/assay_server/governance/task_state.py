"""The states of a task and the ways between them: pure, and `active` alone permits anything."""

from dataclasses import replace

from assay.errors import FailedPreconditionError
from assay_server.model.governed.principal import Trigger
from assay_server.model.governed.task import ENDED, Task, TaskState

# What ends a task by itself has a state of its own; whatever else ends one revokes it.
_BY_CAUSE = {Trigger.TASK_COMPLETED.value: TaskState.COMPLETED, Trigger.TIMEOUT.value: TaskState.EXPIRED}


class InactiveTaskError(FailedPreconditionError):
    """The task permits nothing, now or any more."""


def live(task: Task) -> bool:
    """Whether it has not ended, as far as anybody wrote down: one in a state that is not known has not."""
    return task.state not in ENDED


def ended(task: Task, cause: str, now: int) -> Task:
    """The task at its end; one that has ended stays as it is."""
    if not live(task):
        return task
    state = _BY_CAUSE.get(cause, TaskState.REVOKED)
    return replace(task, state=state, state_reason=cause, ended_at=now, revision=task.revision + 1)


def suspended(task: Task, reason: str, now: int) -> Task:
    """The task held, until it is resumed or its time is over.

    Raises:
        InactiveTaskError: it is not active.
    """
    require_active(task, now)
    return replace(task, state=TaskState.SUSPENDED, state_reason=reason, revision=task.revision + 1)


def resumed(task: Task, now: int) -> Task:
    """The task active again; the silence while it was held is none.

    Raises:
        InactiveTaskError: it was not suspended, or its time is over.
    """
    if task.state is not TaskState.SUSPENDED:
        raise InactiveTaskError(f"task {task.task_id} is {task.state.value}, not suspended")
    if now >= task.ends_at:
        raise InactiveTaskError(f"the time of task {task.task_id} is over")
    return replace(task, state=TaskState.ACTIVE, state_reason="", heartbeat_at=now, revision=task.revision + 1)


def heard(task: Task, now: int) -> Task:
    """The task after a heartbeat, which does not bring back one that was silent for too long.

    Raises:
        InactiveTaskError: it is not active.
    """
    require_active(task, now)
    return replace(task, heartbeat_at=now)


def require_active(task: Task, now: int) -> None:
    """See that it permits something at `now` (Unix seconds).

    Raises:
        InactiveTaskError: it does not, and why.
    """
    if task.active(now):
        return
    if task.state is TaskState.UNKNOWN:
        why = "is in a state that is not known, which permits nothing"
    elif task.state is not TaskState.ACTIVE:
        why = f"is {task.state.value}" + (f" ({task.state_reason})" if task.state_reason else "")
    elif now >= task.ends_at:
        why = "is over: its time has come"
    else:
        why = "has missed its heartbeat"
    raise InactiveTaskError(f"task {task.task_id} {why}")


def due_cause(task: Task, now: int) -> str | None:
    """What time alone has made of it: the cause of its end; None if nothing yet."""
    if not live(task):
        return None
    if now >= task.ends_at:
        return Trigger.TIMEOUT.value
    if task.state is TaskState.ACTIVE and task.silent(now):
        return Trigger.HEARTBEAT_MISSED.value
    return None
