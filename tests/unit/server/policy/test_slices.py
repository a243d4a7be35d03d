"""Slices say what the whole set says."""

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_server.model.governed.decision import DecisionRequest
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.cedar import ask
from assay_server.policy.decide import asked
from assay_server.policy.engine import SCHEMA_VERSION, Policy, policy_of, rules_of, schema
from assay_server.policy.inputs import inputs_of
from assay_server.policy.sample import request_of

SCOPES = st.sampled_from(
    [
        "principal", "principal is Assay::Workload", "principal is Assay::Human", 'principal == Assay::Workload::"bot"',
        'principal == Assay::Human::"bot"', 'principal is Assay::Workload in Assay::MachineGrant::"g"',
        'principal in Assay::MachineGrant::"g"',
    ]
)  # fmt: skip
ACTIONS = st.sampled_from(
    [
        "action", 'action == Assay::Action::"tool:call"',
        'action in [Assay::Action::"tool:call", Assay::Action::"task:open"]',
    ]
)  # fmt: skip
RESOURCES = st.sampled_from(["resource", "resource is Assay::Tool", 'resource == Assay::Tool::"crm"'])
CONDITIONS = st.sampled_from(
    [
        "", 'when { principal.actorType == "ai_agent" && context.depth < 1 }',
        'when { context.depth < 1 && principal.actorType == "service" }', 'when { principal.actorType == "human" }',
        'unless { principal.actorType == "ai_agent" }', 'when { principal.actorType != "ai_agent" }',
        'when { (principal.actorType == "ai_agent" || context.depth < 9) && context.confirmed }',
    ]
)  # fmt: skip
POLICIES = st.tuples(st.sampled_from(["permit", "forbid"]), SCOPES, ACTIONS, RESOURCES, CONDITIONS)
REQUESTS = st.builds(
    lambda point, actor, name, tool, grants: request_of(
        point, {"principal": {"actor_type": actor, "name": name, "grants": grants}, "tool": {"name": tool}}
    ),
    st.sampled_from(["task:open", "credential:issue", "tool:call"]),
    st.sampled_from(["human", "service", "machine", "ai_agent"]),
    st.sampled_from(["bot", "other"]),
    st.sampled_from(["crm", "mail"]),
    st.sampled_from([[], ["g"]]),
)


def policy_with(texts: list[str]) -> Policy:
    return policy_of(PolicyBundle(1, "", SCHEMA_VERSION), rules_of("\n".join(texts)))


@settings(max_examples=150, deadline=None)
@given(st.lists(POLICIES, max_size=6), REQUESTS)
def test_a_slice_answers_as_the_whole_set(policies: list[tuple[str, ...]], request: DecisionRequest) -> None:
    texts = [
        f'@id("r{n}") {effect} ({scope}, {action}, {resource}) {condition};'
        for n, (effect, scope, action, resource, condition) in enumerate(policies)
    ]
    inputs = inputs_of(request)
    sliced = asked(policy_with(texts), inputs, asking=True)
    whole = ask(inputs["question"], inputs["entities"], cedarpy.PolicySet.from_str("\n".join(texts)), schema())
    assert (sliced.allowed, sliced.errors) == (whole.allowed, whole.errors)
    assert [int(name.removeprefix("r")) for name in sliced.policies] == sorted(
        int(name.removeprefix("policy")) for name in whole.policies
    )


def test_what_a_large_set_says_of_others_is_left_out() -> None:
    texts = [
        f'@id("r{n}") forbid (principal is Assay::Workload, action, resource == Assay::Tool::"t{n}")'
        ' when { principal.actorType == "ai_agent" };'
        for n in range(300)
    ]
    slices = policy_with(texts).slices

    def size(actor: str, tool: str) -> int:
        return len(slices.of("Workload", actor, "bot", "tool:call", tool, asking=True))

    assert [size("ai_agent", "t7"), size("service", "t7"), size("ai_agent", "other")] == [1, 0, 0]
    assert slices.of("Workload", "x", "a", "tool:call", "u", asking=True) is slices.of(
        "Workload", "x", "b", "tool:call", "v", asking=True
    )
