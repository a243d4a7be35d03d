"""Deciding again from what was written down: the same answer, or what is different of it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from tests.unit.server.policy.asking import CRM, REQUEST, policy_of, requests

from assay.governed.digest import digest
from assay_server.model.governed.decision import Decision, DecisionRequest, Effect
from assay_server.policy.decide import decide
from assay_server.policy.engine import SCHEMA_VERSION, shipped
from assay_server.policy.inputs import inputs_hash
from assay_server.policy.replay import ANSWER, Difference, compared, replay

POLICY = shipped()
OTHER = policy_of('@id("a") @max_ttl("1m") @obligation_log("all") permit (principal, action, resource);')
KEPT = TypeAdapter(Decision)


def read_again(decision: Decision) -> Decision:
    """As the store gives it back; texts that it would not take go the way of plain JSON."""
    try:
        return KEPT.validate_json(KEPT.dump_json(decision))
    except PydanticSerializationError:
        return replace(decision, inputs=json.loads(json.dumps(decision.inputs)))


@settings(max_examples=400, deadline=None)
@given(requests())
def test_any_decision_replays_to_itself_from_what_is_written_down_of_it(request: DecisionRequest) -> None:
    """Requirement 60."""
    for policy in (POLICY, OTHER):
        recorded = read_again(decide(policy, request, "dec_1"))
        again = replay(policy, recorded)
        assert again.same, (again.differences, again.why_not)
        assert again.answer is not None
        assert all(getattr(again.answer, name) == getattr(recorded, name) for name in ANSWER)


def test_raw_parameters_are_not_among_what_is_kept() -> None:
    request = replace(REQUEST, parameters={"card": "4111"}, parameters_digest="sha-256:p")
    kept = KEPT.dump_json(decide(POLICY, request, "dec_1")).decode()
    assert "sha-256:p" in kept
    assert "4111" not in kept


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"ttl": 86400}, Difference("ttl", "86400", "300")),
        ({"effect": Effect.DENY}, Difference("effect", "deny", "allow")),
        ({"policies": ("a", "b")}, Difference("policies", "a, b", "within-the-task")),
        ({"reason": "because"}, Difference("reason", "because", "permitted by within-the-task")),
        ({"advice": "ask"}, Difference("advice", "ask", "")),
        ({"obligations": {"log": "all"}}, Difference("obligations", "log=all", "")),
        ({"task_id": "tsk_2"}, Difference("task_id", "tsk_2", "tsk_1")),
        ({"principal": "other"}, Difference("principal", "other", "bot")),
        ({"at": 7}, Difference("at", "7", "1000")),
    ],
)
def test_an_answer_that_was_altered_is_named_with_what_it_was(changes: dict[str, Any], difference: Difference) -> None:
    again = replay(POLICY, replace(decide(POLICY, REQUEST, "dec_1"), **changes))
    assert not again.same
    assert again.differences == (difference,)


def altered(decision: Decision) -> dict[str, Any]:
    """Its inputs, with a longer end of all that it stands on."""
    return {**decision.inputs, "ends_at": decision.inputs["ends_at"] + 1}


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"policy_version": 3}, "it was decided by version 3 of the policy, and this is version 0"),
        ({"policy_digest": "sha-256:other"}, "the shipped set was another one then"),
        ({"schema_version": SCHEMA_VERSION + 1}, f"of schema version {SCHEMA_VERSION + 1}, and this server decides by"),
        ({"schema_version": 0}, "its inputs are of no schema version, and this server decides by"),
        ({"floor_digest": "sha-256:other"}, "the rules under every set were others then"),
        ({"inputs": altered(decide(POLICY, REQUEST, "d"))}, "they were altered"),
        ({"inputs": {}}, "they were altered"),
        ({"inputs": {}, "inputs_hash": inputs_hash({})}, "what was kept of its inputs cannot be read"),
    ],
)
def test_what_cannot_be_replayed_is_said_and_not_guessed(changes: dict[str, Any], why_not: str) -> None:
    again = replay(POLICY, replace(decide(POLICY, REQUEST, "dec_1"), **changes))
    assert (again.same, again.answer, again.differences) == (False, None, ())
    assert why_not in again.why_not


def test_inputs_altered_together_with_their_digest_give_another_answer() -> None:
    decision = decide(POLICY, replace(REQUEST, requested_ttl=30), "dec_1")
    inputs = {**decision.inputs, "requested_ttl": 300}
    again = replay(POLICY, replace(decision, inputs=inputs, inputs_hash=inputs_hash(inputs)))
    assert again.differences == (Difference("ttl", "30", "300"),)


def test_the_hash_of_inputs_is_that_of_their_canonical_form() -> None:
    inputs = decide(POLICY, replace(REQUEST, customer="Zoë \n 😀 \u007f"), "dec_1").inputs
    assert inputs_hash(inputs) == digest(inputs)


def test_a_decision_is_compared_with_what_is_told_of_it() -> None:
    decision = decide(POLICY, REQUEST, "dec_1")
    told = {"effect": "allow", "policies": ["within-the-task"], "policy_version": 0, "tool": "crm.read"}
    assert compared(decision, told) == ()
    assert compared(decision, {**told, "effect": "deny"}) == (Difference("effect", "deny", "allow"),)
    assert CRM.uri in json.dumps(decision.inputs)
