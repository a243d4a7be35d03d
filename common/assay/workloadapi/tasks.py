"""Tasks, as a governed workload has them: approved work with an end, and tokens for it.

    async with TaskClient() as tasks:
        task = await tasks.open("answer ticket 7", [Access("https://crm/mcp", ("crm.read",))], lasting=600)
        token = await tasks.credential(task.id, "https://crm/mcp", jkt=thumbprint)
        await tasks.complete(task.id)

There is no secret to hold: the agent attests who calls.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from assay.governed.authority import Access, Authority, authority_of, details
from assay.governed.digest import digest
from assay.rpc.status import EndError
from assay.wire.status import code_of, refusal
from assay.workloadapi.connected import Connected
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.wire import METADATA
from assay_proto.task.v1 import task_pb2 as pb

SERVICE = "assay.task.v1.Tasks"

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """A task. `state` is `active` or the word for why it permits nothing; times are Unix seconds."""

    id: str
    state: str
    state_reason: str
    principal: str
    instance: str
    intent: Mapping[str, Any]
    authority: Authority
    intent_hash: str
    authority_hash: str
    opened_at: int
    ends_at: int
    heartbeat: int
    message: pb.Task = field(repr=False, compare=False)

    @property
    def active(self) -> bool:
        """Whether it permitted anything when this was said."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class TaskCredential:
    """A token for one audience, which is a secret."""

    token: str = field(repr=False)
    jti: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class CallDecision:
    """The answer about one call. `effect` is `allow`, `deny` or `needs_approval`; only the first lets it be made.

    It is to be begun before `valid_until` (Unix seconds; 0 unless allowed), once. `advice` is what a person can do
    about a refusal; who cannot comply with `obligations` does not make the call.
    """

    effect: str
    reason: str
    advice: str
    obligations: Mapping[str, str]
    decision_id: str
    valid_until: int
    policy_version: int
    task_id: str

    @property
    def allowed(self) -> bool:
        """Whether the call may be made."""
        return self.effect == "allow"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A budget: calls in all, attempts of any one action that fail, calls of single actions; 0 is no bound."""

    calls: int = 0
    attempts: int = 0
    calls_by_action: Mapping[str, int] = field(default_factory=dict[str, int])


class TaskClient(Connected):
    """Use as an async context manager. `within` is in seconds, None for as long as it takes.

    Where no endpoint is given, `SPIFFE_ENDPOINT_SOCKET` names it.

    Raises (from every call):
        AssayError: the refusal, of the kind its gRPC code stands for: PermissionDeniedError for what policy or the
            registration refuses, FailedPreconditionError for tasks that are over, ResourceExhaustedError for budgets.
        MalformedResponseError: the response is not what it says.
    """

    async def open(
        self,
        goal: str | Mapping[str, Any],
        authority: Sequence[Access],
        *,
        lasting: int = 0,
        budget: Bounds | None = None,
        data_classes: Sequence[str] = (),
        constraints: Mapping[str, Any] | None = None,
        parent: str = "",
        principal: str = "",
        within: float | None = None,
    ) -> OpenedTask:
        """Open a task for this workload.

        Args:
            goal: what it is for, in a sentence, or a whole mission intent with that as its `goal`.
            authority: what it has to do; policy decides on each action.
            lasting: at most so many seconds; 0 for as long as tasks of this principal may.
            budget: bounds of its calls.
            data_classes: the kinds of data it touches.
            constraints: bounds on all of the authority.
            parent: the task to open it below, within what that one may do.
            principal: which one, for a workload that is several.
            within: seconds to wait for the answer.
        """
        request = pb.OpenRequest(
            intent=_json({"goal": goal} if isinstance(goal, str) else dict(goal)),
            authorization_details=_json(details(tuple(authority))),
            constraints=_json(dict(constraints)) if constraints else "",
            data_classes=data_classes,
            budget=_budget(budget or Bounds(), lasting),
            parent=parent,
            principal=principal,
        )
        return await self.send_open(request, within=within)

    async def send_open(self, request: pb.OpenRequest, *, within: float | None = None) -> OpenedTask:
        """Open a task as the message says."""
        return _task(await self._unary("Open", request, pb.Task, within))

    async def get(self, task_id: str, *, within: float | None = None) -> OpenedTask:
        """One of this workload's tasks."""
        return _task(await self._unary("Get", pb.GetRequest(task_id=task_id), pb.Task, within))

    async def list(self, *, within: float | None = None) -> tuple[OpenedTask, ...]:
        """This workload's tasks that have not ended."""
        answer = await self._unary("List", pb.ListOwnRequest(), pb.ListResponse, within)
        return tuple(_task(one) for one in answer.tasks)

    async def credential(
        self,
        task_id: str,
        audience: str,
        *,
        actions: Sequence[str] = (),
        ttl: int = 0,
        jkt: str = "",
        x5t_s256: str = "",
        within: float | None = None,
    ) -> TaskCredential:
        """A token for one resource of the task's authority, bound to a key by its thumbprint.

        Args:
            task_id: the task.
            audience: the resource.
            actions: only these; all that the task may do there if empty.
            ttl: at most so many seconds.
            jkt: of the key's JWK (RFC 7638), for DPoP.
            x5t_s256: of the certificate (RFC 8705), for mutual TLS; one of the two.
            within: seconds to wait for the answer.
        """
        request = pb.CredentialRequest(task_id=task_id, audience=audience, actions=actions, ttl=ttl)
        if jkt:
            request.jkt = jkt
        elif x5t_s256:
            request.x5t_s256 = x5t_s256
        answer = await self._unary("Credential", request, pb.CredentialResponse, within)
        if not answer.token or answer.expires_at <= 0:
            raise MalformedResponseError("malformed response: there is no token in it")
        return TaskCredential(answer.token, answer.jti, answer.expires_at)

    async def decide(
        self,
        action: str,
        *,
        jti: str = "",
        task_id: str = "",
        resource: str = "",
        parameters: Mapping[str, Any] | None = None,
        parameters_digest: str = "",
        call_id: str = "",
        key_proved: bool = False,
        within: float | None = None,
    ) -> CallDecision:
        """Ask whether one call may be made; if so it is counted. A refusal is an answer, and not raised.

        Args:
            action: the tool.
            jti: the token that the call is made with, for verifiers of its audience and for whom it was issued to;
            task_id: or this workload's own task.
            resource: what it acts on; by itself the token's audience, or the tool's resource.
            parameters: of the call, of which only the digest leaves this process;
            parameters_digest: or the digest itself (`assay.governed.digest.digest`).
            call_id: names the call among all that this workload asks about, so that asking again is not another call.
                A verifier makes it up itself, and takes none from the caller.
            key_proved: a verifier has seen the proof of the token's key.
            within: seconds to wait for the answer.

        Raises:
            ValueError: the parameters cannot be said in JSON.
            NotFoundError: there is no such token or task, or it is none of this workload's.
        """
        if parameters is not None:
            parameters_digest = digest(dict(parameters))
        request = pb.DecideRequest(action=action, resource=resource, call_id=call_id, key_proved=key_proved)
        if parameters_digest:
            request.parameters_digest = parameters_digest
        if jti:
            request.jti = jti
        else:
            request.task_id = task_id
        return _decision(await self.send_decide(request, within=within))

    async def send_decide(self, request: pb.DecideRequest, *, within: float | None = None) -> pb.DecideResponse:
        """The answer about the call that the message says."""
        return await self._unary("Decide", request, pb.DecideResponse, within)

    async def narrow(
        self,
        task_id: str,
        *,
        authority: Sequence[Access] | None = None,
        constraints: Mapping[str, Any] | None = None,
        data_classes: Sequence[str] | None = None,
        ends_at: int | None = None,
        within: float | None = None,
    ) -> OpenedTask:
        """Leave the task less; what is None stays. Tokens that had more are revoked."""
        request = pb.NarrowRequest(task_id=task_id)
        if authority is not None:
            request.authorization_details = _json(details(tuple(authority)))
        if constraints is not None:
            request.constraints = _json(dict(constraints))
        if data_classes is not None:
            request.data_classes.names.extend(data_classes)
            request.data_classes.SetInParent()
        if ends_at is not None:
            request.ends_at = ends_at
        return await self.send_narrow(request, within=within)

    async def send_narrow(self, request: pb.NarrowRequest, *, within: float | None = None) -> OpenedTask:
        """Leave a task what the message says."""
        return _task(await self._unary("Narrow", request, pb.Task, within))

    async def complete(self, task_id: str, *, within: float | None = None) -> OpenedTask:
        """End the task as done; its tokens are revoked."""
        return _task(await self._unary("Complete", pb.CompleteRequest(task_id=task_id), pb.Task, within))

    async def heartbeat(self, task_id: str, *, within: float | None = None) -> OpenedTask:
        """Say that the task is at work; at least every `heartbeat` seconds where it is not 0."""
        return _task(await self._unary("Heartbeat", pb.HeartbeatRequest(task_id=task_id), pb.Task, within))

    async def watch(self, known: Mapping[str, int] | None = None) -> AsyncGenerator[OpenedTask]:
        """This workload's tasks as they are, and each whenever its state, authority or end changes.

        `known` are revisions by ID (`task.message.revision`) of what was told before, which is not told again.
        """
        request = pb.WatchRequest(known=known or {})
        answers = self._channel.stream(f"/{SERVICE}/Watch", request.SerializeToString(), METADATA, timeout=None)
        async with aclosing(answers):
            try:
                async for answer in answers:
                    yield _task(_parsed(answer, pb.Task))
            except EndError as error:
                raise refusal(code_of(error.code), error.message) from error

    async def _unary(self, method: str, request: Message, kind: type[M], within: float | None) -> M:
        try:
            answer = await self._channel.unary(
                f"/{SERVICE}/{method}", request.SerializeToString(), METADATA, timeout=within
            )
        except EndError as error:
            raise refusal(code_of(error.code), error.message) from error
        return _parsed(answer, kind)


def state_name(state: int) -> str:
    """A state's word; `unknown`, which permits nothing, for one that is not known here."""
    try:
        name = pb.TaskState.Name(state)  # type: ignore[arg-type]  # any number may come
    except ValueError:
        return "unknown"
    return "unknown" if state == pb.TASK_STATE_UNSPECIFIED else name.removeprefix("TASK_STATE_").lower()


def _task(message: pb.Task) -> OpenedTask:
    try:
        intent: Mapping[str, Any] = json.loads(message.intent)
        authority = authority_of(json.loads(message.authorization_details))
    except ValueError:
        raise MalformedResponseError("malformed response: task is not what it says") from None
    if not message.id or not isinstance(intent, dict):
        raise MalformedResponseError("malformed response: task is not what it says")
    return OpenedTask(
        id=message.id,
        state=state_name(message.state),
        state_reason=message.state_reason,
        principal=message.principal,
        instance=message.instance,
        intent=intent,
        authority=authority,
        intent_hash=message.intent_hash,
        authority_hash=message.authority_hash,
        opened_at=message.opened_at,
        ends_at=message.ends_at,
        heartbeat=message.heartbeat,
        message=message,
    )


def _decision(answer: pb.DecideResponse) -> CallDecision:
    if not answer.effect or (answer.effect == "allow" and answer.valid_until <= 0):
        raise MalformedResponseError("malformed response: there is no answer in it")
    return CallDecision(
        effect=answer.effect,
        reason=answer.reason,
        advice=answer.advice,
        obligations=dict(answer.obligations),
        decision_id=answer.decision_id,
        valid_until=answer.valid_until,
        policy_version=answer.policy_version,
        task_id=answer.task_id,
    )


def _budget(bounds: Bounds, lasting: int) -> pb.Budget:
    return pb.Budget(
        calls=bounds.calls, attempts=bounds.attempts, duration=lasting, calls_by_action=dict(bounds.calls_by_action)
    )


def _parsed(answer: bytes, kind: type[M]) -> M:
    try:
        return kind.FromString(answer)
    except DecodeError:
        raise MalformedResponseError("malformed response: not a message of this method") from None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
