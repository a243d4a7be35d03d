"""Approved work with an end, and the credentials it hands out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from assay.governed.authority import Authority
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.statusindex import list_of


class TaskState(Enum):
    """Only `active` permits anything: whatever is not known is `unknown`, which does not."""

    ACTIVE = "active"
    COMPLETED = "completed"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "TaskState":  # noqa: ARG003 - whatever it is
        return cls.UNKNOWN


ENDED = frozenset({TaskState.COMPLETED, TaskState.REVOKED, TaskState.EXPIRED, TaskState.SUPERSEDED})
"""From these there is no way back; whoever is in another, known or not, has not ended."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What the task is for, as whoever opened it says; `document` is all of it, which `intent_hash` is of."""

    goal: str
    purpose: str = ""
    document: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds of a task: calls in all, attempts of one action that fail or are refused, seconds; 0 is none of that kind.

    `calls_by_action` bounds single actions.
    """

    calls: int = 0
    attempts: int = 0
    duration: int = 0
    calls_by_action: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Used:
    """What of the budget is gone, and the chain of actions: each tool once, by its last allowed call; `steps` are all.

    A task below another counts for that one, too, whose chain is therefore that of all of them.
    """

    calls: int = 0
    calls_by_action: dict[str, int] = field(default_factory=dict[str, int])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    chain: tuple[str, ...] = ()
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a principal. An empty `instance` leaves it to any of the principal's; else it is that one's alone.

    `trigger` is who or what opened it: `workload:<SPIFFE ID>`, `operator:<who>`, `event:<source>/<id>`.
    `subject` is on whose behalf, with its actor type (RFC 8693's subject); empty for the principal's own work.
    `heartbeat` is the most seconds between two heartbeats (0: none asked), `environment` and `tenant` are the
    principal's when it was opened.
    """

    task_id: str
    principal: str
    instance: str
    owner: str
    tenant: str
    environment: str
    intent: Intent
    authority: Authority
    intent_hash: str
    authority_hash: str
    trigger: str
    opened_at: int
    ends_at: int
    state: TaskState = TaskState.ACTIVE
    state_reason: str = ""
    ended_at: int = 0
    data_classes: tuple[str, ...] = ()
    constraints: dict[str, Any] = field(default_factory=dict[str, Any])
    budget: Budget = Budget()
    used: Used = Used()
    subject: str = ""
    subject_profile: str = ""
    parent: str = ""
    heartbeat: int = 0
    heartbeat_at: int = 0
    policy_version: int = 0
    revision: int = 1

    def active(self, now: float) -> bool:
        """Whether it permits anything at `now` (Unix seconds): its end counts even before anybody wrote it down."""
        return self.state is TaskState.ACTIVE and now < self.ends_at and not self.silent(now)

    def silent(self, now: float) -> bool:
        """Whether it has missed a heartbeat it owes."""
        return bool(self.heartbeat) and now >= self.heartbeat_at + self.heartbeat


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that was handed out, never the token itself. `kind` is `at+jwt`, `jwt-svid` or `wit-svid`.

    `actions` are those that it names. Its issue counted as one call, and as one of each action: `called` are those that
    have been called with it since. `authority_hash` is of what it carries, made as the task's is: the same where that
    is all of the task's. `requested_ttl` is the seconds that were asked for.
    `status_index` counts through all status lists (`assay_server.model.governed.statusindex`); 0 is in none.
    """

    jti: str
    kind: str
    task_id: str
    principal: str
    instance: str
    audience: str
    authority_hash: str
    confirmation: str
    issued_at: int
    expires_at: int
    decision_id: str
    revoked_at: int = 0
    cause: str = ""
    actions: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    requested_ttl: int = 0
    status_index: int = 0

    def live(self, now: float) -> bool:
        """Whether it still counts at `now` (Unix seconds), its task apart."""
        return not self.revoked_at and now < self.expires_at


def _due(task: Task) -> int:
    if task.state is TaskState.SUSPENDED:
        return task.ends_at
    if task.state is not TaskState.ACTIVE:
        return 0
    return min(task.ends_at, task.heartbeat_at + task.heartbeat) if task.heartbeat else task.ends_at


def live(term: str) -> str:
    """The term that is true of tasks that have not ended, beside that one: `principal`, `parent`, `tool` and so on."""
    return f"live {term}"


def _about(task: Task) -> Iterable[tuple[str, str]]:
    yield "principal", task.principal
    yield "instance", task.instance
    yield "owner", task.owner
    yield "tenant", task.tenant
    yield "parent", task.parent
    for access in task.authority:
        for action in access.actions:
            yield "tool", action


def place_of(principal: str, instance: str, resource: str) -> str:
    """Where a request for a token looks for its task, if it is active; neither principals nor IDs have spaces."""
    return f"{principal} {instance} {resource}"


def _active(task: Task) -> Authority:
    return task.authority if task.state is TaskState.ACTIVE else ()


TASK = Noun(
    "task",
    Task,
    key=lambda one: one.task_id,
    terms=lambda one: [
        *_about(one),
        # What has not ended is asked for by all of these, and is little beside what has.
        *((live(name), value) for name, value in _about(one) if one.state not in ENDED),
        ("state", one.state.value),
        *(("active_at", place_of(one.principal, one.instance, access.resource)) for access in _active(one)),
        # A machine's event has one task; whoever else opens tasks opens many.
        ("trigger", one.trigger if one.trigger.startswith("event:") else ""),
    ],
    due=_due,
)
CREDENTIAL = Noun(
    "credential",
    Credential,
    key=lambda one: one.jti,
    terms=lambda one: [
        ("task", one.task_id),
        ("principal", one.principal),
        ("instance", one.instance),
        ("revoked", "yes" if one.revoked_at else ""),
        ("revoked_in", str(list_of(one.status_index)) if one.revoked_at and one.status_index else ""),
    ],
    due=lambda one: one.expires_at,
)
