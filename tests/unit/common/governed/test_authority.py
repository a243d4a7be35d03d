"""Authorities: read from authorization details, and compared."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import InvalidArgumentError
from assay.governed.authority import MAX_ACCESSES, MAX_ACTIONS, Access, authority_of, details, outside, permits

TYPE = "mission_resource_access"


def detail(**changes: object) -> dict[str, Any]:
    return {"type": TYPE, "resource": "https://crm", "actions": ["read"]} | changes


def test_an_authority_reads_as_it_is_said() -> None:
    said = [detail(constraints={"max_usd": 5}), detail(resource="https://erp", actions=["read", "write"])]
    authority = authority_of(said)
    assert authority == (Access("https://crm", ("read",), {"max_usd": 5}), Access("https://erp", ("read", "write")))
    assert details(authority) == said
    assert permits(authority, "https://erp", "write") is authority[1]
    assert permits(authority, "https://crm", "write") is None


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        [],
        "x",
        [None],
        [{}],
        [detail(type="other")],
        [detail(resource="")],
        [detail(resource="x" * 600)],
        [detail(resource="a\nb")],
        [detail(actions=[])],
        [detail(actions="read")],
        [detail(actions=[5])],
        [detail(constraints=[])],
        [detail(constraints={"surprise": 1})],
        [detail(delegation={"max_depth": 1})],
        [detail(actions=["read", "read"])],
        [detail(), detail(constraints={"max_usd": 5})],
        [detail(resource=f"https://{number}") for number in range(MAX_ACCESSES + 1)],
        [detail(actions=[str(number) for number in range(MAX_ACTIONS + 1)])],
    ],
)
def test_what_is_no_authority_is_refused(said: object) -> None:
    with pytest.raises(InvalidArgumentError):
        authority_of(said)


def test_less_is_within_and_more_is_named() -> None:
    whole = authority_of(
        [detail(actions=["read", "write"], constraints={"max_usd": 5}), detail(resource="https://erp")]
    )
    assert outside(whole, whole) is None
    assert outside((Access("https://crm", ("read",), {"max_usd": 4}),), whole) is None
    assert outside((Access("https://other", ("read",)),), whole) == "resource https://other"
    assert outside((Access("https://erp", ("write",)),), whole) == "write on https://erp"
    assert outside((Access("https://crm", ("read",)),), whole) == 'constraint "max_usd" on https://crm'


def test_an_access_has_to_lie_within_a_single_one() -> None:
    whole = (Access("https://crm", ("read",)), Access("https://crm", ("write",), {"max_usd": 5}))
    assert outside((Access("https://crm", ("read", "write"), {"max_usd": 5}),), whole) == "read, write on https://crm"
    assert outside(whole, whole) is None


ACCESSES = st.builds(
    Access,
    st.sampled_from(["r1", "r2"]),
    st.sets(st.sampled_from(["a", "b", "c"]), min_size=1).map(lambda actions: tuple(sorted(actions))),
    st.dictionaries(st.sampled_from(["max_x", "min_y"]), st.integers(0, 3)),
)


def possible(authority: tuple[Access, ...]) -> set[tuple[str, str, int, int]]:
    """Every call that it lets through, in a world of few."""
    return {
        (one.resource, action, x, y)
        for one in authority
        for action in one.actions
        for x in range(4)
        for y in range(4)
        if x <= one.constraints.get("max_x", 9) and y >= one.constraints.get("min_y", 0)
    }


@given(st.lists(ACCESSES, min_size=1, max_size=3), st.lists(ACCESSES, min_size=1, max_size=3))
def test_what_is_within_allows_nothing_that_the_whole_does_not(less: list[Access], whole: list[Access]) -> None:
    if outside(tuple(less), tuple(whole)) is None:
        assert possible(tuple(less)) <= possible(tuple(whole))
