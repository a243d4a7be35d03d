"""The one function that decides; pure, so that a decision can be replayed: same policy, same request, same answer.

Anything but a clean Allow without errors is a refusal (Cedar passes over a `forbid` that fails, and would allow).
"""

from collections.abc import Mapping
from typing import Any

from assay_server.model.governed.decision import Decision, DecisionRequest, Effect
from assay_server.policy.cedar import ask
from assay_server.policy.engine import Policy
from assay_server.policy.entities import entities_of, question_of

DEFAULT_TTL = 300
"""Seconds; the most a credential lives where no policy says less."""


def decide(policy: Policy, request: DecisionRequest, decision_id: str) -> Decision:
    """The answer; its TTL ends no later than anything that it stands on."""
    if missing := _missing(request):
        return _refused(policy, request, decision_id, f"missing: {', '.join(missing)}", "", ())
    answer = ask(question_of(request), entities_of(request), policy.policies, policy.schema)
    policies = answer.policies
    if not answer.allowed:
        reason = f"refused by {', '.join(policies)}" if policies else "no policy permits it"
        return _refused(policy, request, decision_id, reason, "", policies)
    ttl = _ttl(request)
    if ttl <= 0:
        return _refused(
            policy, request, decision_id, "nothing is left of the time it could be allowed for", "", policies
        )
    return _decision(policy, request, decision_id, Effect.ALLOW, ttl, "permitted", "", policies)


def _missing(request: DecisionRequest) -> list[str]:
    needed: Mapping[str, Any] = {
        "principal": request.principal,
        "owner": request.owner,
        "task": request.task,
        "tool": request.tool,
        "resource": request.resource,
    }
    return [name for name, value in needed.items() if value is None]


def _ttl(request: DecisionRequest) -> int:
    assert request.task is not None  # noqa: S101 - for the type checker: `_missing` has looked
    ends = min((request.task.ends_at, *request.ends_at))
    return min(request.requested_ttl or DEFAULT_TTL, DEFAULT_TTL, ends - request.now)


def _refused(
    policy: Policy, request: DecisionRequest, decision_id: str, reason: str, advice: str, policies: tuple[str, ...]
) -> Decision:
    return _decision(policy, request, decision_id, Effect.DENY, 0, reason, advice, policies)


def _decision(
    policy: Policy,
    request: DecisionRequest,
    decision_id: str,
    effect: Effect,
    ttl: int,
    reason: str,
    advice: str,
    policies: tuple[str, ...],
) -> Decision:
    return Decision(
        decision_id=decision_id,
        point=request.point,
        at=request.now,
        effect=effect,
        ttl=ttl,
        reason=reason,
        advice=advice,
        policies=policies,
        policy_version=policy.version,
        policy_digest=policy.bundle.digest,
        principal=request.principal.name if request.principal else "",
        task_id=request.task.task_id if request.task else "",
    )
