"""States: only `active` permits, and from an end there is no way back."""

from dataclasses import replace

import pytest

from assay_server.governance.task_state import (
    InactiveTaskError,
    due_cause,
    ended,
    heard,
    live,
    require_active,
    resumed,
    suspended,
)
from assay_server.model.governed.task import ENDED, TASK, Intent, Task, TaskState

TASK_1 = Task("tsk_1", "bot", "", "person:a", "acme", "prod", Intent("x"), (), "", "", "operator:local:0", 100, 200)


@pytest.mark.parametrize("state", [one for one in TaskState if one is not TaskState.ACTIVE])
def test_no_other_state_permits_anything(state: TaskState) -> None:
    task = replace(TASK_1, state=state)
    with pytest.raises(InactiveTaskError):
        require_active(task, 150)
    with pytest.raises(InactiveTaskError):
        heard(task, 150)
    with pytest.raises(InactiveTaskError):
        suspended(task, "", 150)


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        ("task_completed", TaskState.COMPLETED),
        ("timeout", TaskState.EXPIRED),
        ("heartbeat_missed", TaskState.REVOKED),
        ("owner_left", TaskState.REVOKED),
        ("whatever", TaskState.REVOKED),
    ],
)
def test_the_cause_says_which_end_it_is(cause: str, state: TaskState) -> None:
    over = ended(TASK_1, cause, 150)
    assert (over.state, over.state_reason, over.ended_at, over.revision) == (state, cause, 150, 2)
    assert not live(over)
    assert ended(over, "other", 160) == over


@pytest.mark.parametrize("state", [one for one in TaskState if one in ENDED])
def test_from_an_end_there_is_no_way_back(state: TaskState) -> None:
    with pytest.raises(InactiveTaskError):
        resumed(replace(TASK_1, state=state), 150)
    assert due_cause(replace(TASK_1, state=state), 10**9) is None


def test_a_task_in_a_state_that_is_not_known_can_only_be_ended() -> None:
    task = replace(TASK_1, state=TaskState("paused"))
    with pytest.raises(InactiveTaskError, match="not known"):
        require_active(task, 150)
    with pytest.raises(InactiveTaskError):
        resumed(task, 150)
    assert ended(task, "cleanup", 150).state is TaskState.REVOKED


def test_a_held_task_goes_on_in_its_time_with_a_fresh_heartbeat() -> None:
    task = replace(TASK_1, heartbeat=10, heartbeat_at=100)
    held = suspended(task, "review", 105)
    assert due_cause(held, 190) is None
    assert due_cause(held, 200) == "timeout"
    on = resumed(held, 150)
    assert (on.state, on.heartbeat_at, on.state_reason, on.revision) == (TaskState.ACTIVE, 150, "", 3)
    with pytest.raises(InactiveTaskError, match="over"):
        resumed(held, 200)


def test_silence_and_the_end_count_before_anybody_writes_them_down() -> None:
    task = replace(TASK_1, heartbeat=10, heartbeat_at=100)
    require_active(task, 109)
    with pytest.raises(InactiveTaskError, match="missed its heartbeat"):
        heard(task, 110)
    assert due_cause(task, 110) == "heartbeat_missed"
    assert due_cause(task, 200) == "timeout"
    with pytest.raises(InactiveTaskError, match="its time has come"):
        require_active(TASK_1, 200)


def test_the_store_knows_when_a_task_is_due() -> None:
    task = replace(TASK_1, heartbeat=10, heartbeat_at=100)
    assert (TASK.due(TASK_1), TASK.due(task)) == (200, 110)
    assert TASK.due(replace(task, state=TaskState.SUSPENDED)) == 200
    assert TASK.due(replace(task, state=TaskState.COMPLETED)) == 0
    assert TASK.due(replace(task, heartbeat=1000)) == 200
