"""Whether what a task stands on would still be allowed, and if not, what has changed.

Time alone is no drift: an answer counts that would be allowed even now if nothing had been changed since it was given.
So a refusal is held against the policy of then, and against what was registered then, as the decisions have kept it.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from assay.governed.authority import actions_of
from assay_server.datastore.base import Page, Transaction
from assay_server.governance import task_state
from assay_server.governance.deciding import Facts, facts_of
from assay_server.model.governed.decision import DECISION, Decision, DecisionRequest, Point
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.owner import OwnerState
from assay_server.model.governed.principal import PRINCIPAL, Principal, Trigger
from assay_server.model.governed.task import CREDENTIAL, Credential, Task, TaskState
from assay_server.policy.decide import decided
from assay_server.policy.engine import Policy, floor_digest
from assay_server.policy.groups import Groups
from assay_server.policy.inputs import inputs_of

T = TypeVar("T")
Json = dict[str, Any]
GroupsOf = Callable[[Transaction, int], Groups | None]
"""Decides by the policy of that version; None where it cannot be had any more, which counts as if it had allowed."""

_NAMED = 3
"""How many policies a cause names."""
# A tool comes with the resource it acts on.
_OF_RESOURCE = {"resource", "environment", "environmentTrust", "tenant", "sensitivity", "dataClasses"}
_WORDS = {"Human": "principal", "Workload": "principal", "Owner": "owner", "Tool": "tool"}


@dataclass(frozen=True, slots=True)
class Standing:
    """One answer that a task stands on: to be open with an action, to get a credential for it, or to have that one."""

    point: Point
    action: str
    audience: str
    instance: str
    confirmed: bool
    kind: str = "at+jwt"
    requested_ttl: int = 0
    credential: Credential | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Drift:
    """An answer that would be another now: the cause as ends and events say it, and what was asked and answered."""

    cause: str
    request: DecisionRequest
    decision: Decision


class Remembering:
    """A transaction's reader that reads each object once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._read: dict[tuple[str, str], Any] = {}

    @property
    def governed(self) -> "Remembering":
        """Itself, for whoever reads governed objects."""
        return self

    def get(self, noun: Noun[T], key: str) -> T | None:
        """The object as it was when it was first asked for."""
        asked = noun.name, key
        if asked not in self._read:
            self._read[asked] = self._tx.governed.get(noun, key)
        found: T | None = self._read[asked]
        return found


class Judge:
    """Judges tasks in one transaction, in which each registered fact is read once."""

    def __init__(self, tx: Transaction, live: Groups, groups_of: GroupsOf, now: int) -> None:
        self._tx = tx
        self._live = live
        self._groups_of = groups_of
        self._now = now
        self._remembering = cast("Transaction", Remembering(tx))
        self._answers: dict[Hashable, Decision] = {}

    def drift_of(self, task: Task) -> Drift | None:
        """The first answer that has drifted. None of tasks that have ended, or that time or their owner's leaving ends.

        A task that is held is looked at as if it went on, which it may at any time.
        """
        if task.state is TaskState.SUSPENDED:
            task = replace(task, state=TaskState.ACTIVE, heartbeat_at=self._now)
        if task.state is not TaskState.ACTIVE or task_state.due_cause(task, self._now) is not None:
            return None
        at = {action: resource for resource, action in actions_of(task.authority)}
        principal = self._remembering.governed.get(PRINCIPAL, task.principal)
        facts = dict(zip(at, facts_of(self._remembering, task, principal, at), strict=True))
        if any(one.owner is not None and one.owner.state is OwnerState.LEFT for one in facts.values()):
            return None  # the sweeper ends it
        for standing in self._standings(task, at):
            request = _request(task, principal, facts[standing.action], standing, self._now)
            decision = self._answer(task, standing, request)
            if not decision.allowed and (what := self._changed(task, standing, request)):
                return Drift(_cause(what, decision), request, decision)
        return None

    def _standings(self, task: Task, at: Mapping[str, str]) -> Iterable[Standing]:
        """Each once; those of a credential before what they would be without it. `at` is where each action acts."""
        held = (
            Standing(
                Point.ISSUE, action, resource, one.instance, bool(one.confirmation), one.kind, one.requested_ttl, one
            )
            for one in self._credentials(task)
            for action, resource in at.items()
            if one.audience in {"", resource} and action in (one.actions or at)
        )
        own, any_of = bool(task.instance), task.instance or "any"
        opened = (Standing(Point.OPEN, action, "", task.instance, confirmed=own) for action in at)
        issued = (Standing(Point.ISSUE, action, resource, any_of, confirmed=True) for action, resource in at.items())
        return dict.fromkeys((*opened, *held, *issued))

    def _answer(self, task: Task, standing: Standing, request: DecisionRequest) -> Decision:
        """Registered facts are the same for all tasks of a principal here, so that their names stand for them."""
        key = standing.point, standing.action, standing.audience, standing.confirmed, standing.kind
        asked = *key, standing.requested_ttl, request.depth, self._live.told(request, task)
        answer = self._answers.get(asked)
        if answer is None:
            answer = self._answers[asked] = self._live.decide(request)
        return answer

    def _credentials(self, task: Task) -> Iterable[Credential]:
        found, _ = self._tx.governed.find(CREDENTIAL, [("task", task.task_id)], Page(), due_after=self._now)
        return [one for one in found if one.live(self._now)]

    def _changed(self, task: Task, standing: Standing, request: DecisionRequest) -> str:
        """What has changed so that it is refused; empty if it would be without any change, too."""
        version = self._live.policy.version
        if version != task.policy_version and _allows(self._groups_of(self._tx, task.policy_version), request):
            return f"v{version}"
        record = self._record(task, standing)
        if record is None:
            return f"v{version}"
        try:
            return self._changed_since(record, request)
        except (KeyError, TypeError, ValueError):  # what was kept of it is of another release, and shows nothing
            return f"v{version}"

    def _changed_since(self, record: Decision, request: DecisionRequest) -> str:
        now = inputs_of(request)
        if "entities" not in now:
            return str(now.get("wrong") or f"missing {', '.join(now['missing'])}")
        live, then = self._live.policy, _then(now, record.inputs)
        registered = _differing(then, now)
        if decided(live, then, "").allowed:
            return registered
        same = (record.policy_digest, record.floor_digest) == (live.bundle.digest, floor_digest())
        before = live if same else self._policy_of(record)
        if before is None or decided(before, now, "").allowed:
            return f"v{live.version}"
        return f"v{live.version} and {registered}" if decided(before, then, "").allowed else ""

    def _policy_of(self, record: Decision) -> Policy | None:
        if record.floor_digest != floor_digest():
            return None
        groups = self._groups_of(self._tx, record.policy_version)
        return groups.policy if groups is not None and groups.policy.bundle.digest == record.policy_digest else None

    def _record(self, task: Task, standing: Standing) -> Decision | None:
        """The decision that allowed it: the credential's for that tool, or that of opening the task with it."""
        point, at = Point.OPEN, task.opened_at
        if standing.credential is not None:
            point, at = Point.ISSUE, standing.credential.issued_at
            first = self._tx.governed.get(DECISION, standing.credential.decision_id)
            if first is None or first.inputs.get("tool") == standing.action:
                return first
        found, _ = self._tx.governed.find(DECISION, [("task", task.task_id)], Page())
        of_tool = (one for one in found if one.inputs.get("tool") == standing.action)
        return next((one for one in of_tool if one.allowed and (one.point, one.at) == (point, at)), None)


def _request(task: Task, principal: Principal | None, facts: Facts, standing: Standing, now: int) -> DecisionRequest:
    return DecisionRequest(
        point=standing.point,
        now=now,
        principal=principal,
        owner=facts.owner,
        instance=standing.instance,
        task=task,
        tool=facts.tool,
        resource=facts.resource,
        audience=standing.audience,
        confirmed=standing.confirmed,
        requested_ttl=standing.requested_ttl,
        chain=facts.chain,
        steps=facts.steps,
        depth=facts.depth,
        grants=facts.grants,
        kind=standing.kind,
        customer=facts.customer,
    )


def _allows(groups: Groups | None, request: DecisionRequest) -> bool:
    return groups is None or groups.decide(request).allowed


def _then(now: Json, record: Json) -> Json:
    """Inputs as they would be now, if nothing that is registered had changed since that decision."""
    registered = [one for one in record["entities"] if _kind(one) != "Task"]
    task = [
        {**one, "attrs": {**one["attrs"], "permits": True}} for one in now["entities"] if _kind(one) == "Task"
    ]  # the action is of its authority: whether the tool is still of that resource is the catalogue's
    said = {name: record["question"]["context"][name] for name in ("riskScore", "destination")}
    question = {**now["question"], "context": {**now["question"]["context"], **said}}
    return {**now, "question": question, "entities": registered + task, "may_last": record["may_last"]}


def _kind(entity: Json) -> str:
    return str(entity["uid"]["type"]).removeprefix("Assay::")


def _differing(then: Json, now: Json) -> str:
    """Names of what is registered otherwise than it was."""
    after = {(one["uid"]["type"], one["uid"]["id"]): one["attrs"] for one in now["entities"]}
    named: list[str] = []
    for one in then["entities"]:
        kind, name = _kind(one), one["uid"]["id"]
        there = after.get((one["uid"]["type"], name), {})
        attrs: Json = one["attrs"] if kind != "Task" else {}
        other = {key for key, value in attrs.items() if there.get(key) != value}
        if kind == "Tool" and other & _OF_RESOURCE:
            named.append(f"resource {there.get('resource', one['attrs']['resource'])}")
        if other - (_OF_RESOURCE if kind == "Tool" else set()):
            named.append(f"{_WORDS.get(kind, 'grant')} {name}")
    return " and ".join(named) or "what is registered"


def _cause(what: str, decision: Decision) -> str:
    by = ", ".join(decision.policies[:_NAMED]) or decision.reason
    return f"{Trigger.POLICY_DRIFT.value}: {what} by {by}"
