"""What a decision is made of, as JSON: the request as it is evaluated, kept with the answer so that it can be replayed.

Raw parameters and the whole text of an intent are not among it: a digest and the goal are.
"""

import hashlib
import json
from typing import Any

from assay.bundle import jwk
from assay_server.model.governed.catalogue import ActionClass, Risk, Tool
from assay_server.model.governed.decision import DecisionRequest, Point
from assay_server.model.governed.principal import ActorType, Principal
from assay_server.model.governed.task import Task
from assay_server.policy.entities import approved, entities_of, holder_of, question_of

Json = dict[str, Any]

_READS = {ActionClass.NON_CONSEQUENTIAL, ActionClass.CONSEQUENTIAL_READ}


def inputs_of(request: DecisionRequest) -> Json:
    """The request as JSON; never raises, for what cannot be read is said instead, and refused."""
    told = _told(request)
    if request.barred:
        return told | {"barred": request.barred}
    try:
        if missing := _missing(request):
            return told | {"missing": missing}
        if wrong := _wrong(request):
            return told | {"wrong": wrong}
        return told | _evaluated(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, no answer but a refusal can be given
        return told | {"wrong": f"not readable: {type(error).__name__}"}


def inputs_hash(inputs: Json) -> str:
    """The hash of their canonical form (RFC 8785), which Python's own encoder writes as well: there are no fractions.

    Numbers and texts that JSON does not say everywhere alike have a hash, too: `decide` never raises.
    """
    written = json.dumps(inputs, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"sha-256:{jwk.encode(hashlib.sha256(written.encode(errors='surrogatepass')).digest())}"


def _told(request: DecisionRequest) -> Json:
    return {
        "point": request.point.value,
        "now": request.now,
        "principal": getattr(request.principal, "name", ""),
        "task": getattr(request.task, "task_id", ""),
    }


def _missing(request: DecisionRequest) -> list[str]:
    """Names of what no decision can do without, by what they are called in the model."""
    principal, task, resource = request.principal, request.task, request.resource
    needed: Json = {
        "principal": principal,
        "owner": request.owner,
        "task": task,
        "tool": request.tool,
        "resource": resource,
        "principal.purpose": principal is None or principal.purpose,
        "principal.environment": principal is None or principal.environment,
        "task.intent.goal": task is None or task.intent.goal,
        "resource.environment": resource is None or resource.environment,
        "instance": request.point is Point.OPEN or request.instance,
        "audience": request.point is Point.OPEN or request.audience,
    }
    return [name for name, value in needed.items() if value is None or value == ""]


def _wrong(request: DecisionRequest) -> str:
    """What does not fit together, in words; empty if all does."""
    principal, owner, tool, resource = request.principal, request.owner, request.tool, request.resource
    assert principal and owner and tool and resource  # noqa: S101, PT018 - for the type checker: `_missing` has looked
    if owner.name != principal.owner:
        return "the owner is not the principal's"
    if tool.resource != resource.uri:
        return "the resource is not the tool's"
    known = {grant.name: grant for grant in request.grants}
    for name in principal.grants:
        if name not in known:
            return f"grant {name} is not in the catalogue"
        if known[name].holder is not holder_of(principal):
            return f"grant {name} is a {known[name].holder.value}'s and this is none"
    return ""


def _evaluated(request: DecisionRequest) -> Json:
    principal, owner, task = request.principal, request.owner, request.task
    tool, resource = request.tool, request.resource
    assert principal and owner and task and tool and resource  # noqa: S101, PT018 - for the type checker, as above
    return {
        "actor_type": principal.actor_type.value,
        "tool": tool.name,
        "question": question_of(request, principal, task, tool, resource),
        "entities": entities_of(request, principal, owner, task, tool, resource),
        "requested_ttl": request.requested_ttl,
        "ends_at": _ends(request, task),
        "may_last": _may_last(principal, task, tool),
    }


def _ends(request: DecisionRequest, task: Task) -> int:
    """The second after which nothing that it stands on is there any more."""
    ends = [task.ends_at, *request.ends_at]
    if task.budget.duration:
        ends.append(task.opened_at + task.budget.duration)
    if request.approval is not None and approved(request):
        ends.append(request.approval.until)
    return min(ends)


def _may_last(principal: Principal, task: Task, tool: Tool) -> bool:
    """Whether a policy may give it more than the short TTL: reads of low risk, watched, and by no agent.

    A heartbeat that was missed has ended the task.
    """
    return (
        principal.actor_type is not ActorType.AI_AGENT
        and tool.risk is Risk.LOW
        and tool.action_class in _READS
        and bool(task.heartbeat)
    )
