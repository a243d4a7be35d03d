"""The one function that decides."""

from dataclasses import replace

from assay.governed.authority import Access
from assay_server.model.governed.catalogue import ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.decision import DecisionRequest, Effect, Point
from assay_server.model.governed.owner import Owner, OwnerState
from assay_server.model.governed.principal import ActorType, Principal, PrincipalState
from assay_server.model.governed.task import Intent, Task, TaskState
from assay_server.policy.decide import decide
from assay_server.policy.engine import shipped

ALICE = Owner("person:alice@corp")
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read",), state=PrincipalState.ACTIVE
)
TASK = Task(
    "tsk_1", "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (Access(CRM.uri, ("crm.read",)),), "", "",
    "operator:local", 1000, 1600,
)  # fmt: skip
REQUEST = DecisionRequest(
    Point.ISSUE, 1000, BOT, ALICE, "spiffe://a.org/principal/bot/1", TASK, READ, CRM, CRM.uri, True
)
POLICY = shipped()


def test_what_a_task_is_for_is_allowed_for_a_while() -> None:
    decision = decide(POLICY, REQUEST, "dec_1")
    assert (decision.effect, decision.ttl, decision.policies) == (Effect.ALLOW, 300, ("within-the-task",))


def test_nothing_is_allowed_beyond_the_end_of_the_task() -> None:
    assert decide(POLICY, replace(REQUEST, now=1590), "dec_1").ttl == 10
    assert decide(POLICY, replace(REQUEST, now=1600), "dec_1").effect is Effect.DENY


def test_what_is_missing_is_refused() -> None:
    decision = decide(POLICY, replace(REQUEST, tool=None), "dec_1")
    assert (decision.effect, decision.reason) == (Effect.DENY, "missing: tool")


def test_tenants_are_not_crossed() -> None:
    decision = decide(POLICY, replace(REQUEST, resource=replace(CRM, tenant="other")), "dec_1")
    assert (decision.effect, decision.policies) == (Effect.DENY, ("no-crossing-of-tenants",))


def test_an_owner_who_left_and_a_task_that_ended_are_refused() -> None:
    assert not decide(POLICY, replace(REQUEST, owner=replace(ALICE, state=OwnerState.LEFT)), "dec_1").allowed
    assert not decide(POLICY, replace(REQUEST, task=replace(TASK, state=TaskState.REVOKED)), "dec_1").allowed
