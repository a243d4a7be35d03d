"""Events of what gives more than usual: authority that goes from one to another, and privileges of administration."""

from collections.abc import Iterable, Sequence
from typing import Any

from assay_server.governance.deciding import Facts
from assay_server.model.governed.catalogue import ActionClass
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import Principal
from assay_server.model.governed.task import Credential, Task


def delegations(task: Task, principal: Principal, actor: str, parent: Task | None, depth: int) -> Iterable[Event]:
    """That a task acts for somebody, or has its authority of a task above it; nothing for a principal's own work."""
    if parent is None and not task.subject:
        return
    details = {
        "from": task.subject or task.trigger,
        "subject_profile": task.subject_profile,
        "to": task.instance or task.principal,
        "parent": task.parent,
        "parent_authority_hash": parent.authority_hash if parent is not None else "",
        "authority_hash": task.authority_hash,
        "intent_hash": task.intent_hash,
        "depth": depth,
        "ends_at": task.ends_at,
    }
    yield _event(EventType.DELEGATION, task, principal, actor, task.opened_at, task.task_id, details)


def elevated(facts: Iterable[Facts]) -> list[str]:
    """Those of the actions that administer, as the catalogue has them now."""
    tools = (each.tool for each in facts)
    return [one.name for one in tools if one and one.action_class is ActionClass.PRIVILEGED_ADMINISTRATION]


def elevations_of_task(
    task: Task, principal: Principal, actor: str, actions: Sequence[str], decisions: Sequence[str]
) -> Iterable[Event]:
    """That a task was opened with actions that administer."""
    if actions:
        details = {
            "point": "task:open",
            "actions": list(actions),
            "authority_hash": task.authority_hash,
            "decisions": list(decisions),
            "ends_at": task.ends_at,
        }
        at = task.opened_at
        yield _event(EventType.PRIVILEGE_ELEVATION, task, principal, actor, at, task.task_id, details)


def elevations_of_credential(
    credential: Credential, task: Task, principal: Principal, actor: str, actions: Sequence[str]
) -> Iterable[Event]:
    """That a token was issued with actions that administer."""
    if actions:
        details = {
            "point": "credential:issue",
            "actions": list(actions),
            "audience": credential.audience,
            "authority_hash": credential.authority_hash,
            "decisions": [credential.decision_id],
            "ends_at": credential.expires_at,
        }
        at = credential.issued_at
        yield _event(EventType.PRIVILEGE_ELEVATION, task, principal, actor, at, credential.jti, details)


def _event(
    kind: EventType, task: Task, principal: Principal, actor: str, at: int, subject: str, details: dict[str, Any]
) -> Event:
    return Event(kind, at, actor, subject, task.task_id, principal.name, principal.actor_type.value, details)
