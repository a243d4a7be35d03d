"""Requests: sizes before contents, and nothing accepted that nobody enforces."""

import json

import pytest

from assay.errors import InvalidArgumentError
from assay_server.governance.task_request import (
    MAX_DETAILS,
    MAX_INTENT,
    constraints_of,
    details_of,
    expires_at,
    intent_of,
)


def test_an_intent_is_kept_as_it_was_sent() -> None:
    text = '{"goal": "Reconcile", "purpose": "urn:x", "success_criteria": ["all"], "extra": {"a": [1, 2.5]}}'
    intent = intent_of(text)
    assert (intent.goal, intent.purpose) == ("Reconcile", "urn:x")
    assert intent.document == json.loads(text)
    assert expires_at(intent) is None
    assert expires_at(intent_of('{"goal": "x", "expires_at": "1970-01-01T00:01:00Z"}')) == 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"goal": ""}',
        '{"goal": 5}',
        '{"goal": "a", "goal": "b"}',
        '{"goal": "a", "purpose": 5}',
        '{"goal": "a", "x": {"b": 1, "b": 2}}',
        '{"goal": "a", "n": NaN}',
        '{"goal": "a", "n": "\\ud800"}',
        '{"goal": "a", "resources": "https://crm"}',
        '{"goal": "a", "constraints": [1]}',
        '{"goal": "a", "expires_at": "tomorrow"}',
        '{"goal": "a", "expires_at": 5}',
        '{"goal": "a", "expires_at": "2026-12-31"}',
        '{"goal": "a", "controls": {"acr": "x"}}',
        '{"goal": "a", "controls": 5}',
        '{"goal": "' + "a" * 4097 + '"}',
    ],
)
def test_what_is_no_intent_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        intent_of(text)


def test_a_control_that_nobody_enforces_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="max_derivations"):
        intent_of('{"goal": "a", "controls": {"max_derivations": 5}}')


@pytest.mark.parametrize("text", ["[" * 2**20, '{"goal":"' + "a" * 2**20 + '"}', "é" * (MAX_DETAILS // 2 + 1)])
def test_what_is_too_large_is_not_parsed(text: str) -> None:
    for read in (intent_of, constraints_of, details_of):
        with pytest.raises(InvalidArgumentError, match="bytes"):
            read(text)
    with pytest.raises(InvalidArgumentError, match="bytes"):
        intent_of("é" * (MAX_INTENT // 2 + 1))


@pytest.mark.parametrize("text", ["", "{}", "[", '[], "all": []', '[],"x":1', "null"])
def test_what_is_no_list_of_details_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        details_of(text)


def test_constraints_are_none_or_known_ones() -> None:
    assert constraints_of("") == {}
    assert constraints_of('{"max_usd": 5}') == {"max_usd": 5}
    for text in ("[]", '{"surprise": 1}', '{"max_usd": 1, "max_usd": 2}'):
        with pytest.raises(InvalidArgumentError):
            constraints_of(text)
