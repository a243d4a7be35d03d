"""Asking policy inside a transaction: the registered facts, and the answer written down with its inputs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from assay_server.datastore.base import Transaction
from assay_server.governance.counting import above
from assay_server.governance.identifier import new_id
from assay_server.governance.journal import record
from assay_server.model.governed.catalogue import GRANT, RESOURCE, TOOL, Grant, Resource, Tool
from assay_server.model.governed.decision import DECISION, Decision, DecisionRequest
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import Principal
from assay_server.model.governed.task import Task
from assay_server.policy.decide import decide
from assay_server.policy.engine import Policy

CUSTOMERS = "allowed_customers"
"""The constraint of a task that names customers."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is registered of an action: None where it is not, which policy takes for a refusal.

    And what is known of its task: the chain of actions so far, of all tasks that stand below the same one, how many
    stand before it, and whose affairs it is about.
    """

    owner: Owner | None
    tool: Tool | None
    resource: Resource | None
    grants: tuple[Grant, ...] = ()
    chain: tuple[str, ...] = ()
    steps: int = 0
    depth: int = 0
    customer: str = ""


def facts_of(tx: Transaction, task: Task, principal: Principal | None, actions: Iterable[str]) -> list[Facts]:
    """For each action the principal's owner and grants now, and its tool and resource by the catalogue."""
    owner = tx.governed.get(OWNER, principal.owner if principal else task.owner)
    held = [tx.governed.get(GRANT, name) for name in principal.grants] if principal else []
    grants = tuple(grant for grant in held if grant is not None)
    tools = [tx.governed.get(TOOL, action) for action in actions]
    before = above(tx, task)
    top = before[-1] if before else task
    situation = top.used.chain, top.used.steps, len(before), customer_of(top)
    return [
        Facts(owner, tool, tx.governed.get(RESOURCE, tool.resource) if tool else None, grants, *situation)
        for tool in tools
    ]


def customer_of(task: Task) -> str:
    """Whose affairs a task is about: the only one of `allowed_customers`, if it was not the workload that said so."""
    allowed: list[str] = task.constraints.get(CUSTOMERS) or []
    said_by_itself = task.trigger.startswith("workload:")
    return allowed[0] if len(allowed) == 1 and not said_by_itself else ""


def recorded(
    tx: Transaction, policy: Policy, request: DecisionRequest, actor: str, call: str = "", call_digest: str = ""
) -> Decision:
    """The decision, which is in the store when the transaction is."""
    decision = decide(policy, request, new_id("dec", request.now))
    if call:
        decision = replace(decision, call=call, call_digest=call_digest)
    return kept(tx, decision, request, actor)


def kept(tx: Transaction, decision: Decision, request: DecisionRequest, actor: str) -> Decision:
    """That decision, written down."""
    event = Event(
        EventType.DECISION,
        request.now,
        actor,
        decision.decision_id,
        decision.task_id,
        decision.principal,
        request.principal.actor_type.value if request.principal else "",
        {**_asked(request), **_answered(decision)},
    )
    record(tx, event, (DECISION, decision))
    return decision


def _asked(request: DecisionRequest) -> dict[str, Any]:
    """Who for whom on what, and how it stood with them: names and numbers, never parameters."""
    principal, task = request.principal, request.task
    return {
        "point": request.point.value,
        "tool": request.tool.name if request.tool else "",
        "resource": request.resource.uri if request.resource else "",
        "audience": request.audience,
        "instance": request.instance,
        "on_behalf_of": task.subject if task else "",
        "environment": principal.environment if principal else "",
        "tenant": principal.tenant if principal else "",
        "risk_score": request.risk_score,
        "quarantined": request.quarantined,
        "parameters_digest": request.parameters_digest,
    }


def _answered(decision: Decision) -> dict[str, Any]:
    """The answer, and the hash of what it was made of: whoever replays it knows that these are the inputs."""
    return {
        "effect": decision.effect.value,
        "ttl": decision.ttl,
        "policies": list(decision.policies),
        "policy_version": decision.policy_version,
        "policy_digest": decision.policy_digest,
        "reason": decision.reason,
        "inputs_hash": decision.inputs_hash,
    }
