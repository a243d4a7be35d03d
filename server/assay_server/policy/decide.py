"""The one function that decides; pure, so that `replay` can decide again: same policy, same inputs, same answer.

Anything but a clean Allow without errors is a refusal (Cedar passes over a `forbid` that fails, and would allow).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay_server.model.governed.decision import Decision, DecisionRequest, Effect, Point
from assay_server.policy.cedar import Answer, ask
from assay_server.policy.engine import SCHEMA_VERSION, Policy, floor_digest
from assay_server.policy.inputs import inputs_hash, inputs_of
from assay_server.policy.rule import Rule
from assay_server.policy.ttl import ttl_of
from assay_server.policy.wording import advice_of, obligations_of, reason_of

Json = dict[str, Any]


def decide(policy: Policy, request: DecisionRequest, decision_id: str) -> Decision:
    """The answer; its TTL ends no later than anything that it stands on. Never raises: what fails is refused."""
    return decided(policy, inputs_of(request), decision_id)


def decided(policy: Policy, inputs: Json, decision_id: str) -> Decision:
    """The answer to inputs as they were evaluated."""
    verdict = _verdict(policy, inputs)
    return Decision(
        decision_id=decision_id,
        point=Point(inputs["point"]),
        at=inputs["now"],
        effect=verdict.effect,
        ttl=verdict.ttl,
        reason=verdict.reason,
        advice=verdict.advice,
        policies=verdict.policies,
        policy_version=policy.version,
        policy_digest=policy.bundle.digest,
        principal=inputs["principal"],
        task_id=inputs["task"],
        obligations=dict(verdict.obligations),
        inputs=inputs,
        inputs_hash=inputs_hash(inputs),
        schema_version=SCHEMA_VERSION,
        floor_digest=floor_digest(),
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    effect: Effect
    reason: str
    advice: str = ""
    ttl: int = 0
    policies: tuple[str, ...] = ()
    obligations: Mapping[str, str] = field(default_factory=dict[str, str])


def _verdict(policy: Policy, inputs: Json) -> _Verdict:
    if (refused := _refused_unasked(inputs)) is not None:
        return refused
    try:
        answer = asked(policy, inputs, asking=True)
        if answer.allowed:
            return _allowed(policy, inputs, answer)
        if answer.errors or not answer.policies:
            return _refused(policy, answer)
        # Only what would be allowed without the rules that approval lifts is a matter for approval.
        rest = asked(policy, inputs, asking=False) if _asks(policy, answer) else answer
        return _refused(policy, answer, lifted=rest.allowed and _allowed(policy, inputs, rest).effect is Effect.ALLOW)
    except Exception as error:  # noqa: BLE001 - whatever it is, no answer but a refusal can be given
        return _Verdict(Effect.DENY, f"could not be evaluated: {error}")


def _refused_unasked(inputs: Json) -> _Verdict | None:
    """What no policy is asked about."""
    if barred := inputs.get("barred"):
        return _Verdict(Effect.DENY, barred, "open a task for it, or ask for a token of one that still may")
    if missing := inputs.get("missing"):
        advice = "register what is missing, in the catalogue or of the principal"
        return _Verdict(Effect.DENY, f"missing: {', '.join(missing)}", advice)
    if wrong := inputs.get("wrong"):
        return _Verdict(Effect.DENY, wrong, "see what is registered of the principal and the tool")
    return None


def asked(policy: Policy, inputs: Json, *, asking: bool) -> Answer:
    """Cedar's answer to inputs, with or without the policies that approval lifts."""
    question = inputs["question"]
    kind = question["principal"]["type"].removeprefix("Assay::")
    actor_type, name, action = inputs["actor_type"], question["principal"]["id"], question["action"]["id"]
    policies = policy.slices.of(kind, actor_type, name, action, inputs["tool"], asking=asking)
    return ask(question, inputs["entities"], policies, policy.schema)


def _asks(policy: Policy, answer: Answer) -> bool:
    return any(policy.rules[name].requires for name in answer.policies)


def _rules(policy: Policy, answer: Answer) -> list[Rule]:
    return [policy.rules[name] for name in answer.policies]


def _allowed(policy: Policy, inputs: Json, answer: Answer) -> _Verdict:
    rules = _rules(policy, answer)
    left = inputs["ends_at"] - inputs["now"]
    ttl = ttl_of(rules, inputs["requested_ttl"], left, may_last=inputs["may_last"])
    if ttl <= 0:
        reason, advice = "nothing is left of the time it could be allowed for", "open a new task"
        return _Verdict(Effect.DENY, reason, advice, policies=answer.policies)
    reason = f"permitted by {', '.join(answer.policies)}"
    return _Verdict(Effect.ALLOW, reason, "", ttl, answer.policies, obligations_of(rules))


def _refused(policy: Policy, answer: Answer, *, lifted: bool = False) -> _Verdict:
    if answer.errors:
        return _Verdict(Effect.DENY, f"could not be evaluated: {'; '.join(answer.errors)}", policies=answer.policies)
    rules = _rules(policy, answer)
    effect = Effect.NEEDS_APPROVAL if lifted else Effect.DENY
    told = rules if lifted else [rule for rule in rules if not rule.requires] or rules
    return _Verdict(
        effect, reason_of(told, lifted=lifted), advice_of(told), policies=answer.policies,
        obligations=obligations_of(rules) if lifted else {},
    )  # fmt: skip
