"""A request in Cedar's words: who asks, what about, in which situation; and the entities these are.

What is not said of a principal counts as the worst: no risk class as a high one, no decision on approvals as approval
for all that is more than reading.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from assay.governed.authority import permits
from assay_server.model.governed.catalogue import ActionClass, Grant, Holder, Resource, Risk, Tool
from assay_server.model.governed.decision import Approval, DecisionRequest
from assay_server.model.governed.owner import Owner, OwnerState
from assay_server.model.governed.principal import ActorType, Principal, PrincipalState
from assay_server.model.governed.task import Task
from assay_server.policy.environment import trust_of

Json = dict[str, Any]

_READING = {ActionClass.NON_CONSEQUENTIAL, ActionClass.CONSEQUENTIAL_READ}
_BEYOND_READING = tuple(each for each in ActionClass if each not in _READING)


def question_of(request: DecisionRequest, principal: Principal, task: Task, tool: Tool, resource: Resource) -> Json:
    """Cedar's request."""
    chain, steps = _chain(request, task)
    return {
        "principal": _uid(_kind(principal), principal.name),
        "action": _uid("Action", request.point.value),
        "resource": _uid("Tool", tool.name),
        "context": {
            "now": _time(request.now),
            "instance": request.instance,
            "audience": request.audience,
            "destination": urlsplit(resource.uri).hostname or "",
            "credential": request.kind,
            "confirmed": request.confirmed,
            "requestedTtl": request.requested_ttl,
            "riskScore": max(request.risk_score, principal.risk_score),
            "chain": sorted(set(chain)),
            "previous": chain[-1] if chain else "",
            "steps": steps,
            "depth": request.depth,
            "paramsDigest": request.parameters_digest,
            "approved": approved(request),
            "task": _entity("Task", task.task_id),
            **({"customer": request.customer} if request.customer else {}),
            **({"approval": _approval(request.approval)} if request.approval else {}),
        },
    }


def entities_of(
    request: DecisionRequest, principal: Principal, owner: Owner, task: Task, tool: Tool, resource: Resource
) -> list[Json]:
    """The principal, its owner, its grants, the tool and the task, which Cedar reads faster so than as context."""
    who = _principal(principal, owner, quarantined=request.quarantined or principal.quarantined)
    what = _tool(tool, resource), _task(task, tool, request.now)
    return [_owner(owner), who, *what, *(_grant(each) for each in request.grants)]


def approved(request: DecisionRequest) -> bool:
    """Whether there is an approval that is not over, for these parameters."""
    approval = request.approval
    return (
        approval is not None
        and bool(approval.by)
        and request.now < approval.until
        and approval.params_digest == request.parameters_digest
    )


def holder_of(principal: Principal) -> Holder:
    """Whose grants it may have."""
    return Holder.HUMAN if principal.actor_type is ActorType.HUMAN else Holder.MACHINE


def _chain(request: DecisionRequest, task: Task) -> tuple[tuple[str, ...], int]:
    """The actions before this one, each once, and how many they were."""
    if request.chain is None:
        return task.used.chain, task.used.steps
    return request.chain, max(request.steps, len(request.chain))


def _kind(principal: Principal) -> str:
    return "Human" if principal.actor_type is ActorType.HUMAN else "Workload"


def _uid(kind: str, name: str) -> Json:
    return {"type": f"Assay::{kind}", "id": name}


def _entity(kind: str, name: str) -> Json:
    return {"__entity": _uid(kind, name)}


def _time(seconds: int) -> Json:
    moment = datetime.fromtimestamp(seconds, UTC)
    return {"__extn": {"fn": "datetime", "arg": f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"}}


def _owner(owner: Owner) -> Json:
    return {"uid": _uid("Owner", owner.name), "attrs": {"active": owner.state is OwnerState.ACTIVE}, "parents": []}


def _principal(principal: Principal, owner: Owner, *, quarantined: bool) -> Json:
    grants = "HumanGrant" if principal.actor_type is ActorType.HUMAN else "MachineGrant"
    approvals = _BEYOND_READING if principal.approvals is None else principal.approvals
    return {
        "uid": _uid(_kind(principal), principal.name),
        "attrs": {
            "name": principal.name,
            "actorType": principal.actor_type.value,
            "owner": _entity("Owner", principal.owner),
            "purpose": principal.purpose,
            "environment": principal.environment,
            "environmentTrust": trust_of(principal.environment),
            "tenant": principal.tenant,
            "dataClasses": list(principal.data_classes),
            "riskClass": (principal.risk_class or Risk.HIGH).value,
            "model": principal.model,
            "tools": list(principal.tools),
            "grants": [_entity(grants, name) for name in principal.grants],
            "approvals": [each.value for each in approvals],
            "state": principal.state.value,
            "active": principal.state is PrincipalState.ACTIVE and owner.state is OwnerState.ACTIVE,
            "quarantined": quarantined,
        },
        "parents": [_uid(grants, name) for name in principal.grants],
    }


def _grant(grant: Grant) -> Json:
    kind = "HumanGrant" if grant.holder is Holder.HUMAN else "MachineGrant"
    return {"uid": _uid(kind, grant.name), "attrs": {"administers": grant.administers}, "parents": []}


def _tool(tool: Tool, resource: Resource) -> Json:
    return {
        "uid": _uid("Tool", tool.name),
        "attrs": {
            "name": tool.name,
            "actionClass": tool.action_class.value,
            "risk": tool.risk.value,
            "exports": tool.exports,
            "resource": resource.uri,
            "environment": resource.environment,
            "environmentTrust": trust_of(resource.environment),
            "tenant": resource.tenant,
            "sensitivity": resource.sensitivity.value,
            "dataClasses": list(resource.data_classes),
        },
        "parents": [],
    }


def _task(task: Task, tool: Tool, now: int) -> Json:
    return {
        "uid": _uid("Task", task.task_id),
        "attrs": {
            "name": task.task_id,
            "principal": task.principal,
            "instance": task.instance,
            "owner": _entity("Owner", task.owner),
            "tenant": task.tenant,
            "environment": task.environment,
            "goal": task.intent.goal,
            "purpose": task.intent.purpose,
            "dataClasses": list(task.data_classes),
            "state": task.state.value,
            "active": task.active(now),
            "opened": _time(task.opened_at),
            "ends": _time(task.ends_at),
            "trigger": task.trigger.partition(":")[0],
            "subject": task.subject,
            "heartbeat": task.heartbeat,
            "watched": bool(task.heartbeat) and not task.silent(now),
            "permits": permits(task.authority, tool.resource, tool.name) is not None,
        },
        "parents": [],
    }


def _approval(approval: Approval) -> Json:
    return {
        "by": _entity("Owner", approval.by),
        "until": _time(approval.until),
        "paramsDigest": approval.params_digest,
    }
