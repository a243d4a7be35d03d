"""Revoking all of a kind: written down first, then done in slices, between which others write.

Each slice is one transaction with what it ended and how much that is by now. Whoever is killed in the middle leaves a
request that is not done, which is finished by whoever comes after.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from assay.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Page, Transaction
from assay_server.governance import owners, principals, task_state
from assay_server.governance.deed import Deed
from assay_server.governance.ending import (
    Ended,
    children_of,
    credentials_of,
    end_tasks,
    endable_tasks,
    revoke_credential,
)
from assay_server.governance.identifier import new_id
from assay_server.governance.journal import record
from assay_server.governance.naming import check_text
from assay_server.governance.principal_state import Move, moved
from assay_server.governance.principals import told
from assay_server.governance.stopping import withhold
from assay_server.model.governed.catalogue import RESOURCE, TOOL
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, Principal, PrincipalState
from assay_server.model.governed.revocation import REVOCATION, Revocation, Target
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task

SLICE = 100
"""Tasks, credentials or principals of one transaction, which other writers wait for."""

Term = tuple[str, str]

# The term by which tasks say it; those of an owner or a tenant are also found by the principals that are theirs now.
_TERMS: Mapping[Target, str] = MappingProxyType(
    {
        Target.PRINCIPAL: "principal",
        Target.INSTANCE: "instance",
        Target.OWNER: "owner",
        Target.TOOL: "tool",
        Target.TENANT: "tenant",
    }
)
SUSPENDABLE = frozenset({Target.PRINCIPAL, Target.OWNER})


@dataclass(frozen=True, slots=True)
class Affected:
    """What would end, and how many active principals could be suspended."""

    tasks: int
    credentials: int
    principals: int


def check(target: Target, value: str, reason: str, *, suspend: bool) -> None:
    """See that it says what is to be revoked and why.

    Raises:
        InvalidArgumentError: it does not.
    """
    if not value:
        raise InvalidArgumentError(f"no {target.value} is named")
    if not reason:
        raise InvalidArgumentError("a revocation needs a reason", hint="say why: --reason")
    check_text("reason", reason)
    if suspend and target not in SUSPENDABLE:
        raise InvalidArgumentError(
            f"a {target.value} cannot be suspended", hint="suspend its principal: assay principal suspend"
        )


def begun(tx: Transaction, asked: Revocation) -> Revocation:
    """The request after its first slice, which is all of it if there is little.

    Raises:
        NotFoundError: there is no such thing.
        InvalidArgumentError: what is named is no SPIFFE ID.
    """
    require_there(tx, asked.target, asked.value)
    asked = replace(asked, revocation_id=new_id("rev", asked.at))
    return _after_slice(tx, asked, asked.at, {"change": "requested"})


def continued(tx: Transaction, revocation_id: str, now: int) -> Revocation:
    """The request after one more slice; as it is if it is done, or not known."""
    known = tx.governed.get(REVOCATION, revocation_id)
    if known is None:
        raise FailedPreconditionError(f"there is no revocation {revocation_id}")
    return known if known.done_at else _after_slice(tx, known, now, {"change": "continued"})


def running(tx: Transaction) -> list[Revocation]:
    """Those that are not done."""
    return tx.governed.find(REVOCATION, [("state", "running")], Page())[0]


def affected(tx: Transaction, target: Target, value: str, now: int) -> Affected:
    """What it would end now; raises as `begun`."""
    require_there(tx, target, value)
    tasks: dict[str, Task] = {}
    waiting = [task for found in _tasks(tx, target, value, 0) for task in found]
    while waiting:
        task = waiting.pop()
        if task.task_id not in tasks:
            tasks[task.task_id] = task
            waiting += children_of(tx, task)
    names = {one.jti for task_id in tasks for one in credentials_of(tx, task_id) if one.live(now)}
    names |= {one.jti for found in _credentials(tx, target, value, now) for one in found}
    active = len(_active(tx, target, value, 0)) if target in SUSPENDABLE else 0
    return Affected(len(tasks), len(names), active)


def require_there(tx: Transaction, target: Target, value: str) -> None:
    """See that there is such a thing, or anything that says it belongs to it.

    Raises:
        NotFoundError: there is not.
        InvalidArgumentError: it is no SPIFFE ID.
    """
    if target is Target.PRINCIPAL:
        principals.known(tx, value)
    elif target is Target.OWNER:
        owners.known(tx, value)
    elif not _THERE[target](tx, value):
        raise NotFoundError(f'there is no {target.value} "{value[:256]}"', hint=_HINTS.get(target, ""))


def _after_slice(tx: Transaction, one: Revocation, now: int, details: dict[str, Any]) -> Revocation:
    suspended, ended, done = 0, Ended(), False
    while not done and suspended + ended.tasks + ended.credentials < SLICE:
        more, ends, done = _step(tx, one, now)
        suspended, ended = suspended + more, ended + ends
    after = replace(
        one,
        principals=one.principals + suspended,
        tasks=one.tasks + ended.tasks,
        credentials=one.credentials + ended.credentials,
        done_at=now if done else 0,
    )
    said = {"target": one.target.value, "value": one.value, "cause": one.cause, "suspend": one.suspend, "done": done}
    counts = {"principals": suspended, "tasks": ended.tasks, "credentials": ended.credentials}
    principal = one.value if one.target is Target.PRINCIPAL else ""
    details = {**details, **said, **counts}
    event = Event(EventType.REVOCATION, now, one.by, one.revocation_id, principal=principal, details=details)
    record(tx, event, (REVOCATION, after))
    return after


def _step(tx: Transaction, one: Revocation, now: int) -> tuple[int, Ended, bool]:
    """At most SLICE principals suspended, tasks ended or credentials revoked; whether nothing is left."""
    deed = Deed(one.by, now)
    if one.suspend and (active := _active(tx, one.target, one.value, SLICE)):
        for principal in active:
            _suspend(tx, principal, one.reason, deed)
        return len(active), Ended(), False
    for found in _tasks(tx, one.target, one.value, SLICE):
        if found:
            return 0, end_tasks(tx, found[:SLICE], one.cause, one.by, now), False
    for credentials in _credentials(tx, one.target, one.value, now):
        if credentials:
            for credential in credentials[:SLICE]:
                revoke_credential(tx, credential, one.cause, one.by, now)
            return 0, Ended(credentials=len(credentials[:SLICE])), False
    return 0, Ended(), True


def _suspend(tx: Transaction, principal: Principal, reason: str, deed: Deed) -> None:
    """From now on it opens nothing and gets nothing; what it has ends in the slices after this."""
    after = moved(principal, Move.SUSPEND, (), reason, deed.at)
    bindings = withhold(tx, principal.name, withheld=True)
    record(tx, told(after, after.state.value, deed, reason=reason, bindings=bindings), (PRINCIPAL, after))


def _active(tx: Transaction, target: Target, value: str, limit: int) -> list[Principal]:
    if target is Target.PRINCIPAL:
        principal = tx.governed.get(PRINCIPAL, value)
        return [principal] if principal is not None and principal.state is PrincipalState.ACTIVE else []
    active = ("state", PrincipalState.ACTIVE.value)
    return tx.governed.find(PRINCIPAL, [("owner", value), active], Page(limit))[0]


def _tasks(tx: Transaction, target: Target, value: str, limit: int) -> Iterator[Sequence[Task]]:
    """Live tasks of it, `limit` of a kind at most if that is not 0."""
    if target is Target.TASK:
        task = tx.governed.get(TASK, value)
        # One in a state that is not known ends as well.
        yield [task] if task is not None and task_state.live(task) else []
    for term in _terms(tx, target, value):
        yield endable_tasks(tx, term, limit)


def _credentials(tx: Transaction, target: Target, value: str, now: int) -> Iterator[Sequence[Credential]]:
    """Live credentials of it that do not end with those tasks."""
    if target is Target.CREDENTIAL:
        credential = tx.governed.get(CREDENTIAL, value)
        yield [credential] if credential is not None and credential.live(now) else []
    for term in _terms(tx, target, value):
        if term[0] in {"principal", "instance"}:
            found, _ = tx.governed.find(CREDENTIAL, [term], Page(), due_after=now)
            yield [one for one in found if one.live(now)]


def _terms(tx: Transaction, target: Target, value: str) -> Iterator[Term]:
    if (name := _TERMS.get(target)) is None:
        return
    yield name, value
    if target in {Target.OWNER, Target.TENANT}:
        for principal in tx.governed.find(PRINCIPAL, [(name, value)], Page())[0]:
            yield "principal", principal.name


def _instance(tx: Transaction, value: str) -> bool:
    spiffe_id = SpiffeId.parse(value)
    known = tx.governed.get(INSTANCE, value) is not None or bool(tx.entries.bindings_at([spiffe_id]))
    return known or _any(tx, ("instance", value))


def _any(tx: Transaction, term: Term) -> bool:
    """Whether a task says so, or ever did."""
    return bool(tx.governed.find(TASK, [term], Page(1))[0]) or bool(tx.governed.find(CREDENTIAL, [term], Page(1))[0])


def _tenant(tx: Transaction, term: Term) -> bool:
    registered = tx.governed.find(PRINCIPAL, [term], Page(1))[0] or tx.governed.find(RESOURCE, [term], Page(1))[0]
    return bool(registered) or bool(tx.governed.find(TASK, [term], Page(1))[0])


_THERE: Mapping[Target, Callable[[Transaction, str], bool]] = MappingProxyType(
    {
        Target.TASK: lambda tx, value: tx.governed.get(TASK, value) is not None,
        Target.CREDENTIAL: lambda tx, value: tx.governed.get(CREDENTIAL, value) is not None,
        Target.INSTANCE: _instance,
        Target.TOOL: lambda tx, value: tx.governed.get(TOOL, value) is not None or _any(tx, ("tool", value)),
        Target.TENANT: lambda tx, value: _tenant(tx, ("tenant", value)),
    }
)
_HINTS = {
    Target.TASK: "`assay task list` names those there are",
    Target.TOOL: "`assay tool list` names those there are",
    Target.INSTANCE: "an instance is named by its SPIFFE ID",
    Target.CREDENTIAL: "a credential is named by its jti, which begins with crd_",
    Target.TENANT: "`assay principal list` shows the tenants of principals",
}
