"""The one function that decides."""

from dataclasses import replace
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings
from tests.unit.server.policy.asking import ALICE, BOT, CRM, READ, REFUND, REQUEST, TASK, policy_of, requests

from assay.governed.authority import Access
from assay_server.model.governed.catalogue import ActionClass, Grant, Holder, Risk, Sensitivity
from assay_server.model.governed.decision import Approval, DecisionRequest, Effect, Point
from assay_server.model.governed.owner import Owner, OwnerState
from assay_server.model.governed.principal import ActorType, PrincipalState
from assay_server.model.governed.task import Budget, Intent, TaskState
from assay_server.policy.decide import decide, decided
from assay_server.policy.engine import schema, shipped
from assay_server.policy.inputs import inputs_of

POLICY = shipped()


def asked(**changes: Any) -> DecisionRequest:  # noqa: ANN401 - fields of DecisionRequest
    return replace(REQUEST, **changes)


def test_what_a_task_is_for_is_allowed_for_a_while() -> None:
    decision = decide(POLICY, REQUEST, "dec_1")
    assert (decision.effect, decision.ttl, decision.policies) == (Effect.ALLOW, 300, ("within-the-task",))
    assert (decision.decision_id, decision.principal, decision.task_id, decision.at) == ("dec_1", "bot", "tsk_1", 1000)


@pytest.mark.parametrize(
    ("changes", "ttl"),
    [
        ({"now": 1590}, 10),
        ({"requested_ttl": 30}, 30),
        ({"requested_ttl": 86400}, 300),
        ({"ends_at": (1100, 1050)}, 50),
        ({"task": replace(TASK, budget=Budget(duration=20))}, 20),
        ({"approval": Approval("person:alice@corp", 1040)}, 40),
    ],
    ids=["end of the task", "asked for less", "asked for more", "other ends", "budget", "end of the approval"],
)
def test_nothing_is_allowed_beyond_the_least_of_all_ends(changes: dict[str, Any], ttl: int) -> None:
    assert decide(POLICY, asked(**changes), "dec_1").ttl == ttl


def test_what_would_last_no_second_is_refused() -> None:
    assert decide(POLICY, asked(now=1600), "dec_1").effect is Effect.DENY
    decision = decide(POLICY, asked(ends_at=(1000,)), "dec_1")
    assert (decision.effect, decision.ttl) == (Effect.DENY, 0)
    assert decision.reason == "nothing is left of the time it could be allowed for"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("principal", {"principal": None}),
        ("owner", {"owner": None}),
        ("task", {"task": None}),
        ("tool", {"tool": None}),
        ("resource", {"resource": None}),
        ("instance", {"instance": ""}),
        ("audience", {"audience": ""}),
        ("principal.purpose", {"principal": replace(BOT, purpose="")}),
        ("principal.environment", {"principal": replace(BOT, environment="")}),
        ("task.intent.goal", {"task": replace(TASK, intent=Intent(""))}),
        ("resource.environment", {"resource": replace(CRM, environment="")}),
    ],
)
def test_what_is_missing_is_named_and_refused(name: str, changes: dict[str, Any]) -> None:
    decision = decide(POLICY, asked(**changes), "dec_1")
    assert (decision.effect, decision.reason) == (Effect.DENY, f"missing: {name}")
    assert decision.advice


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("the owner is not the principal's", {"owner": Owner("person:mallory")}),
        ("the resource is not the tool's", {"resource": replace(CRM, uri="https://other")}),
        ("grant admin is not in the catalogue", {"principal": replace(BOT, grants=("admin",))}),
        (
            "grant admin is a human's and this is none",
            {"principal": replace(BOT, grants=("admin",)), "grants": (Grant("admin", Holder.HUMAN, True),)},
        ),
        (
            "grant deployer is a machine's and this is none",
            {
                "principal": replace(BOT, actor_type=ActorType.HUMAN, grants=("deployer",)),
                "grants": (Grant("deployer", Holder.MACHINE),),
            },
        ),
    ],
)
def test_facts_that_do_not_belong_together_are_refused(reason: str, changes: dict[str, Any]) -> None:
    decision = decide(POLICY, asked(**changes), "dec_1")
    assert (decision.effect, decision.reason) == (Effect.DENY, reason)


@pytest.mark.parametrize(
    ("policy_id", "changes"),
    [
        ("no-crossing-of-tenants", {"resource": replace(CRM, tenant="other")}),
        ("principal-not-active", {"owner": replace(ALICE, state=OwnerState.LEFT)}),
        ("principal-not-active", {"principal": replace(BOT, state=PrincipalState.SUSPENDED)}),
        ("task-not-active", {"task": replace(TASK, state=TaskState.REVOKED)}),
        ("task-not-active", {"task": replace(TASK, state=TaskState("paused"))}),
        ("task-not-active", {"task": replace(TASK, heartbeat=10, heartbeat_at=990)}),
        ("task-of-another", {"task": replace(TASK, principal="other")}),
        ("task-of-another", {"task": replace(TASK, instance="spiffe://a.org/principal/bot/2")}),
        ("not-in-the-task", {"task": replace(TASK, authority=(Access(CRM.uri, ("crm.write",)),))}),
        ("not-a-tool-of-the-principal", {"principal": replace(BOT, tools=("crm.write",))}),
        ("other-audience", {"audience": "https://other"}),
    ],
)
def test_the_floor_names_why(policy_id: str, changes: dict[str, Any]) -> None:
    decision = decide(POLICY, asked(**changes), "dec_1")
    assert decision.effect is Effect.DENY
    assert policy_id in decision.policies
    assert f"{policy_id}: " in decision.reason


def test_a_refusal_says_what_a_person_can_do() -> None:
    data = replace(CRM, sensitivity=Sensitivity.RESTRICTED, environment="sandbox")
    decision = decide(POLICY, asked(resource=data, principal=replace(BOT, environment="sandbox")), "dec_1")
    assert decision.reason == (
        "denied by no-restricted-data-from-sandbox: restricted data is for production and staging only"
    )
    assert decision.advice == "open the task for a principal of production or staging"


def test_what_no_policy_permits_is_refused() -> None:
    decision = decide(
        policy_of('@id("x") forbid (principal, action, resource) when { context.depth > 9 };'), REQUEST, "d"
    )
    assert (decision.effect, decision.policies, decision.reason) == (Effect.DENY, (), "no policy permits it")


def test_what_is_not_said_counts_as_the_worst() -> None:
    write = replace(READ, action_class=ActionClass.CONSEQUENTIAL_WRITE)
    assert decide(POLICY, asked(tool=write), "dec_1").effect is Effect.NEEDS_APPROVAL
    said = replace(BOT, approvals=(), risk_class=Risk.LOW)
    assert decide(POLICY, asked(tool=write, principal=said), "dec_1").effect is Effect.ALLOW


def test_the_principals_own_list_of_approvals_is_honoured() -> None:
    wary = replace(BOT, approvals=(ActionClass.CONSEQUENTIAL_READ,))
    decision = decide(POLICY, asked(principal=wary), "dec_1")
    assert (decision.effect, decision.policies) == (Effect.NEEDS_APPROVAL, ("principal-wants-approval",))


def test_approval_lifts_what_waits_for_it_and_nothing_else() -> None:
    """An expired task with a grave tool waits for nobody: no approval would help (trap 2)."""
    needs = decide(POLICY, asked(tool=REFUND), "dec_1")
    assert needs.effect is Effect.NEEDS_APPROVAL
    assert needs.reason.startswith("needs approval by grave-actions-need-approval: ")
    assert not needs.allowed
    ended = decide(POLICY, asked(tool=REFUND, task=replace(TASK, state=TaskState.EXPIRED)), "dec_1")
    assert ended.effect is Effect.DENY
    assert "grave-actions-need-approval" in ended.policies
    assert "approval" not in ended.reason
    assert decide(POLICY, asked(tool=REFUND, ends_at=(1000,)), "dec_1").effect is Effect.DENY
    assert decide(POLICY, asked(tool=REFUND, approval=Approval(ALICE.name, 1200)), "dec_1").effect is Effect.ALLOW


@pytest.mark.parametrize(
    "approval",
    [Approval(ALICE.name, 1000), Approval(ALICE.name, 1200, "sha-256:other"), Approval("", 1200)],
    ids=["over", "other parameters", "nobody's"],
)
def test_what_is_no_approval_does_not_count(approval: Approval) -> None:
    assert decide(POLICY, asked(tool=REFUND, approval=approval), "dec_1").effect is not Effect.ALLOW


def test_cedar_passes_over_a_forbid_that_fails_unless_it_has_the_schema() -> None:
    """Why `ask` takes no question without one (trap 1): the engine alone would allow."""
    text = """
        @id("a") permit (principal, action, resource);
        @id("b") forbid (principal, action, resource) when { context.riskScore > 1 };
    """
    inputs = inputs_of(REQUEST)
    question, entities = inputs["question"], inputs["entities"]
    del question["context"]["riskScore"]
    bare = cedarpy.is_authorized(question, text, entities)
    assert bare.allowed
    assert bare.diagnostics.errors
    assert cedarpy.is_authorized(question, text, entities, schema()).decision is cedarpy.Decision.NoDecision
    decision = decided(policy_of(text), inputs, "d")
    assert decision.effect is Effect.DENY
    assert decision.reason.startswith("could not be evaluated: ")


def test_a_policy_that_fails_refuses() -> None:
    text = """
        @id("a") permit (principal, action, resource);
        @id("b") forbid (principal, action, resource) when { context.riskScore * 9223372036854775807 > 1 };
    """
    assert decide(policy_of(text), asked(risk_score=0), "d").effect is Effect.ALLOW
    assert decide(policy_of(text), asked(risk_score=2), "d").effect is Effect.DENY


def test_what_annotations_ask_for_goes_with_the_answer() -> None:
    text = """
        @id("a") @max_ttl("2m") @obligation_log("parameters") permit (principal, action, resource);
        @id("b") @max_ttl("1m") @obligation_log("outputs") @obligation_notify("security")
        permit (principal, action, resource);
        @id("c") @requires("human_approval") @approver("task-owner")
        forbid (principal, action, resource) when { context.riskScore > 1 } unless { context.approved };
    """
    allowed = decide(policy_of(text), REQUEST, "d")
    assert (allowed.ttl, allowed.obligations) == (60, {"log": "outputs, parameters", "notify": "security"})
    assert decide(policy_of(text), asked(risk_score=2), "d").obligations == {"approver": "task-owner"}


def test_long_lives_are_for_watched_reads_of_low_risk_by_no_agent() -> None:
    text = '@id("a") @max_ttl("48h") permit (principal, action, resource);'
    task = replace(TASK, ends_at=10**6, heartbeat=60, heartbeat_at=1000)
    service = replace(BOT, actor_type=ActorType.SERVICE)
    long = asked(task=task, principal=service, requested_ttl=10**6)
    policy = policy_of(text)
    assert decide(policy, long, "d").ttl == 3600
    for different in (
        {"principal": BOT},
        {"task": replace(task, heartbeat=0)},
        {"tool": replace(READ, risk=Risk.MEDIUM)},
        {"tool": replace(READ, action_class=ActionClass.CONSEQUENTIAL_WRITE)},
    ):
        assert decide(policy, replace(long, **different), "d").ttl == 300


def test_a_jwt_svid_of_an_agent_is_for_reads_of_low_risk() -> None:
    bare = asked(confirmed=False)
    assert decide(POLICY, bare, "d").policies == ("agents-prove-a-key",)
    assert decide(POLICY, replace(bare, kind="jwt-svid"), "d").effect is Effect.ALLOW
    medium = replace(READ, risk=Risk.MEDIUM)
    assert decide(POLICY, replace(bare, kind="jwt-svid", tool=medium), "d").effect is Effect.DENY


ANYTHING = policy_of('@id("anything") permit (principal, action, resource);')


@settings(max_examples=400, deadline=None)
@given(requests())
def test_every_request_is_answered_alike_and_nothing_is_allowed_with_something_missing(
    request: DecisionRequest,
) -> None:
    for policy in (POLICY, ANYTHING):
        decision = decide(policy, request, "dec_1")
        assert decide(policy, request, "dec_1") == decision
        assert (decision.ttl > 0) == decision.allowed
        if decision.allowed:
            _sound(request, decision.ttl)


def _sound(request: DecisionRequest, ttl: int) -> None:
    principal, owner, task = request.principal, request.owner, request.task
    tool, resource = request.tool, request.resource
    assert principal is not None
    assert owner is not None
    assert task is not None
    assert tool is not None
    assert resource is not None
    assert principal.state is PrincipalState.ACTIVE
    assert owner.state is OwnerState.ACTIVE
    assert task.active(request.now)
    assert task.principal == principal.name
    assert tool.name in principal.tools
    assert request.now + ttl <= min(task.ends_at, *request.ends_at, task.ends_at)
    assert ttl <= 300 or principal.actor_type is not ActorType.AI_AGENT
    grave = {ActionClass.IRREVERSIBLE, ActionClass.EXTERNAL_COMMITMENT, ActionClass.PRIVILEGED_ADMINISTRATION}
    approved = request.approval is not None and request.now < request.approval.until
    assert tool.action_class not in grave or request.point is Point.OPEN or approved
