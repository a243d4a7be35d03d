"""Requests that a policy cannot tell apart are decided once; whatever a rule may ask about keeps them apart."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay_server.model.governed.decision import DecisionRequest, Point
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.model.governed.task import Budget, Intent, Task, TaskState
from assay_server.policy.decide import decide
from assay_server.policy.engine import SCHEMA_VERSION, Policy, compiled, rules_of, shipped
from assay_server.policy.groups import WHOLE, Groups, mentioned
from assay_server.policy.sample import request_of

CONDITIONS = [
    'context.task.goal like "*export*"',
    'context.task.name == "tsk_a"',
    'context.task == Assay::Task::"tsk_a"',
    '[context.task].contains(context.task) && context.task.purpose == "p"',
    '(if context.confirmed then context.task else context.task).goal == "export"',
    'context.task has goal && context.task.dataClasses.contains("pii")',
    'context.now > datetime("2026-01-01T00:00:30Z")',
    'context.task.ends < context.now.offset(duration("20s"))',
    'context.task.opened < context.now.offset(duration("-20s"))',
    'context.instance == "spiffe://example.org/a"',
    'context.task.instance == ""',
    'context.task.trigger == "event" || context.task.subject == "alice"',
    "context.task.watched || context.task.heartbeat > 30",
    'principal.name == "other" || resource.name == "other"',
    "context.requestedTtl > 10 || context.depth > 1 || context.riskScore > 50",
    'context has customer && context.customer == "c"',
    'context.credential == "jwt-svid" || !context.confirmed',
    'context.task.environment == "prod" && context.task.tenant == "acme"',
]
CLEAN = request_of("credential:issue", {})
assert CLEAN.task is not None
assert CLEAN.principal is not None
TASK = CLEAN.task


def a_task(**changes: Any) -> Task:  # noqa: ANN401 - fields of Task
    return replace(TASK, **changes)


def a_request(**changes: Any) -> DecisionRequest:  # noqa: ANN401 - fields of DecisionRequest
    return replace(CLEAN, **changes)


tasks = st.builds(
    a_task,
    task_id=st.sampled_from(["tsk_a", "tsk_b"]),
    intent=st.sampled_from([Intent("export", "p"), Intent("read", "q"), Intent("")]),
    instance=st.sampled_from(["", "spiffe://example.org/a", CLEAN.instance]),
    data_classes=st.sampled_from([(), ("pii",)]),
    state=st.sampled_from([TaskState.ACTIVE, TaskState.SUSPENDED]),
    opened_at=st.integers(CLEAN.now - 40, CLEAN.now),
    ends_at=st.integers(CLEAN.now - 1, CLEAN.now + 40),
    trigger=st.sampled_from(["event:a/b", "operator:x"]),
    subject=st.sampled_from(["", "alice"]),
    heartbeat=st.sampled_from([0, 20, 60]),
    heartbeat_at=st.integers(CLEAN.now - 40, CLEAN.now),
    budget=st.sampled_from([Budget(), Budget(duration=30)]),
    principal=st.sampled_from([CLEAN.principal.name, "other"]),
    tenant=st.sampled_from([CLEAN.task.tenant, "umbrella"]),
    environment=st.sampled_from(["prod", "sandbox"]),
)
requests = st.builds(
    a_request,
    task=tasks,
    point=st.sampled_from([Point.OPEN, Point.ISSUE]),
    now=st.integers(CLEAN.now - 2, CLEAN.now + 40),
    instance=st.sampled_from([CLEAN.instance, "spiffe://example.org/a"]),
    confirmed=st.booleans(),
    requested_ttl=st.sampled_from([0, 20]),
    risk_score=st.sampled_from([0, 60]),
    depth=st.sampled_from([0, 2]),
    customer=st.sampled_from(["", "c"]),
    kind=st.sampled_from(["at+jwt", "jwt-svid"]),
    principal=st.sampled_from([CLEAN.principal, replace(CLEAN.principal, name="other")]),
)


def policy_of(conditions: list[str]) -> Policy:
    rules = "\n".join(
        f'@id("c{at}") forbid (principal, action, resource) when {{ {text} }};' for at, text in enumerate(conditions)
    )
    return compiled(PolicyBundle(1, "", SCHEMA_VERSION, {**shipped().bundle.files, "own.cedar": rules}))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(CONDITIONS), max_size=2, unique=True), st.lists(requests, min_size=2, max_size=12))
def test_of_each_request_the_answer_is_its_own(conditions: list[str], asked: list[DecisionRequest]) -> None:
    policy = policy_of(conditions)
    groups = Groups(policy)
    for request in asked:
        own, found = decide(policy, request, ""), groups.decide(request)
        assert (found.effect, found.policies, found.reason) == (own.effect, own.policies, own.reason)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_a_rule_asks_is_told_apart(condition: str) -> None:
    """Each condition by itself, over requests that differ in one thing from the clean one."""
    policy = policy_of([condition])
    groups = Groups(policy)
    changes: list[dict[str, Any]] = [
        {"task_id": "tsk_a"}, {"intent": Intent("export", "p")}, {"data_classes": ("pii",)}, {"instance": ""},
        {"trigger": "event:a/b"}, {"subject": "alice"}, {"heartbeat": 60, "heartbeat_at": CLEAN.now},
        {"ends_at": CLEAN.now + 5}, {"opened_at": CLEAN.now - 30}, {"environment": "sandbox"}, {},
    ]  # fmt: skip
    for change in changes:
        request = replace(CLEAN, task=replace(TASK, **change))
        own, found = decide(policy, request, ""), groups.decide(request)
        assert (found.effect, found.policies) == (own.effect, own.policies), change


def test_many_tasks_that_differ_in_what_nobody_asks_are_one_question() -> None:
    groups = Groups(shipped())
    answers = {
        id(groups.decide(replace(CLEAN, now=CLEAN.now + at % 2, task=replace(TASK, task_id=f"tsk_{at}"))))
        for at in range(50)
    }
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("context.task.goal == context.task.purpose", {"task.goal", "task.purpose"}),
        ("context has customer && context.customer == principal.name", {"context.customer"}),
        ("context has approval.by && context.approval.by == principal.owner", {"context.approval"}),
        ('context.task == Assay::Task::"x"', {WHOLE}),
        ("context == context", {WHOLE}),
        ('{"a": context.task}.a.goal == resource.name', {WHOLE}),
        ("principal.owner.active", set[str]()),
    ],
)
def test_what_is_mentioned(condition: str, wanted: set[str]) -> None:
    rules = rules_of(f'@id("x") forbid (principal, action, resource) when {{ {condition} }};')
    assert mentioned(rules) == wanted
