"""One policy of a set: what Cedar is to evaluate, and what its annotations say of TTL, approval and duties."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from cedarpy import pst

from assay.config.duration import parse_duration
from assay.errors import InvalidArgumentError

APPROVAL = "human_approval"
"""The one thing that `@requires` may name: a refusal that this lifts."""
OBLIGATION = "obligation_"
"""Annotations that begin so are handed to whoever acts on the decision."""
ANNOTATIONS = ("id", "max_ttl", "requires", "reason", "advice", "approver")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy under its `@id`. `max_ttl` is in seconds, None where it says nothing."""

    policy_id: str
    template: pst.Template
    max_ttl: int | None
    requires: str
    reason: str
    advice: str
    obligations: Mapping[str, str]

    @property
    def permits(self) -> bool:
        """Whether it is a permit."""
        return self.template.effect == "permit"


def rule_of(template: pst.Template) -> Rule:
    """The rule that this policy is.

    Raises:
        InvalidArgumentError: it has no ID, or an annotation that says nothing here.
    """
    said = template.annotations
    policy_id = said.get("id", "")
    if not _ID.fullmatch(policy_id):
        message = f'@id("{policy_id}") is no name' if policy_id else "policy without @id"
        raise InvalidArgumentError(message, hint='give it a name of its own, such as @id("no-export-at-night")')
    for name in said:
        if name not in ANNOTATIONS and not name.startswith(OBLIGATION):
            raise InvalidArgumentError(f"annotation @{name} is not known")
    if said.get("requires", APPROVAL) != APPROVAL:
        raise InvalidArgumentError(f'@requires("{said["requires"]}") is not known', hint=f'write "{APPROVAL}"')
    if "requires" in said and template.effect == "permit":
        raise InvalidArgumentError("@requires is for forbid", hint="forbid unless { context.approved }")
    return Rule(
        policy_id=policy_id,
        template=replace(template, id=policy_id),
        max_ttl=_max_ttl(template, said.get("max_ttl")),
        requires=said.get("requires", ""),
        reason=said.get("reason", ""),
        advice=said.get("advice", ""),
        obligations=_obligations(said),
    )


def _max_ttl(template: pst.Template, text: str | None) -> int | None:
    if text is None:
        return None
    if template.effect == "forbid":
        raise InvalidArgumentError("@max_ttl is for permit: a forbid gives no credentials")
    try:
        seconds = int(parse_duration(text))
    except ValueError as error:
        raise InvalidArgumentError(f"@max_ttl: {error}") from None
    if seconds <= 0:
        raise InvalidArgumentError(f'@max_ttl("{text}") leaves no time', hint="write a forbid, or at least 1s")
    return seconds


def _obligations(said: Mapping[str, str]) -> Mapping[str, str]:
    named = {name.removeprefix(OBLIGATION): value for name, value in said.items() if name.startswith(OBLIGATION)}
    return MappingProxyType(named | ({"approver": said["approver"]} if "approver" in said else {}))
