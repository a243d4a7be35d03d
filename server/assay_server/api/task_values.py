"""Tasks as messages and back."""

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from assay.errors import InvalidArgumentError
from assay.governed.authority import Authority, details
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay_proto.task.v1 import task_pb2 as pb
from assay_server.governance.budget import Left
from assay_server.governance.callers import Attested
from assay_server.governance.calling import Call, parameters_digest_of
from assay_server.governance.narrowing import Narrowing
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.task_request import TaskRequest, constraints_of, details_of, intent_of
from assay_server.governance.tasks import TaskRecord
from assay_server.model.governed.decision import Decision
from assay_server.model.governed.task import Budget, Credential, Task, TaskState, Used

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST = 2**31 - 1

_STATES: Mapping[TaskState, pb.TaskState.ValueType] = MappingProxyType(
    {
        TaskState.ACTIVE: pb.TASK_STATE_ACTIVE,
        TaskState.COMPLETED: pb.TASK_STATE_COMPLETED,
        TaskState.REVOKED: pb.TASK_STATE_REVOKED,
        TaskState.EXPIRED: pb.TASK_STATE_EXPIRED,
        TaskState.SUSPENDED: pb.TASK_STATE_SUSPENDED,
        TaskState.SUPERSEDED: pb.TASK_STATE_SUPERSEDED,
    }
)


def request_of(message: pb.OpenRequest) -> TaskRequest:
    """What is asked for.

    Raises:
        InvalidArgumentError: a part is too large, or is not what it has to be.
    """
    return TaskRequest(
        intent=intent_of(message.intent),
        authority=details_of(message.authorization_details),
        constraints=constraints_of(message.constraints),
        data_classes=_names(message.data_classes),
        budget=_budget(message.budget),
        ends_at=message.ends_at,
        heartbeat=message.heartbeat,
        parent=message.parent,
    )


def narrowing_of(message: pb.NarrowRequest) -> Narrowing:
    """What is left of a task; raises as `request_of`."""
    has = message.HasField
    return Narrowing(
        authority=details_of(message.authorization_details) if has("authorization_details") else None,
        constraints=constraints_of(message.constraints) if has("constraints") else None,
        data_classes=_names(message.data_classes.names) if has("data_classes") else None,
        budget=_budget(message.budget) if has("budget") else None,
        ends_at=message.ends_at if has("ends_at") else None,
    )


def credential_request_of(message: pb.CredentialRequest, instance: SpiffeId) -> CredentialRequest:
    """A token that an attested instance asks for.

    Raises:
        InvalidArgumentError: it names no key, or no thumbprint of one.
    """
    return CredentialRequest(
        task_id=message.task_id,
        instance=instance,
        audience=message.audience,
        confirmation=_confirmation(message),
        actions=tuple(message.actions),
        requested_ttl=min(message.ttl, _LONGEST),
    )


def credential_to_proto(credential: Credential, authority: Authority, token: str) -> pb.CredentialResponse:
    """The token with what the record of it says."""
    return pb.CredentialResponse(
        token=token,
        jti=credential.jti,
        expires_at=credential.expires_at,
        authorization_details=_json(details(authority)),
    )


def call_of(message: pb.DecideRequest) -> Call:
    """The call that is asked about; of its parameters only the digest is taken further.

    Raises:
        InvalidArgumentError: parameters are no JSON, or too many.
    """
    parameters = message.parameters_digest
    if message.HasField("parameters_json"):
        parameters = parameters_digest_of(message.parameters_json)
    return Call(
        action=message.action,
        jti=message.jti,
        task_id=message.task_id,
        resource=message.resource,
        parameters_digest=parameters,
        call_id=message.call_id,
        proved=message.key_proved,
    )


def decision_to_proto(decision: Decision) -> pb.DecideResponse:
    """The answer."""
    return pb.DecideResponse(
        effect=decision.effect.value,
        reason=decision.reason,
        advice=decision.advice,
        obligations=decision.obligations,
        decision_id=decision.decision_id,
        valid_until=decision.at + decision.ttl if decision.allowed else 0,
        policy_version=decision.policy_version,
        task_id=decision.task_id,
    )


def _confirmation(message: pb.CredentialRequest) -> Confirmation:
    kind = message.WhichOneof("confirmation")
    thumbprint = message.jkt or message.x5t_s256
    if kind is None or not _THUMBPRINT.fullmatch(thumbprint):
        raise InvalidArgumentError(
            "a key has to be named: the SHA-256 thumbprint of a JWK (jkt) or of a certificate (x5t_s256), base64url"
        )
    return Confirmation(Binding.DPOP if kind == "jkt" else Binding.CERTIFICATE, thumbprint)


def attested_of(message: pb.Workload) -> Attested:
    """A workload as its agent describes it (InvalidArgumentError: a selector is none)."""
    matches = {one.entry_id: one.instance for one in message.matches}
    return Attested(matches, frozenset(Selector(one.type, one.value) for one in message.selectors))


def to_proto(task: Task) -> pb.Task:
    """The message."""
    return pb.Task(
        id=task.task_id,
        principal=task.principal,
        instance=task.instance,
        owner=task.owner,
        tenant=task.tenant,
        environment=task.environment,
        intent=_json(task.intent.document),
        authorization_details=_json(details(task.authority)),
        intent_hash=task.intent_hash,
        authority_hash=task.authority_hash,
        trigger=task.trigger,
        opened_at=task.opened_at,
        ends_at=task.ends_at,
        state=_STATES.get(task.state, pb.TASK_STATE_UNSPECIFIED),
        state_reason=task.state_reason,
        ended_at=task.ended_at,
        data_classes=task.data_classes,
        constraints=_json(task.constraints) if task.constraints else "",
        budget=_budget_message(task.budget),
        used=_used_message(task.used),
        subject=task.subject,
        subject_profile=task.subject_profile,
        parent=task.parent,
        heartbeat=task.heartbeat,
        heartbeat_at=task.heartbeat_at,
        policy_version=task.policy_version,
        revision=task.revision,
    )


def shown(record: TaskRecord, left: Left) -> pb.ShowResponse:
    """A task with all that belongs to it."""
    return pb.ShowResponse(
        task=to_proto(record.task),
        left=pb.Left(
            calls=left.calls, seconds=left.seconds, calls_by_action=left.calls_by_action, attempts=left.attempts
        ),
        decisions=[_decision(tool, one) for tool, one in record.decisions],
        credentials=[_credential(one) for one in record.credentials],
        children=record.children,
    )


def _decision(tool: str, one: Decision) -> pb.Decision:
    return pb.Decision(
        id=one.decision_id,
        point=one.point.value,
        at=one.at,
        effect=one.effect.value,
        tool=tool,
        reason=one.reason,
        advice=one.advice,
        policies=one.policies,
        policy_version=one.policy_version,
    )


def _credential(one: Credential) -> pb.IssuedCredential:
    return pb.IssuedCredential(
        jti=one.jti,
        kind=one.kind,
        instance=one.instance,
        audience=one.audience,
        issued_at=one.issued_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
        cause=one.cause,
    )


def _budget(message: pb.Budget) -> Budget:
    return Budget(message.calls, message.attempts, message.duration, dict(message.calls_by_action))


def _budget_message(budget: Budget) -> pb.Budget:
    return pb.Budget(
        calls=budget.calls,
        attempts=budget.attempts,
        duration=budget.duration,
        calls_by_action=budget.calls_by_action,
    )


def _used_message(used: Used) -> pb.Used:
    return pb.Used(calls=used.calls, calls_by_action=used.calls_by_action, attempts=used.attempts)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
