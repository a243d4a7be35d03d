"""Requirement 29: each attribute is an input of its own, and a rule about it alone turns the answer."""

from typing import Any

import pytest

from assay_server.model.governed.decision import Effect
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.decide import decide
from assay_server.policy.engine import SCHEMA_VERSION, Policy, compiled
from assay_server.policy.sample import Overrides, request_of

PERMIT = '@id("all") permit (principal, action, resource);\n'


def policy_with(condition: str) -> Policy:
    rule = f'@id("rule") forbid (principal, action, resource) when {{ {condition} }};'
    return compiled(PolicyBundle(1, "", SCHEMA_VERSION, {"a.cedar": PERMIT + rule}))


def effect(policy: Policy, different: Overrides) -> Effect:
    return decide(policy, request_of("tool:call", different), "dec_1").effect


ATTRIBUTES: list[tuple[str, str, dict[str, dict[str, Any]]]] = [
    ("purpose of the task", 'context.task.purpose == "marketing"', {"task": {"purpose": "marketing"}}),
    ("intent of the task", 'context.task.goal like "*delete*"', {"task": {"goal": "delete old rows"}}),
    ("purpose of the principal", 'principal.purpose == "marketing"', {"principal": {"purpose": "marketing"}}),
    ("data sensitivity", 'resource.sensitivity == "restricted"', {"resource": {"sensitivity": "restricted"}}),
    ("data classes", 'resource.dataClasses.contains("pii")', {"resource": {"data_classes": ["pii"]}}),
    ("destination", 'context.destination == "evil.example"', {"resource": {"uri": "https://evil.example/x"}}),
    ("environment", 'principal.environment == "lab"', {"principal": {"environment": "lab"}}),
    ("trust of the environment", 'resource.environmentTrust == "sandbox"', {"resource": {"environment": "sandbox-2"}}),
    ("time", 'context.now >= datetime("2026-01-01")', {"request": {"now": 1_800_000_000}}),
    ("time of day", 'context.now.toTime() >= duration("22h")', {"request": {"now": 1_763_850_000}}),
    ("risk score", "context.riskScore > 50", {"request": {"risk_score": 51}}),
    ("risk of the tool", 'resource.risk == "medium"', {"tool": {"risk": "medium"}}),
    ("risk class of the principal", 'principal.riskClass == "medium"', {"principal": {"risk_class": "medium"}}),
    ("tenant", 'context.task.tenant == "umbrella"', {"principal": {"tenant": "umbrella"}}),
    ("customer", 'context has customer && context.customer == "c-7"', {"request": {"customer": "c-7"}}),
    ("on whose behalf", 'context.task.subject == "mallory"', {"task": {"subject": "mallory"}}),
    ("action chain", 'context.chain.contains("crm.export")', {"request": {"chain": ["crm.export", "crm.read"]}}),
    ("action before", 'context.previous == "crm.read"', {"request": {"chain": ["crm.export", "crm.read"]}}),
    ("length of the chain", "context.steps > 1", {"request": {"chain": ["a", "b"]}}),
    ("delegation depth", "context.depth > 2", {"request": {"depth": 3}}),
    ("model", 'principal.model == "acme-3"', {"principal": {"model": "acme-3"}}),
    ("trigger", 'context.task.trigger == "event"', {"task": {"trigger": "event:cron/1"}}),
    ("heartbeats", "context.task.watched", {"task": {"heartbeat": 60}}),
    ("proof of a key", "!context.confirmed", {"request": {"confirmed": False}}),
    ("quarantine", "principal.quarantined", {"request": {"quarantined": True}}),
    ("grant", 'principal in Assay::MachineGrant::"deployer"', {"principal": {"grants": ["deployer"]}}),
    ("parameters", 'context.paramsDigest == "sha-256:x"', {"request": {"parameters_digest": "sha-256:x"}}),
    (
        "approval",
        'context has approval && context.approval.by == Assay::Owner::"person:eve"',
        {"approval": {"by": "person:eve"}},
    ),
]


@pytest.mark.parametrize(
    ("condition", "different"), [one[1:] for one in ATTRIBUTES], ids=[one[0] for one in ATTRIBUTES]
)
def test_a_rule_about_one_attribute_turns_the_answer(condition: str, different: dict[str, dict[str, Any]]) -> None:
    policy = policy_with(condition)
    assert effect(policy, {}) is Effect.ALLOW
    assert effect(policy, different) is Effect.DENY


def test_the_same_role_for_another_purpose_is_another_decision() -> None:
    policy = policy_with('context.task.purpose != "support" && resource.dataClasses.contains("pii")')
    role: Overrides = {"principal": {"grants": ["crm-reader"], "purpose": "support", "data_classes": ["pii"]}}
    data: Overrides = {**role, "resource": {"data_classes": ["pii"]}}
    assert effect(policy, data) is Effect.ALLOW
    assert effect(policy, {**data, "task": {"purpose": "marketing"}}) is Effect.DENY


def test_a_doubt_is_never_made_less() -> None:
    """Of what is registered and what is asked with the worse counts: nothing that judges can clear anybody."""
    policy = policy_with("context.riskScore >= 50")
    doubtful: Overrides = {"principal": {"risk_score": 60}}
    for score, expected in ((0, Effect.DENY), (90, Effect.DENY)):
        assert effect(policy, {**doubtful, "request": {"risk_score": score}}) is expected
    assert effect(policy, {"principal": {"risk_score": 10}, "request": {"risk_score": 49}}) is Effect.ALLOW
    held: Overrides = {"principal": {"quarantined": True}, "request": {"quarantined": False}}
    assert effect(policy, held) is Effect.DENY
