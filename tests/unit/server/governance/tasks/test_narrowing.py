"""Narrowing: only ever less."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import InvalidArgumentError
from assay.governed.authority import Access, outside
from assay.governed.digest import authority_hash
from assay_server.governance.narrowing import BroaderError, Narrowing, narrowed
from assay_server.model.governed.task import Budget, Intent, Task

WHOLE = (Access("https://crm", ("read", "refund"), {"max_usd": 50}), Access("https://erp", ("post",)))
TASK = Task(
    "tsk_1", "bot", "", "person:a", "acme", "prod", Intent("x"), WHOLE, "", "sha-256:old", "operator:local:0", 100, 200,
    data_classes=("orders", "tickets"), constraints={"max_rows": 10},
    budget=Budget(calls=10, attempts=3, calls_by_action={"refund": 2, "post": 1}),
)  # fmt: skip
NOW = 150


def to(**changes: Any) -> Task:  # noqa: ANN401 - fields of Narrowing
    return narrowed(TASK, Narrowing(**changes), "https://issuer", NOW)


def test_nothing_asked_for_is_nothing_changed_but_the_revision() -> None:
    same = to()
    assert (same.authority, same.budget, same.ends_at, same.revision) == (WHOLE, TASK.budget, 200, 2)


def test_less_authority_has_another_hash_and_no_bounds_of_what_is_gone() -> None:
    less = to(authority=(Access("https://crm", ("refund",), {"max_usd": 20}),))
    assert less.authority_hash == authority_hash("https://issuer", less.authority)
    assert less.budget == Budget(calls=10, attempts=3, calls_by_action={"refund": 2})


def test_budget_end_constraints_and_classes_only_shrink() -> None:
    less = to(
        constraints={"max_rows": 5, "max_usd": 1},
        data_classes=("tickets",),
        budget=Budget(calls=4, duration=60),
        ends_at=190,
    )
    assert less.budget == Budget(calls=4, attempts=3, duration=60, calls_by_action={"refund": 2, "post": 1})
    assert (less.ends_at, less.data_classes) == (160, ("tickets",))
    assert to(ends_at=5).ends_at == NOW


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"authority": (Access("https://crm", ("delete",), {"max_usd": 50}),)}, "delete"),
        ({"authority": (Access("https://other", ("read",)),)}, "https://other"),
        ({"authority": (Access("https://crm", ("read",)),)}, "max_usd"),
        ({"authority": (Access("https://crm", ("read",), {"max_usd": 51}),)}, "max_usd"),
        ({"constraints": {}}, "max_rows"),
        ({"data_classes": ("payroll",)}, "payroll"),
        ({"budget": Budget(calls=11)}, "calls"),
        ({"budget": Budget(calls_by_action={"refund": 3})}, "calls of refund"),
        ({"ends_at": 201}, "later end"),
    ],
)
def test_more_of_anything_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(BroaderError, match=what):
        to(**changes)


def test_a_constraint_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        to(constraints={"max_rows": 5, "surprise": 1})
    with pytest.raises(InvalidArgumentError):
        to(budget=Budget(calls_by_action={"nothing": 1}))


@given(
    st.lists(
        st.builds(
            Access,
            st.sampled_from(["https://crm", "https://erp", "https://x"]),
            st.sets(st.sampled_from(["read", "refund", "post", "x"]), min_size=1).map(tuple),
            st.dictionaries(st.sampled_from(["max_usd"]), st.integers(0, 60)),
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 300),
    st.integers(0, 20),
)
def test_whatever_is_asked_for_what_comes_out_is_less(authority: list[Access], ends_at: int, calls: int) -> None:
    try:
        less = to(authority=tuple(authority), ends_at=ends_at, budget=Budget(calls=calls))
    except (BroaderError, InvalidArgumentError):
        return
    assert outside(less.authority, WHOLE) is None
    assert less.ends_at <= TASK.ends_at
    assert 0 < less.budget.calls <= TASK.budget.calls
