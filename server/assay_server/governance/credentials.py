"""Just-in-time credentials: nothing is signed before policy allowed it and that is written down.

The order is decide, record, sign. A crash between the last two leaves a record of a token that nobody has, never a
token without a record.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from assay.clock import Clock
from assay.errors import AssayError
from assay.governed.authority import Authority
from assay.governed.digest import authority_hash
from assay.telemetry import tracing
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.counting import note_failed, one_more
from assay_server.governance.deciding import Facts, facts_of, recorded
from assay_server.governance.elevation import elevated, elevations_of_credential
from assay_server.governance.ending import revoke_credential
from assay_server.governance.identifier import new_id
from assay_server.governance.identity import principal_of
from assay_server.governance.journal import Write, record
from assay_server.governance.policies import PolicySource, under_live
from assay_server.governance.refusal import AuthorityExceededError, DecisionRefusedError, TaskRefusedError
from assay_server.governance.request import Confirmation, CredentialRequest
from assay_server.governance.selection import only_covering
from assay_server.model.governed.decision import Decision, DecisionRequest, Point
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import PRINCIPAL, Principal
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task
from assay_server.policy.engine import Policy

_MAX_NOTED = 64
"""Characters; a task's ID has thirty."""

_USED_EVERY = 60
"""Seconds; the last use of a principal is written down no more often."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token may say: the task, the principal, the authority it carries and the record of it.

    `action_classes` are the catalogue's, by action.
    """

    task: Task
    principal: Principal
    authority: Authority
    credential: Credential
    confirmation: Confirmation | None
    action_classes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """A token, which is a secret, and the record of it."""

    granted: Granted
    token: str = field(repr=False)


Sign = Callable[[Granted], str]


class CredentialService:
    """Issues credentials of tasks; `signer_ends_at` says when what `sign` signs with ends (Unix seconds).

    `issuer` is whose hashes the tasks' are, so that those of credentials can be compared with them.
    """

    def __init__(
        self,
        store: Store,
        policies: PolicySource,
        clock: Clock,
        sign: Sign,
        signer_ends_at: Callable[[], int],
        issuer: str,
    ) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock
        self._sign = sign
        self._signer_ends_at = signer_ends_at
        self._issuer = issuer

    async def issue(self, request: CredentialRequest) -> IssuedCredential:
        """A token for that audience, bound to the caller's key, that ends before everything it stands on.

        Raises:
            TaskRefusedError: no such task of this caller, or it is not active.
            AuthorityExceededError: the task was not approved for that.
            DecisionRefusedError: policy refuses, or asks for approval.
            UnavailableError: there is no key to sign with, or no policy to decide by.
        """
        asked = replace(request, ends_at=(*request.ends_at, self._signer_ends_at()))
        now = int(self._clock.now().timestamp())
        tracing.note(tracing.TASK, request.task_id[:_MAX_NOTED])

        def work(tx: Transaction, policy: Policy) -> Granted | AssayError:
            return _granted(tx, policy, asked, self._issuer, now)

        granted = await under_live(self._store, self._policies, work)
        if isinstance(granted, DecisionRefusedError):
            tracing.note(tracing.DECISION, granted.decision.decision_id)
        if isinstance(granted, AssayError):
            raise granted
        tracing.note(tracing.TASK, granted.task.task_id)
        tracing.note(tracing.DECISION, granted.credential.decision_id)
        tracing.note(tracing.CREDENTIAL, granted.credential.jti)
        return IssuedCredential(granted, self._sign(granted))

    async def find(self, jti: str) -> tuple[Credential, Task] | None:
        """The record of a token, and its task; None for a token that is not known."""

        def read(tx: Transaction) -> tuple[Credential, Task] | None:
            credential = tx.governed.get(CREDENTIAL, jti)
            task = tx.governed.get(TASK, credential.task_id) if credential else None
            return (credential, task) if credential and task else None

        return await self._store.read(read)

    async def revoke(self, jti: str, *, actor: str, cause: str) -> bool:
        """End a credential before its time; False if it is not known, or has ended already."""
        now = int(self._clock.now().timestamp())
        return await self._store.write(lambda tx: _revoke(tx, jti, actor, cause, now))


def _granted(
    tx: Transaction, policy: Policy, request: CredentialRequest, issuer: str, now: int
) -> Granted | AssayError:
    """Decide and write down; what is refused is returned, since the record of it has to be committed as well."""
    try:
        task = _task(tx, request, now)
        authority = _authority(task, request)
    except AssayError as error:
        return error
    actor, actions = str(request.instance), [action for access in authority for action in access.actions]
    # Before policy is asked: whoever has no attempt left is not to keep it busy.
    counted = [task] if request.everywhere else one_more(tx, task, actor, actions, now)
    if isinstance(counted, BudgetSpentError):
        return counted
    principal = tx.governed.get(PRINCIPAL, task.principal)
    facts = facts_of(tx, task, principal, actions)
    decisions = [recorded(tx, policy, _asked(request, task, principal, each, now), actor) for each in facts]
    if refused := [(one, action) for one, action in zip(decisions, actions, strict=True) if not one.allowed]:
        for _, action in refused if not request.everywhere else ():
            task = note_failed(tx, task, actor, action, now)
        return DecisionRefusedError(refused[0][0])
    if principal is None:
        return TaskRefusedError("no such task")
    # What most tokens carry is all of the task's, whose hash is known.
    hashed = task.authority_hash if authority == task.authority else authority_hash(issuer, authority)
    # The next change is the credential's at the earliest: no other one is ever given this number.
    place = tx.changes.latest() + 1
    credential = replace(_credential(request, task, hashed, actions, decisions, now), status_index=place)
    _record(tx, credential, principal, counted, actor, now)
    for event in elevations_of_credential(credential, task, principal, actor, elevated(facts)):
        record(tx, event)
    classes = {each.tool.name: each.tool.action_class.value for each in facts if each.tool is not None}
    return Granted(task, principal, authority, credential, request.confirmation, classes)


def _task(tx: Transaction, request: CredentialRequest, now: int) -> Task:
    principal = principal_of(tx, request.instance)
    if not request.task_id:
        return only_covering(tx, principal, request.instance, request.audience, now)
    task = tx.governed.get(TASK, request.task_id)
    if task is None or principal != task.principal:
        raise TaskRefusedError("no such task")
    if task.instance and task.instance != str(request.instance):
        raise TaskRefusedError("no such task")
    if not task.active(now):
        raise TaskRefusedError(f"task is not active: {task.state.value}", hint="open a new task")
    return task


def _authority(task: Task, request: CredentialRequest) -> Authority:
    if request.everywhere:
        return task.authority
    found = [access for access in task.authority if access.resource == request.audience]
    if not found:
        raise AuthorityExceededError("the task has no authority at that audience")
    allowed = {action for access in found for action in access.actions}
    wanted = set(request.actions) or allowed
    if excess := sorted(wanted - allowed):
        raise AuthorityExceededError(f"not within the task's authority: {', '.join(excess)}")
    cut = (replace(access, actions=tuple(a for a in access.actions if a in wanted)) for access in found)
    return tuple(access for access in cut if access.actions)


def _asked(
    request: CredentialRequest, task: Task, principal: Principal | None, facts: Facts, now: int
) -> DecisionRequest:
    return DecisionRequest(
        point=Point.ISSUE,
        now=now,
        principal=principal,
        owner=facts.owner,
        instance=str(request.instance),
        task=task,
        tool=facts.tool,
        resource=facts.resource,
        audience=facts.resource.uri if request.everywhere and facts.resource else request.audience,
        confirmed=request.confirmation is not None,
        requested_ttl=request.requested_ttl,
        ends_at=request.ends_at,
        chain=facts.chain,
        steps=facts.steps,
        depth=facts.depth,
        grants=facts.grants,
        kind=request.kind,
        customer=facts.customer,
    )


def _credential(
    request: CredentialRequest, task: Task, hashed: str, actions: Sequence[str], decisions: Sequence[Decision], now: int
) -> Credential:
    ttl = min(each.ttl for each in decisions)
    return Credential(
        jti=new_id("crd", now),
        kind=request.kind,
        task_id=task.task_id,
        principal=task.principal,
        instance=str(request.instance),
        audience=request.audience,
        authority_hash=hashed,
        confirmation=request.confirmation.thumbprint if request.confirmation else "",
        issued_at=now,
        expires_at=min(now + ttl, task.ends_at, *request.ends_at),
        decision_id=decisions[0].decision_id,
        actions=tuple(dict.fromkeys(actions)),
        requested_ttl=request.requested_ttl,
    )


def _record(
    tx: Transaction, credential: Credential, principal: Principal, counted: Sequence[Task], actor: str, now: int
) -> None:
    event = Event(
        EventType.IDENTITY_ISSUED,
        now,
        actor,
        credential.jti,
        credential.task_id,
        principal.name,
        principal.actor_type.value,
        {
            "kind": credential.kind,
            "instance": credential.instance,
            "on_behalf_of": counted[0].subject,
            "environment": principal.environment,
            "tenant": principal.tenant,
            "audience": credential.audience,
            "authority_hash": credential.authority_hash,
            "confirmation": credential.confirmation,
            "expires_at": credential.expires_at,
            "decision_id": credential.decision_id,
        },
    )
    writes: list[Write] = [(CREDENTIAL, credential), *((TASK, one) for one in counted)]
    if now - principal.last_used_at >= _USED_EVERY:
        writes.append((PRINCIPAL, replace(principal, last_used_at=now)))
    record(tx, event, *writes)


def _revoke(tx: Transaction, jti: str, actor: str, cause: str, now: int) -> bool:
    credential = tx.governed.get(CREDENTIAL, jti)
    if credential is None or not credential.live(now):
        return False
    revoke_credential(tx, credential, cause, actor, now)
    return True
