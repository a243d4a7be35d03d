"""Requests that nobody makes, for golden tables and for the floor: a clean one, and what is different of it."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from assay.errors import InvalidArgumentError
from assay.governed.authority import Access
from assay_server.model.governed.catalogue import Grant, Holder, Resource, Tool
from assay_server.model.governed.decision import Approval, DecisionRequest
from assay_server.model.governed.owner import Owner
from assay_server.model.governed.principal import Principal
from assay_server.model.governed.task import Task
from assay_server.policy.vocabulary import nearest

NOW = 1_763_802_000
"""2025-11-22T09:00:00Z, a Saturday."""

Values = Mapping[str, Any]
Overrides = Mapping[str, Values]
"""What is different, by section and field; names are those of the model."""

_MORE: Mapping[str, tuple[str, ...]] = {
    "task": ("goal", "purpose", "ends_in", "opened_ago", "heartbeat_ago"),
    "approval": ("valid_for",),
}
_NOT_HERE: Mapping[str, tuple[str, ...]] = {
    "request": (
        "principal",
        "owner",
        "task",
        "tool",
        "resource",
        "grants",
        "approval",
        "parameters",
        "point",
        "barred",
    ),
    "task": ("intent", "used", "constraints"),
}
_TYPES: Mapping[str, type[Any]] = {
    "request": DecisionRequest,
    "principal": Principal,
    "owner": Owner,
    "task": Task,
    "tool": Tool,
    "resource": Resource,
    "approval": Approval,
}
SECTIONS = tuple(_TYPES)


def request_of(point: str, different: Overrides) -> DecisionRequest:
    """A clean request at that point, but for what is different; related facts follow, as a task's tenant does.

    Raises:
        InvalidArgumentError: there is no such section or field, or that is no value of it.
    """
    _check_names(different)
    try:
        return _read(DecisionRequest, _made(point, different))
    except TypeError as error:
        raise InvalidArgumentError(f"no value of that field: {error}") from None


def _made(point: str, different: Overrides) -> dict[str, Any]:
    request = {"now": NOW, **different.get("request", {})}
    if isinstance(request["now"], datetime):
        request["now"] = int(request["now"].timestamp())
    now = request["now"]
    principal = _principal(different)
    resource = _resource(principal, different.get("resource", {}))
    tool = {
        "name": "tool", "resource": resource["uri"], "action_class": "consequential_read", "risk": "low",
        **different.get("tool", {}),
    }  # fmt: skip
    principal = {"tools": [tool["name"]], **principal}
    return {
        "point": point,
        "principal": principal,
        "owner": {"name": principal["owner"], **different.get("owner", {})},
        "instance": f"spiffe://example.org/principal/{principal['name']}/1",
        "task": _task(principal, tool, resource, now, different.get("task", {})),
        "tool": tool,
        "resource": resource,
        "audience": resource["uri"],
        "confirmed": True,
        "grants": [_grant(principal, name) for name in principal.get("grants", ())],
        **({"approval": _approval(request, principal, different["approval"])} if "approval" in different else {}),
        **request,
    }


def _principal(different: Overrides) -> dict[str, Any]:
    return {
        "name": "agent", "actor_type": "ai_agent", "owner": "person:owner@example.org", "purpose": "work",
        "environment": "prod", "tenant": "acme", "risk_class": "low", "approvals": [], "state": "active",
        **different.get("principal", {}),
    }  # fmt: skip


def _resource(principal: Values, different: Values) -> dict[str, Any]:
    return {
        "uri": "https://resource.example/api", "environment": principal["environment"], "tenant": principal["tenant"],
        "sensitivity": "internal", **different,
    }  # fmt: skip


def _task(principal: Values, tool: Values, resource: Values, now: int, different: Values) -> dict[str, Any]:
    given = dict(different)
    intent = {"goal": given.pop("goal", "work"), "purpose": given.pop("purpose", principal["purpose"])}
    times = {
        "ends_at": now + given.pop("ends_in", 3600),
        "opened_at": now - given.pop("opened_ago", 60),
        "heartbeat_at": now - given.pop("heartbeat_ago", 0),
    }
    return {
        "task_id": "task", "principal": principal["name"], "instance": "", "owner": principal["owner"],
        "tenant": principal["tenant"], "environment": principal["environment"], "intent": intent,
        "authority": [Access(resource["uri"], (tool["name"],))], "intent_hash": "", "authority_hash": "",
        "trigger": "workload:", **times, **given,
    }  # fmt: skip


def _grant(principal: Values, name: str) -> Grant:
    return Grant(name, Holder.HUMAN if principal["actor_type"] == "human" else Holder.MACHINE)


def _approval(request: Values, principal: Values, different: Values) -> dict[str, Any]:
    given = dict(different)
    usual = {
        "by": principal["owner"],
        "until": request["now"] + given.pop("valid_for", 600),
        "params_digest": request.get("parameters_digest", ""),
    }
    return {**usual, **given}


def _check_names(different: Overrides) -> None:
    for section, values in different.items():
        if section not in _TYPES:
            raise InvalidArgumentError(f"no inputs are called {section}", hint=nearest(section, SECTIONS))
        known = {each.name for each in fields(_TYPES[section])} - set(_NOT_HERE.get(section, ()))
        known |= set(_MORE.get(section, ()))
        for name in values:
            if name not in known:
                raise InvalidArgumentError(f"{section} has no {name}", hint=nearest(name, known))


def _read(kind: type[DecisionRequest], made: Values) -> DecisionRequest:
    try:
        return TypeAdapter(kind).validate_python(made)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        raise InvalidArgumentError(f"{where}: {first['msg']}") from None
