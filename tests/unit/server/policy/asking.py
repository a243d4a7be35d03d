"""A clean request, and requests with some of that missing or odd."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from assay.governed.authority import Access
from assay_server.model.governed.catalogue import ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.decision import Approval, DecisionRequest, Point
from assay_server.model.governed.owner import Owner
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.model.governed.principal import ActorType, Principal, PrincipalState
from assay_server.model.governed.task import Budget, Intent, Task, TaskState
from assay_server.policy.engine import SCHEMA_VERSION, Policy, compiled

ALICE = Owner("person:alice@corp")
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
REFUND = replace(READ, action_class=ActionClass.EXTERNAL_COMMITMENT)
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read",), state=PrincipalState.ACTIVE
)
TASK = Task(
    "tsk_1", "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (Access(CRM.uri, ("crm.read",)),), "", "",
    "operator:local", 1000, 1600,
)  # fmt: skip
REQUEST = DecisionRequest(
    Point.ISSUE, 1000, BOT, ALICE, "spiffe://a.org/principal/bot/1", TASK, READ, CRM, CRM.uri, confirmed=True
)


def policy_of(text: str) -> Policy:
    return compiled(PolicyBundle(7, "sha-256:d", SCHEMA_VERSION, {"a.cedar": text}))


TEXTS = st.sampled_from(["", "x", "prod", "\x00", "é" * 300, '"', "\ud800", "https://[bad", "https://crm/mcp"])
NUMBERS = st.one_of(st.integers(-3, 2000), st.sampled_from([-(2**63), 2**63, 10**30]))


@st.composite
def requests(draw: st.DrawFn) -> DecisionRequest:
    """The clean request with some of it missing or odd."""

    def some(value: Any, **odd: st.SearchStrategy[Any]) -> Any:  # noqa: ANN401 - of whatever the field is
        if draw(st.integers(0, 9)) == 0:
            return None
        return replace(value, **{name: draw(each) for name, each in odd.items() if draw(st.integers(0, 4)) == 0})

    principal = some(
        BOT, name=TEXTS, purpose=TEXTS, environment=TEXTS, tenant=TEXTS, risk_class=st.sampled_from([None, *Risk]),
        grants=st.sampled_from([(), ("g",)]), approvals=st.sampled_from([None, (), tuple(ActionClass)]),
        tools=st.sampled_from([(), ("crm.read",), None]), actor_type=st.sampled_from([*ActorType, None]),
        state=st.sampled_from(list(PrincipalState)),
    )  # fmt: skip
    task = some(
        TASK, instance=TEXTS, principal=st.sampled_from(["bot", "x"]), ends_at=NUMBERS, opened_at=NUMBERS,
        heartbeat=NUMBERS, state=st.sampled_from(list(TaskState)), authority=st.sampled_from([(), None]),
        intent=st.sampled_from([Intent(""), None]), budget=st.sampled_from([None, Budget(duration=5)]),
    )  # fmt: skip
    tool = some(
        READ, name=TEXTS, resource=TEXTS, action_class=st.sampled_from([*ActionClass, None]),
        risk=st.sampled_from([*Risk, None]), exports=st.booleans(),
    )  # fmt: skip
    resource = some(CRM, uri=TEXTS, environment=TEXTS, tenant=TEXTS, sensitivity=st.sampled_from(list(Sensitivity)))
    return some(
        replace(REQUEST, principal=principal, task=task, tool=tool, resource=resource, owner=some(ALICE)),
        point=st.sampled_from(list(Point)), now=NUMBERS, instance=TEXTS, audience=TEXTS, requested_ttl=NUMBERS,
        ends_at=st.lists(NUMBERS, max_size=2).map(tuple), risk_score=NUMBERS, depth=NUMBERS, confirmed=st.booleans(),
        approval=st.sampled_from([None, Approval("x", 1100), Approval("", 5), Approval("x", 10**30)]),
        customer=TEXTS,
    ) or REQUEST  # fmt: skip
