"""A request in Cedar's words: who asks, what about, in which situation; and the entities these are."""

from datetime import UTC, datetime
from typing import Any

from assay.governed.authority import permits
from assay_server.model.governed.catalogue import Resource, Tool
from assay_server.model.governed.decision import DecisionRequest
from assay_server.model.governed.owner import Owner, OwnerState
from assay_server.model.governed.principal import ActorType, Principal
from assay_server.model.governed.task import Task

Json = dict[str, Any]


def question_of(request: DecisionRequest) -> Json:
    """Cedar's request; every part of `request` that it needs is there."""
    principal, tool, task = request.principal, request.tool, request.task
    assert principal is not None and tool is not None and task is not None  # noqa: S101, PT018 - for the type checker
    return {
        "principal": _uid(_kind(principal), principal.name),
        "action": _uid("Action", request.point.value),
        "resource": _uid("Tool", tool.name),
        "context": {
            "now": _time(request.now),
            "instance": request.instance,
            "audience": request.audience,
            "confirmed": request.confirmed,
            "requestedTtl": request.requested_ttl,
            "riskScore": request.risk_score,
            "chain": list(request.chain),
            "depth": request.depth,
            "task": _task(task, tool),
        },
    }


def entities_of(request: DecisionRequest) -> list[Json]:
    """The principal, its owner and the tool."""
    principal, owner, tool, resource = request.principal, request.owner, request.tool, request.resource
    assert principal is not None and owner is not None and tool is not None and resource is not None  # noqa: S101, PT018
    return [_owner(owner), _principal(principal), _tool(tool, resource)]


def _kind(principal: Principal) -> str:
    return "Human" if principal.actor_type is ActorType.HUMAN else "Workload"


def _uid(kind: str, name: str) -> Json:
    return {"type": f"Assay::{kind}", "id": name}


def _time(seconds: int) -> Json:
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"__extn": {"fn": "datetime", "arg": moment}}


def _owner(owner: Owner) -> Json:
    return {"uid": _uid("Owner", owner.name), "attrs": {"active": owner.state is OwnerState.ACTIVE}, "parents": []}


def _principal(principal: Principal) -> Json:
    return {
        "uid": _uid(_kind(principal), principal.name),
        "attrs": {
            "name": principal.name,
            "actorType": principal.actor_type.value,
            "owner": {"__entity": _uid("Owner", principal.owner)},
            "purpose": principal.purpose,
            "environment": principal.environment,
            "tenant": principal.tenant,
            "dataClasses": list(principal.data_classes),
            "riskClass": principal.risk_class.value if principal.risk_class else "",
            "model": principal.model,
            "tools": list(principal.tools),
            "approvals": [each.value for each in principal.approvals or ()],
            "state": principal.state.value,
        },
        "parents": [_uid(f"{_grants(principal)}Grant", name) for name in principal.grants],
    }


def _grants(principal: Principal) -> str:
    return "Human" if principal.actor_type is ActorType.HUMAN else "Machine"


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
            "tenant": resource.tenant,
            "sensitivity": resource.sensitivity.value,
            "dataClasses": list(resource.data_classes),
        },
        "parents": [],
    }


def _task(task: Task, tool: Tool) -> Json:
    return {
        "id": task.task_id,
        "state": task.state.value,
        "goal": task.intent.goal,
        "purpose": task.intent.purpose,
        "owner": {"__entity": _uid("Owner", task.owner)},
        "tenant": task.tenant,
        "environment": task.environment,
        "dataClasses": list(task.data_classes),
        "opened": _time(task.opened_at),
        "ends": _time(task.ends_at),
        "trigger": task.trigger.partition(":")[0],
        "instance": task.instance,
        "heartbeat": task.heartbeat,
        "permits": permits(task.authority, tool.resource, tool.name) is not None,
    }
