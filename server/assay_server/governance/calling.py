"""Asking before a call: decided by what is registered now, counted once, and both in one transaction.

Whoever asks is the instance whose task it is, an operator, or a verifier that serves the audience of the token. What
these say of the call is its name and a digest; who calls, for what and on what follows from the store.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from assay.clock import Clock
from assay.errors import AlreadyExistsError, AssayError, InvalidArgumentError, NotFoundError, PermissionDeniedError
from assay.governed.authority import actions_of
from assay.governed.digest import digest
from assay.spiffeid import SpiffeId
from assay.telemetry import tracing
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.budget import BudgetSpentError, Paid, called
from assay_server.governance.counting import counted_up, note_failed
from assay_server.governance.deciding import facts_of, recorded
from assay_server.governance.ending import event_of
from assay_server.governance.identity import principal_of
from assay_server.governance.journal import Write, record
from assay_server.governance.policies import PolicySource, under_live
from assay_server.governance.task_state import InactiveTaskError
from assay_server.governance.tasks import By, Caller
from assay_server.model.governed.catalogue import RESOURCE, TOOL
from assay_server.model.governed.decision import DECISION, Decision, DecisionRequest, Point
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Task
from assay_server.policy.engine import Policy

VALID = 30
"""Seconds within which a call that was allowed is to be begun, at most."""

MAX_ASKED = 8
"""How often one call may be asked about: a retry is one, a loop is not."""

MAX_PARAMETERS = 64 * 1024
"""Characters of parameters that are sent as JSON."""

_DIGEST = re.compile(r"sha-256:[A-Za-z0-9_-]{43}")
_MAX_NAME = 256


def parameters_digest_of(text: str) -> str:
    """The digest of parameters that came as JSON.

    Raises:
        InvalidArgumentError: they are no JSON, or more than anybody should send.
    """
    if len(text) > MAX_PARAMETERS:
        raise InvalidArgumentError(f"parameters have more than {MAX_PARAMETERS} characters", hint="send their digest")
    try:
        return digest(json.loads(text))
    except (ValueError, RecursionError):
        raise InvalidArgumentError("parameters are no JSON that everybody reads alike") from None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to be made, with a token (`jti`) or within a task of the caller's own (`task_id`).

    An empty `resource` is the token's audience, or the tool's by the catalogue. `call_id` names the call among all that
    the same caller asks about, so that asking again is not another call; empty: each is one. With `proved` a verifier
    says that it has seen the proof of the token's key. An `instance` has to be the one that calls, if it is said;
    operators, for whom there is none, say as whom they ask.
    """

    action: str
    jti: str = ""
    task_id: str = ""
    resource: str = ""
    parameters_digest: str = ""
    call_id: str = ""
    proved: bool = False
    instance: str = ""

    def check(self) -> None:
        """See that it says which call it is.

        Raises:
            InvalidArgumentError: it does not.
        """
        if bool(self.jti) is bool(self.task_id):
            raise InvalidArgumentError("name the token (its jti) or the task, one of the two")
        for what, text in (("action", self.action), ("call ID", self.call_id), ("resource", self.resource)):
            if len(text) > _MAX_NAME or not text.isprintable():
                raise InvalidArgumentError(f"{what} must be a text of at most {_MAX_NAME} characters")
        if not self.action:
            raise InvalidArgumentError("an action has to be named")
        if self.parameters_digest and not _DIGEST.fullmatch(self.parameters_digest):
            raise InvalidArgumentError(
                "parameters_digest is no digest", hint='"sha-256:" and the base64url of SHA-256 over canonical JSON'
            )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: an operator or instances of principals (`by`), and the SPIFFE IDs that a workload has, to verify by."""

    by: By
    identities: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose call it is: the task's, by this instance; `actor` is who asks, as events name it."""

    call: Call
    task: Task
    credential: Credential | None
    instance: str
    actor: str
    confirmed: bool

    @property
    def name(self) -> str:
        """The call's, among all calls of the task; each caller has its own, or one could use up another's."""
        return f"{self.task.task_id}/{self.actor}/{self.call.call_id}" if self.call.call_id else ""

    @property
    def digest(self) -> str:
        """Of what is asked about."""
        call = self.call
        return digest([call.action, call.jti, call.resource, call.parameters_digest])


class CallService:
    """Decides on calls."""

    def __init__(self, store: Store, policies: PolicySource, clock: Clock) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock

    async def asker(self, spiffe_id: SpiffeId) -> Asker:
        """Who asks as a client with that SPIFFE ID: an instance, if it is one, and what it is registered under."""
        return await self._store.read(lambda tx: _asker(tx, spiffe_id))

    async def decide(self, call: Call, asker: Asker) -> Decision:
        """The answer: written down, and the call counted, before it is given.

        A call that was allowed is decided anew when it is asked about again, but not counted; one that was refused
        stays refused.

        Raises:
            InvalidArgumentError: the request is not whole.
            NotFoundError: there is no such token or task, or it is none of whoever asks.
            AlreadyExistsError: the `call_id` was another call's.
            UnavailableError: there is no policy to decide by.
        """
        call.check()
        now = int(self._clock.now().timestamp())
        decided = await under_live(
            self._store, self._policies, lambda tx, policy: _decided(tx, policy, _asked(tx, call, asker), now)
        )
        if isinstance(decided, AssayError):
            raise decided
        tracing.note(tracing.TASK, decided.task_id)
        tracing.note(tracing.DECISION, decided.decision_id)
        return decided


def _asker(tx: Transaction, spiffe_id: SpiffeId) -> Asker:
    principal, instance = principal_of(tx, spiffe_id), tx.governed.get(INSTANCE, str(spiffe_id))
    callers = (Caller(principal, str(spiffe_id)),) if principal else ()
    binding = tx.entries.get(instance.entry_id) if instance and principal else None
    return Asker(By(callers=callers), {str(spiffe_id), *([str(binding.spiffe_id)] if binding else [])})


def _asked(tx: Transaction, call: Call, asker: Asker) -> _Asked:
    credential = tx.governed.get(CREDENTIAL, call.jti) if call.jti else None
    task = tx.governed.get(TASK, credential.task_id if credential else call.task_id)
    if task is None or (call.jti and credential is None):
        raise _unknown(call)
    actor = asker.by.actor(task)
    if credential is None:
        if actor is None:
            raise _unknown(call)
        own = task.instance or actor if not asker.by.operator else call.instance or task.instance or actor
        return _Asked(call, task, None, own, actor, confirmed=True)
    if asker.by.operator or credential.instance in {one.instance for one in asker.by.callers}:
        return _Asked(
            call, task, credential, credential.instance, asker.by.operator or credential.instance, confirmed=True
        )
    verifier = _verifier(tx, credential.audience or _resource_of(tx, call), asker.identities)
    if verifier is None:
        raise _unknown(call)
    return _Asked(call, task, credential, credential.instance, verifier, confirmed=call.proved)


def _verifier(tx: Transaction, audience: str, identities: Collection[str]) -> str | None:
    """The identity that serves the audience: it is the audience, or one of the resource's verifiers."""
    resource = tx.governed.get(RESOURCE, audience)
    serving = {audience, *(resource.verifiers if resource else ())}
    return next((one for one in sorted(identities) if one in serving), None)


def _resource_of(tx: Transaction, call: Call) -> str:
    """What the action is one of, for tokens that name no audience."""
    tool = tx.governed.get(TOOL, call.action)
    return tool.resource if tool else ""


def _unknown(call: Call) -> NotFoundError:
    """The same to strangers as if there were none."""
    return NotFoundError(
        f"no token {call.jti[:64]}" if call.jti else f"no task {call.task_id[:64]}",
        hint="verifiers ask about tokens for a resource that names them: `assay resource update --verifier`",
    )


def _decided(tx: Transaction, policy: Policy, asked: _Asked, now: int) -> Decision | AssayError:
    earlier = _earlier(tx, asked)
    if earlier and earlier[-1].call_digest != asked.digest:
        return AlreadyExistsError(f'call "{asked.call.call_id}" was another call', hint="name each call differently")
    if earlier and not earlier[-1].allowed:
        return earlier[-1]
    paid = earlier[-1] if earlier else None
    barred = "the call was asked about too often" if len(earlier) >= MAX_ASKED else _barred(asked, now)
    counted = [] if barred or paid else _counted(tx, asked, now)
    if isinstance(counted, AssayError):
        barred = counted.message
    decision = recorded(tx, policy, _request(tx, asked, barred, paid, now), asked.actor, asked.name, asked.digest)
    if not decision.allowed:
        if not isinstance(counted, BudgetSpentError):
            _note_refused(tx, asked, now)
    elif not paid and not isinstance(counted, AssayError):
        _spend(tx, asked, counted, decision, now)
    return decision


def _earlier(tx: Transaction, asked: _Asked) -> list[Decision]:
    """What was decided on the call when it was asked about before, oldest first."""
    found = tx.governed.latest(DECISION, [("call", asked.name)], MAX_ASKED) if asked.name else []
    return found[::-1]


def _barred(asked: _Asked, now: int) -> str:
    """Why the token, or the task, does not come into question for the call."""
    call, credential, task = asked.call, asked.credential, asked.task
    if call.instance not in {"", asked.instance}:
        return "another instance calls"
    if credential is not None:
        if not credential.live(now):
            return f"the token has ended: {credential.cause or 'expired'}"
        if call.action not in credential.actions:
            return f"the token does not name {call.action}"
        if credential.audience and call.resource not in {"", credential.audience}:
            return "the token is for another resource"
    if not _listed(task, call.action):
        return f"the task was not approved for {call.action}"
    return ""


def _listed(task: Task, action: str) -> bool:
    return any(action == one for _, one in actions_of(task.authority))


def _counted(tx: Transaction, asked: _Asked, now: int) -> list[Task] | AssayError:
    """The task and those above it after the call; or why there is no more of them."""
    credential, action = asked.credential, asked.call.action
    paid = Paid()
    if credential is not None and credential.audience:
        paid = Paid(call=not credential.called, action=action not in credential.called)
    try:
        return counted_up(tx, asked.task, asked.actor, now, lambda one: called(one, action, paid))
    except (InactiveTaskError, PermissionDeniedError) as error:
        return error


def _request(tx: Transaction, asked: _Asked, barred: str, paid: Decision | None, now: int) -> DecisionRequest:
    call, credential, task = asked.call, asked.credential, asked.task
    principal = tx.governed.get(PRINCIPAL, task.principal)
    (facts,) = facts_of(tx, task, principal, [call.action])
    registered = facts.tool.resource if facts.tool else ""
    chain, steps = (facts.chain, facts.steps) if paid is None else _chain_of(paid)
    return DecisionRequest(
        point=Point.CALL,
        now=now,
        principal=principal,
        owner=facts.owner,
        instance=asked.instance,
        task=task,
        tool=facts.tool,
        resource=facts.resource,
        audience=(credential.audience if credential else "") or call.resource or registered,
        confirmed=asked.confirmed,
        requested_ttl=VALID,
        ends_at=(credential.expires_at,) if credential else (),
        chain=chain,
        steps=steps,
        depth=facts.depth,
        parameters_digest=call.parameters_digest,
        grants=facts.grants,
        kind=credential.kind if credential else "at+jwt",
        customer=facts.customer,
        barred=barred,
    )


def _chain_of(decision: Decision) -> tuple[tuple[str, ...], int]:
    """The chain as it was when the call was counted: it does not stand before itself."""
    said = decision.inputs["question"]["context"]
    last = [said["previous"]] if said["previous"] else []
    return (*(one for one in said["chain"] if one not in last), *last), said["steps"]


def _note_refused(tx: Transaction, asked: _Asked, now: int) -> None:
    """Count it as an attempt, where there is something to count."""
    if asked.task.active(now) and _listed(asked.task, asked.call.action):
        note_failed(tx, asked.task, asked.actor, asked.call.action, now)


def _spend(tx: Transaction, asked: _Asked, counted: list[Task], decision: Decision, now: int) -> None:
    details = {"change": "called", "action": asked.call.action, "decision_id": decision.decision_id}
    credential = asked.credential
    if credential is not None:
        used = tuple(dict.fromkeys((*credential.called, asked.call.action)))
        credential = replace(credential, called=used)
    for one in counted:
        writes: list[Write] = [(TASK, one)]
        if credential is not None and one.task_id == asked.task.task_id:
            writes.append((CREDENTIAL, credential))
        record(tx, event_of(tx, EventType.TASK_CHANGED, one, asked.actor, now, **details), *writes)
