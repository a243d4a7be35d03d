"""What no policy set can lower.

Twice: the forbids in shipped/floor.cedar go with every set into every decision, and a set that would allow by itself
what they forbid is not taken in the first place, so that whoever reads it is not misled.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import InvalidArgumentError
from assay_server.model.governed.catalogue import ActionClass
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.decide import asked
from assay_server.policy.engine import SCHEMA_VERSION, Policy, policy_of
from assay_server.policy.inputs import inputs_of
from assay_server.policy.probing import point_of, wanted_by
from assay_server.policy.rule import Rule
from assay_server.policy.sample import NOW, Overrides, request_of

GRAVE = (ActionClass.IRREVERSIBLE, ActionClass.EXTERNAL_COMMITMENT, ActionClass.PRIVILEGED_ADMINISTRATION)
"""What needs a human's approval under any set."""

_STATES = (
    "write `principal.active && principal.tools.contains(resource.name) && context.task.active && context.task.permits`"
)
_APPROVAL = "add `unless { context.approved }` to a forbid, or `&& context.approved` to the permit"


@dataclass(frozen=True, slots=True)
class Breach:
    """What a set allows by itself, and which of its policies do."""

    what: str
    hint: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Probe:
    what: str
    hint: str
    different: Overrides


def breaches(rules: Sequence[Rule]) -> Iterator[Breach]:
    """The first thing that each permit of this set allows below the floor."""
    policy = policy_of(PolicyBundle(0, "", SCHEMA_VERSION), rules)
    for rule in rules:
        if rule.permits and (found := _breach(policy, rule)):
            yield found


def _breach(policy: Policy, rule: Rule) -> Breach | None:
    wanted, point = wanted_by(rule), point_of(rule)
    for probe in _probes():
        allowed = _allowed_by(policy, point, _merged(wanted, probe.different))
        if rule.policy_id in allowed:
            return Breach(probe.what, probe.hint, allowed)
    return None


def _allowed_by(policy: Policy, point: str, different: Overrides) -> tuple[str, ...]:
    try:
        inputs = inputs_of(request_of(point, different))
        answer = asked(policy, inputs, asking=True)
    except (InvalidArgumentError, KeyError, ValueError):
        return ()  # such a request cannot be
    return answer.policies if answer.allowed else ()


def _merged(wanted: Overrides, different: Overrides) -> Overrides:
    sections: Iterable[str] = {**wanted, **different}
    return {name: {**wanted.get(name, {}), **different.get(name, {})} for name in sections}


def _probes() -> Iterator[_Probe]:
    for each in GRAVE:
        name = each.value
        grave: Mapping[str, Any] = {"action_class": name}
        other = {"params_digest": "sha-256:other"}
        yield _Probe(f"{name} tools without approval", _APPROVAL, {"tool": grave})
        yield _Probe(
            f"{name} tools by an approval that is over", _APPROVAL, {"tool": grave, "approval": {"valid_for": 0}}
        )
        yield _Probe(f"{name} tools by an approval of other parameters", _APPROVAL, {"tool": grave, "approval": other})
    for state in ("staged", "suspended", "retired"):
        yield _Probe(f"a principal that is {state}", _STATES, {"principal": {"state": state}})
    yield _Probe("a principal whose owner left", _STATES, {"owner": {"state": "left"}})
    for state in ("completed", "revoked", "paused"):
        yield _Probe(f"a task that is {state}", _STATES, {"task": {"state": state}})
    yield _Probe("a task whose end has come", _STATES, {"task": {"ends_at": NOW}})
    yield _Probe("a tool that is not the task's", _STATES, {"task": {"authority": ()}})
    yield _Probe("a tool that is not the principal's", _STATES, {"principal": {"tools": ()}})
