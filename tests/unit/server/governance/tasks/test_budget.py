"""Budgets: what is used, left and too much."""

from dataclasses import replace

import pytest

from assay.errors import InvalidArgumentError, PermissionDeniedError
from assay.governed.authority import Access
from assay_server.governance.budget import BudgetSpentError, Left, check, failed, left, outside, spent
from assay_server.model.governed.task import Budget, Intent, Task

BOTH = (Access("https://crm", ("read", "refund")),)
TASK = Task("tsk_1", "bot", "", "person:a", "acme", "prod", Intent("x"), BOTH, "", "", "operator:local:0", 100, 200)


def test_calls_are_counted_in_all_and_by_action() -> None:
    task = replace(TASK, budget=Budget(calls=3, calls_by_action={"refund": 1}))
    task = spent(spent(task, "refund"), "read")
    assert (task.used.calls, task.used.calls_by_action) == (2, {"refund": 1, "read": 1})
    with pytest.raises(BudgetSpentError, match="calls of refund: 1"):
        spent(task, "refund")
    task = spent(task, "read")
    with pytest.raises(BudgetSpentError, match="its calls: 3") as error:
        spent(task, "read")
    assert error.value.bound == "calls"


def test_attempts_are_counted_for_each_action_by_itself() -> None:
    task = replace(TASK, budget=Budget(attempts=2))
    for _ in range(2):
        task = failed(spent(task, "refund"), "refund")
    with pytest.raises(BudgetSpentError, match="attempts of refund: 2"):
        spent(task, "refund")
    assert spent(task, "read").used.calls == 3


def test_zero_is_no_bound() -> None:
    task = TASK
    for _ in range(50):
        task = failed(spent(task, "read"), "read")
    assert task.used.calls == 50
    assert left(task, 150) == Left(None, 50)


def test_what_is_no_action_of_the_task_is_not_counted() -> None:
    for count in (spent, failed):
        with pytest.raises(PermissionDeniedError):
            count(TASK, "delete")


def test_what_is_left_is_never_less_than_nothing() -> None:
    task = replace(TASK, budget=Budget(calls=2, attempts=1, calls_by_action={"refund": 1}))
    assert left(task, 150) == Left(2, 50, {"refund": 1}, {"read": 1, "refund": 1})
    used = failed(failed(spent(spent(task, "refund"), "read"), "read"), "read")
    assert left(used, 300) == Left(0, 0, {"refund": 0}, {"read": 0, "refund": 1})


@pytest.mark.parametrize(
    "budget",
    [
        Budget(calls=-1),
        Budget(attempts=2**53 + 1),
        Budget(duration=-5),
        Budget(calls_by_action={"delete": 1}),
        Budget(calls_by_action={"read": 0}),
        Budget(calls_by_action={"read": -1}),
    ],
)
def test_what_cannot_be_counted_is_no_budget(budget: Budget) -> None:
    with pytest.raises(InvalidArgumentError):
        check(budget, BOTH)


@pytest.mark.parametrize(
    ("candidate", "reference", "bound"),
    [
        (Budget(), Budget(), None),
        (Budget(calls=5), Budget(), None),
        (Budget(calls=5), Budget(calls=5), None),
        (Budget(calls=6), Budget(calls=5), "calls"),
        (Budget(), Budget(calls=5), "calls"),
        (Budget(calls=5), Budget(calls=5, attempts=1), "attempts"),
        (Budget(), Budget(calls_by_action={"read": 1}), "calls of read"),
        (Budget(calls_by_action={"read": 2}), Budget(calls_by_action={"read": 1}), "calls of read"),
        (Budget(calls_by_action={"read": 1, "refund": 1}), Budget(calls_by_action={"read": 1}), None),
    ],
)
def test_a_budget_is_within_another_or_says_where_it_is_not(
    candidate: Budget, reference: Budget, bound: str | None
) -> None:
    assert outside(candidate, reference) == bound
