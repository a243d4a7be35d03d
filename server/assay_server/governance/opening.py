"""Opening a task: everything registered is looked at, policy decides on each action, and all of it is one transaction.

What is refused before policy is asked leaves nothing; a refusal by policy leaves its decision, so that somebody can
look it up, and no task.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from assay.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from assay.governed.authority import actions_of
from assay.governed.digest import authority_hash, intent_hash
from assay_server.datastore.base import Transaction
from assay_server.governance import budget as budgets
from assay_server.governance import task_state
from assay_server.governance.deciding import Facts, facts_of, recorded
from assay_server.governance.elevation import delegations, elevated, elevations_of_task
from assay_server.governance.identifier import new_id
from assay_server.governance.journal import record
from assay_server.governance.narrowing import require_within
from assay_server.governance.refusal import DecisionRefusedError
from assay_server.governance.task_request import TaskRequest, check_covered, expires_at
from assay_server.model.governed.decision import Decision, DecisionRequest, Point
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.owner import OWNER, OwnerState
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import TASK, Task
from assay_server.policy.engine import Policy

MAX_DEPTH = 4
"""Tasks above a task, at most."""

MAX_ACTIVE = 256
"""Active tasks of one instance, at most: opening is free, and every task costs the store."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Whose hashes they are (the issuer of tokens), and how many seconds a task lasts at most."""

    issuer: str
    max_duration: int = 8 * 3600
    max_agent_duration: int = 3600

    def most(self, principal: Principal) -> int:
        """Of that principal's tasks."""
        return self.max_agent_duration if principal.actor_type is ActorType.AI_AGENT else self.max_duration


@dataclass(frozen=True, slots=True)
class Opener:
    """Who opens it, as attested or as the transport knows it, and for which principal.

    `trigger` is the task's; an empty `instance` leaves the task to any of the principal's.
    """

    trigger: str
    actor: str
    principal: str
    instance: str = ""
    subject: str = ""
    subject_profile: str = ""


def open_task(
    tx: Transaction, policy: Policy, terms: Terms, opener: Opener, request: TaskRequest, now: int
) -> Task | DecisionRefusedError:
    """The task; or the refusal by policy, which is returned since the record of it has to be committed.

    Raises:
        NotFoundError: no such principal, or no such task to stand below.
        FailedPreconditionError: the principal is not active, or its owner is gone; the parent is not active.
        PermissionDeniedError: a tool, resource, tenant or data class that is not this principal's.
        InvalidArgumentError: the request contradicts itself, or its time is over.
        ResourceExhaustedError: the instance has too many tasks already.
    """
    check_covered(request)
    budgets.check(request.budget, request.authority)
    principal = _principal(tx, opener.principal)
    task = _task(terms, opener, request, principal, now)
    if (parent := _parent(tx, task, now)) is not None:
        task = replace(task, ends_at=min(task.ends_at, parent.ends_at))
        require_within(task, parent)
    _check_classes(principal, request.data_classes)
    _check_room(tx, opener.instance)
    wanted = list(actions_of(request.authority))
    facts = facts_of(tx, task, principal, [action for _, action in wanted])
    for (resource, action), known in zip(wanted, facts, strict=True):
        _check_action(principal, resource, action, known)
    decisions = list(_decided(tx, policy, opener, task, principal, facts))
    if refused := next((one for one in decisions if not one.allowed), None):
        return DecisionRefusedError(refused)
    task = replace(task, policy_version=policy.version)
    record(tx, _opened(task, principal, opener, decisions), (TASK, task))
    for event in (
        *delegations(task, principal, opener.actor, parent, facts[0].depth),
        *elevations_of_task(task, principal, opener.actor, elevated(facts), [one.decision_id for one in decisions]),
    ):
        record(tx, event)
    return task


def _principal(tx: Transaction, name: str) -> Principal:
    principal = tx.governed.get(PRINCIPAL, name)
    if principal is None:
        raise NotFoundError(f'no principal "{name}"', hint="see `assay principal list`")
    if principal.state is not PrincipalState.ACTIVE:
        hint = "`assay principal activate` names what is missing" if principal.state is PrincipalState.STAGED else ""
        raise FailedPreconditionError(f'principal "{name}" is {principal.state.value}', hint=hint)
    owner = tx.governed.get(OWNER, principal.owner)
    if owner is None or owner.state is not OwnerState.ACTIVE:
        raise FailedPreconditionError(f'principal "{name}" has no live owner', hint="give it another owner")
    return principal


def _task(terms: Terms, opener: Opener, request: TaskRequest, principal: Principal, now: int) -> Task:
    try:
        hashes = (
            intent_hash(terms.issuer, request.intent.document),
            authority_hash(terms.issuer, request.authority),
        )
    except ValueError:
        raise InvalidArgumentError("intent or authority has a number that JSON cannot say everywhere alike") from None
    asked = [one for one in (principal.heartbeat or 0, request.heartbeat) if one > 0]
    return Task(
        task_id=new_id("tsk", now),
        principal=principal.name,
        instance=opener.instance,
        owner=principal.owner,
        tenant=principal.tenant,
        environment=principal.environment,
        intent=request.intent,
        authority=request.authority,
        intent_hash=hashes[0],
        authority_hash=hashes[1],
        trigger=opener.trigger,
        opened_at=now,
        ends_at=_end(request, terms.most(principal), now),
        data_classes=request.data_classes,
        constraints=request.constraints,
        budget=request.budget,
        subject=opener.subject,
        subject_profile=opener.subject_profile,
        parent=request.parent,
        heartbeat=min(asked, default=0),
        heartbeat_at=now,
    )


def _end(request: TaskRequest, most: int, now: int) -> int:
    """The earliest of all ends there are; one that was asked for has to be to come."""
    asked = [one for one in (request.ends_at or None, expires_at(request.intent)) if one is not None]
    if any(one <= now for one in asked):
        raise InvalidArgumentError("the end that is asked for is over already")
    duration = request.budget.duration
    return min([now + most, *asked, *([now + duration] if duration else [])])


def _parent(tx: Transaction, task: Task, now: int) -> Task | None:
    if not task.parent:
        return None
    parent = tx.governed.get(TASK, task.parent)
    own = parent is not None and parent.principal == task.principal and parent.instance in {"", task.instance}
    if parent is None or (not own and task.trigger.startswith("workload:")):
        raise NotFoundError(f"no task {task.parent}")
    if not own:
        whose = f'principal "{parent.principal}"' + (f", instance {parent.instance} alone" if parent.instance else "")
        raise PermissionDeniedError(
            f"task {task.parent} is of {whose}", hint="a task stands below one of the same principal and instance"
        )
    task_state.require_active(parent, now)
    if depth_of(tx, parent) > MAX_DEPTH:
        raise ResourceExhaustedError(f"task {task.parent} has {MAX_DEPTH} tasks above it already")
    return parent


def depth_of(tx: Transaction, task: Task) -> int:
    """Itself and the tasks above it."""
    depth, above = 1, task.parent
    while above and depth <= MAX_DEPTH:
        found = tx.governed.get(TASK, above)
        depth, above = depth + 1, found.parent if found is not None else ""
    return depth


def _check_classes(principal: Principal, wanted: Iterable[str]) -> None:
    if extra := sorted(set(wanted) - set(principal.data_classes)):
        raise PermissionDeniedError(f'principal "{principal.name}" has no data class {", ".join(extra)}')


def _check_room(tx: Transaction, instance: str) -> None:
    if instance and tx.governed.count(TASK, [("instance", instance), ("state", "active")]) >= MAX_ACTIVE:
        raise ResourceExhaustedError(f"{instance} has {MAX_ACTIVE} active tasks", hint="complete some of them")


def _check_action(principal: Principal, resource: str, action: str, facts: Facts) -> None:
    if action not in principal.tools:
        raise PermissionDeniedError(f'{action} is no tool of principal "{principal.name}"')
    if facts.tool is None or facts.resource is None:
        raise PermissionDeniedError(f"{action} is not in the catalogue", hint="see `assay tool` and `assay resource`")
    if facts.tool.resource != resource:
        raise PermissionDeniedError(f"{action} is no tool of {resource}, but of {facts.tool.resource}")
    if facts.resource.tenant not in {"", principal.tenant}:
        raise PermissionDeniedError(f'{resource} is not of tenant "{principal.tenant}"')


def _decided(
    tx: Transaction, policy: Policy, opener: Opener, task: Task, principal: Principal, each: Sequence[Facts]
) -> Iterable[Decision]:
    """One decision for each action, to the first that refuses."""
    for facts in each:
        asked = DecisionRequest(
            point=Point.OPEN,
            now=task.opened_at,
            principal=principal,
            owner=facts.owner,
            instance=opener.instance,
            task=task,
            tool=facts.tool,
            resource=facts.resource,
            confirmed=bool(opener.instance),
            chain=facts.chain,
            steps=facts.steps,
            depth=facts.depth,
            grants=facts.grants,
            customer=facts.customer,
        )
        decision = recorded(tx, policy, asked, opener.actor)
        yield decision
        if not decision.allowed:
            return


def _opened(task: Task, principal: Principal, opener: Opener, decisions: Iterable[Decision]) -> Event:
    return Event(
        EventType.TASK_OPENED,
        task.opened_at,
        opener.actor,
        task.task_id,
        task.task_id,
        task.principal,
        principal.actor_type.value,
        {
            "trigger": task.trigger,
            "owner": task.owner,
            "instance": task.instance,
            "subject": task.subject,
            "parent": task.parent,
            "intent_hash": task.intent_hash,
            "authority_hash": task.authority_hash,
            "ends_at": task.ends_at,
            "decisions": [one.decision_id for one in decisions],
        },
    )
