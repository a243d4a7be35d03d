"""Deciding again what was decided before, by the same policy and of the inputs that were written down. Pure.

What cannot be replayed is said to be so: an answer that was guessed would prove nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from assay_server.model.governed.decision import Decision
from assay_server.policy.decide import decided
from assay_server.policy.engine import SCHEMA_VERSION, Policy, floor_digest
from assay_server.policy.inputs import inputs_hash

ABOUT = ("point", "at", "principal", "task_id")
"""What a decision says of its question."""
ANSWER = ("effect", "ttl", "policies", "reason", "advice", "obligations")
"""And of the answer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a decision that is not what it was, both as a person reads them."""

    field: str
    recorded: str
    found: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the policy says now. `answer` is None where that cannot be said, and `why_not` says why."""

    answer: Decision | None
    differences: tuple[Difference, ...] = ()
    why_not: str = ""

    @property
    def same(self) -> bool:
        """Whether it was the same answer."""
        return self.answer is not None and not self.differences


def replay(policy: Policy, recorded: Decision) -> Replayed:
    """The decision once more; never raises."""
    if why_not := _obstacle(policy, recorded):
        return Replayed(None, why_not=why_not)
    try:
        answer = decided(policy, recorded.inputs, recorded.decision_id)
    except (KeyError, TypeError, ValueError):
        return Replayed(None, why_not="what was kept of its inputs cannot be read")
    return Replayed(answer, tuple(_differences(recorded, answer)))


def compared(decision: Decision, told: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Where a decision is not what is told of it elsewhere, by its fields' names; what is not told is not compared."""
    pairs = ((name, _plain(told[name]), _plain(getattr(decision, name))) for name in told if hasattr(decision, name))
    return tuple(Difference(name, one, other) for name, one, other in pairs if one != other)


def _obstacle(policy: Policy, recorded: Decision) -> str:
    """Why a replay would say nothing, in words; empty if it would."""
    version = recorded.policy_version
    if version != policy.version:
        return f"it was decided by version {version} of the policy, and this is version {policy.version}"
    if recorded.policy_digest != policy.bundle.digest:
        which = "the shipped set" if not version else f"version {version} of the policy"
        return f"{which} was another one then"
    if recorded.schema_version != SCHEMA_VERSION:
        said = f"schema version {recorded.schema_version}" if recorded.schema_version else "no schema version"
        return f"its inputs are of {said}, and this server decides by version {SCHEMA_VERSION}"
    if recorded.floor_digest != floor_digest():
        return "the rules under every set were others then"
    if recorded.inputs_hash != inputs_hash(recorded.inputs):
        return "its inputs are not those that were written down: they were altered"
    return ""


def _differences(recorded: Decision, answer: Decision) -> Iterator[Difference]:
    for name in (*ABOUT, *ANSWER):
        before, now = getattr(recorded, name), getattr(answer, name)
        if before != now:
            yield Difference(name, _plain(before), _plain(now))


def _plain(value: Any) -> str:  # noqa: ANN401 - of whatever a field holds
    match value:
        case list() | tuple():
            return ", ".join(map(str, cast("list[object]", value)))
        case dict():
            return ", ".join(f"{name}={each}" for name, each in sorted(cast("dict[str, str]", value).items()))
        case _:
            return str(getattr(value, "value", value))
