"""Constraints: which there are, and which are no broader than others."""

from typing import Any

import pytest

from assay.errors import InvalidArgumentError
from assay.governed.constraints import broader, check


def usd(amount: str) -> dict[str, Any]:
    return {"max_amount": {"amount": amount, "currency": "USD"}}


WINDOW = {"time_window": {"not_before": "2026-01-01T00:00:00Z", "not_after": "2026-02-01T00:00:00Z"}}

WITHIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_usd": 5}, {}),
    ({"max_usd": 5}, {"max_usd": 5}),
    ({"max_usd": 4.5}, {"max_usd": 5}),
    ({"min_age": 6}, {"min_age": 5}),
    ({"allowed_tools": ["a"]}, {"allowed_tools": ["a", "b"]}),
    ({"data_classification": ["a"]}, {"data_classification": ["b", "a"]}),
    (usd("499.99"), usd("500")),
    (usd("500.00"), usd("500")),
    (usd("9007199254740993"), usd("9007199254740993.0")),
    ({"tenant": "acme"}, {"tenant": "acme"}),
    ({"recipient_domain": "Mail.Example.com"}, {"recipient_domain": "example.com"}),
    ({"requires_action_approval": True}, {"requires_action_approval": False}),
    ({"resource_issued_after": "2026-01-02T00:00:00Z"}, {"resource_issued_after": "2026-01-01T00:00:00+00:00"}),
    ({"resource_issued_before": "2026-01-01T00:00:00+01:00"}, {"resource_issued_before": "2026-01-01T00:00:00Z"}),
    (WINDOW, {"time_window": {"not_after": "2026-03-01T00:00:00Z"}}),
]

BROADER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"max_usd": 5}),
    ({"max_usd": 5.01}, {"max_usd": 5}),
    ({"min_age": 4}, {"min_age": 5}),
    ({"allowed_tools": ["a", "c"]}, {"allowed_tools": ["a", "b"]}),
    (usd("500.01"), usd("500")),
    (usd("9007199254740993.0"), usd("9007199254740992.9")),
    ({"max_amount": {"amount": "1", "currency": "EUR"}}, usd("500")),
    ({"tenant": "other"}, {"tenant": "acme"}),
    ({"recipient_domain": "badexample.com"}, {"recipient_domain": "example.com"}),
    ({"recipient_domain": "com"}, {"recipient_domain": "example.com"}),
    ({"requires_action_approval": False}, {"requires_action_approval": True}),
    ({"resource_issued_after": "2025-12-31T00:00:00Z"}, {"resource_issued_after": "2026-01-01T00:00:00Z"}),
    ({"time_window": {"not_after": "2026-01-15T00:00:00Z"}}, WINDOW),
]


@pytest.mark.parametrize(("candidate", "reference"), WITHIN)
def test_what_allows_no_more_is_within(candidate: dict[str, Any], reference: dict[str, Any]) -> None:
    assert broader(candidate, reference) is None


@pytest.mark.parametrize(("candidate", "reference"), BROADER)
def test_what_allows_more_or_is_missing_is_broader(candidate: dict[str, Any], reference: dict[str, Any]) -> None:
    assert broader(candidate, reference) == next(iter(reference))


@pytest.mark.parametrize(
    "constraints",
    [
        {"surprise": 1},
        {"max_": 1, "MAX_usd": 1},
        {"max_usd": "5"},
        {"max_usd": True},
        {"max_usd": float("nan")},
        {"max_usd": 2**60},
        {"allowed_tools": []},
        {"allowed_tools": "a"},
        {"allowed_tools": [1]},
        {"tenant": ""},
        {"requires_action_approval": 1},
        {"max_amount": 5},
        usd("1e3"),
        usd("-1"),
        usd("NaN"),
        usd(" 1"),
        {"max_amount": {"amount": "1", "currency": "usd"}},
        {"max_amount": {"amount": "1", "currency": "USD", "more": 1}},
        {"time_window": {}},
        {"time_window": {"until": "2026-01-01T00:00:00Z"}},
        {"resource_issued_after": "2026-01-01"},
        {"resource_issued_after": 5},
    ],
)
def test_what_is_not_known_or_not_well_written_is_refused(constraints: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        check(constraints)
    with pytest.raises(InvalidArgumentError):
        broader(constraints, {})
