"""Task tokens as values (docs/task-tokens.md)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from types import MappingProxyType
from typing import Any

from assay.governed.authority import Access, Authority, permits
from assay.spiffeid import SpiffeId
from assay.standing import GRAVEST, Index

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Binding(Enum):
    """What a token is bound to; the values are the members of `cnf`."""

    CERTIFICATE = "x5t#S256"
    KEY = "jkt"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The key that whoever presents a token has to hold, by its thumbprint or its certificate's."""

    binding: Binding
    thumbprint: str


@dataclass(frozen=True, slots=True)
class TaskToken:
    """What a token says. Times are Unix seconds; the token itself, a secret, is not in it.

    Attributes:
        jti: names it, in reports and in the ledger.
        task_id: the task, and `task_origin` who keeps it; empty where the profile of the actor needs none.
        instance: who acts: the SPIFFE ID of one running copy of a principal.
        subject: on whose behalf: the instance's own ID, or a human.
        subject_profile, actor_profile: what kind of actor each is: `user`, `service`, `device` or `ai_agent`.
        model: the registered model.
        audience: the resource it is for.
        authority: what it may do there, with constraints.
        action_classes: the class of each action, as the catalogue has it.
        confirmation: the key that it is bound to; None if anybody could present it.
        index: its place in a status list.
        action: the action that was verified; empty if none was asked for.
        staleness: seconds of age of the knowledge that it has not ended, where that was more than usual.
        claims: all that it says.
    """

    jti: str
    task_id: str
    task_origin: str
    authority_hash: str
    instance: SpiffeId
    subject: str
    subject_profile: str
    actor_profile: str
    model: str
    issuer: str
    audience: str
    authority: Authority
    tenant: str
    environment: str
    decision_id: str
    issued_at: int
    expires_at: int
    action_classes: Mapping[str, str]
    confirmation: Confirmation | None
    index: Index | None
    claims: Mapping[str, Any] = field(repr=False, compare=False)
    action: str = ""
    staleness: int = 0

    def access(self, action: str) -> Access | None:
        """What it says of that action at its audience; None if it is not for that."""
        return permits(self.authority, self.audience, action)

    def used(self, action: str, staleness: int) -> "TaskToken":
        """The same, for that action. What `dataclasses.replace` does, in a third of its time."""
        made = object.__new__(TaskToken)
        for name in _SAME:
            object.__setattr__(made, name, getattr(self, name))
        object.__setattr__(made, "action", action)
        object.__setattr__(made, "staleness", staleness)
        return made

    def class_of(self, action: str) -> str:
        """The action's class; the gravest where the token does not say."""
        return self.action_classes.get(action, GRAVEST)

    @property
    def constraints(self) -> Mapping[str, Any]:
        """What holds for the action that was verified."""
        access = self.access(self.action) if self.action else None
        return access.constraints if access is not None else _NOTHING

    def unknown_constraints(self, action: str, understood: Collection[str]) -> list[str]:
        """Constraints of that action that are none of those."""
        access = self.access(action)
        return sorted(access.constraints.keys() - set(understood)) if access is not None else []


_SAME = tuple(one.name for one in fields(TaskToken) if one.name not in {"action", "staleness"})
