"""Many requests decided by one policy: those that it cannot tell apart are decided once.

What a policy may ask of a task is known from its text: whatever it does not speak of cannot change its answer. All else
of a request, the registered facts above all, has to be the same.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any

from cedarpy import pst

from assay.governed.authority import permits
from assay_server.model.governed.decision import Decision, DecisionRequest
from assay_server.model.governed.task import Task
from assay_server.policy.decide import decide
from assay_server.policy.engine import Policy, floor_rules
from assay_server.policy.rule import Rule

_KEPT = 2048
"""Answers that are kept, each with its inputs."""

WHOLE = "*"
"""Among what is mentioned: the task or the situation as a whole, so that no two are alike."""

_CONTEXT = pst.Var("context")
_TASK = pst.GetAttr(_CONTEXT, "task")
# The floor asks whose task it is: a request as it is made here names the task's own instance, or any.
_FLOORS_OWN = frozenset({"task.instance", "task.principal", "context.instance"})
# Kept apart below, or no input of any policy.
_APART = frozenset({"now", "instance", "task", "parameters", "chain", "steps", "customer"})
_ASKED = tuple(each.name for each in fields(DecisionRequest) if each.name not in _APART)

_OF_TASK: Mapping[str, Callable[[Task, int], Hashable]] = MappingProxyType(
    {
        "name": lambda task, _: task.task_id,
        "principal": lambda task, _: task.principal,
        "instance": lambda task, _: task.instance,
        "owner": lambda task, _: task.owner,
        "tenant": lambda task, _: task.tenant,
        "environment": lambda task, _: task.environment,
        "goal": lambda task, _: task.intent.goal,
        "purpose": lambda task, _: task.intent.purpose,
        "dataClasses": lambda task, _: frozenset(task.data_classes),
        "state": lambda task, _: task.state,
        "active": lambda task, now: task.active(now),
        "opened": lambda task, _: task.opened_at,
        "ends": lambda task, _: task.ends_at,
        "trigger": lambda task, _: task.trigger.partition(":")[0],
        "subject": lambda task, _: task.subject,
        "heartbeat": lambda task, _: task.heartbeat,
        "watched": lambda task, now: bool(task.heartbeat) and not task.silent(now),
    }
)  # fmt: skip


class Groups:
    """Decides by one policy, as often as needed; the last answers are kept."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        floor = {rule.policy_id for rule in floor_rules()}
        own = mentioned(rule for name, rule in policy.rules.items() if name not in floor)
        self._mentioned = own | (mentioned(floor_rules()) - _FLOORS_OWN)
        known = {f"task.{name}" for name in _OF_TASK} | {"task.permits"}
        # What is not known here, such as a word of a later schema, is told from task to task.
        strange = {each for each in self._mentioned if each.startswith("task.")} - known
        self._whole = WHOLE in self._mentioned or bool(strange)
        self._of_task = [_OF_TASK[name] for name in sorted(_OF_TASK) if f"task.{name}" in self._mentioned]
        self._chain = bool(self._mentioned & {"context.chain", "context.previous", "context.steps"})
        self._answers: dict[Hashable, Decision] = {}

    def decide(self, request: DecisionRequest) -> Decision:
        """What comes of it, and why: effect, policies, reason and advice; TTL and inputs are those of one like it."""
        key = self._key(request)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            answer = self._answers[key] = decide(self.policy, request, "")
        return answer

    def told(self, request: DecisionRequest, task: Task) -> Hashable:
        """All that this policy can learn of a task and its situation: of equal ones the answer is the same."""
        now, instance, tool = request.now, request.instance, request.tool
        if self._whole:
            return repr(task), tool, instance, now, request.chain, request.steps, request.customer
        ends = min(task.ends_at, task.opened_at + (task.budget.duration or task.ends_at))
        return (
            now if "context.now" in self._mentioned else 0,
            instance if "context.instance" in self._mentioned else bool(instance),
            (request.chain, request.steps, task.used.chain, task.used.steps) if self._chain else None,
            request.customer if "context.customer" in self._mentioned else "",
            tool is not None and permits(task.authority, tool.resource, tool.name) is not None,
            bool(task.intent.goal),
            bool(task.heartbeat),
            now < ends,
            task.principal,
            instance == task.instance or not task.instance,
            tuple(of(task, now) for of in self._of_task),
        )

    def _key(self, request: DecisionRequest) -> Hashable:
        said = tuple(getattr(request, name) for name in _ASKED)
        if request.task is None:
            return said, request.now, request.instance, request.chain, request.steps, request.customer
        return said, self.told(request, request.task)


def mentioned(rules: Iterable[Rule]) -> frozenset[str]:
    """What rules speak of: `task.goal`, `context.now`, or `*` where one takes task or situation as a whole."""
    found: set[str] = set()
    for rule in rules:
        for clause in rule.template.clauses:
            _look(clause.expr, found)
    return frozenset(found)


def _look(node: Any, found: set[str]) -> None:  # noqa: ANN401 - any part of an expression
    match node:
        case pst.GetAttr(base=base, attr=attr) if base == _TASK:
            found.add(f"task.{attr}")
        case pst.HasAttr(base=base, attrs=attrs) if base == _TASK:
            found.update(f"task.{attr}" for attr in attrs)
        case pst.GetAttr(base=base, attr=attr) if base == _CONTEXT and attr != "task":
            found.add(f"context.{attr}")
        case pst.HasAttr(base=base, attrs=attrs) if base == _CONTEXT and attrs[:1] != ("task",):
            found.add(f"context.{attrs[0]}")
        case pst.Var(name="context"):
            found.add(WHOLE)
        case _:
            for part in _parts(node):
                _look(part, found)


def _parts(node: Any) -> Iterable[Any]:  # noqa: ANN401 - as above
    unknown: object = node
    kind = type(unknown)
    parts: Iterable[Any] = ()
    if issubclass(kind, Mapping):
        parts = node.values()
    elif issubclass(kind, tuple):
        parts = node
    elif is_dataclass(kind):
        parts = [getattr(node, each.name) for each in fields(kind)]
    return parts
