"""What policy is asked, and what it answered."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from assay_server.model.governed.catalogue import Grant, Resource, Tool
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.owner import Owner
from assay_server.model.governed.principal import Principal
from assay_server.model.governed.task import Task


class Point(Enum):
    """Where a decision is made."""

    OPEN = "task:open"
    ISSUE = "credential:issue"
    CALL = "tool:call"


class Effect(Enum):
    """The answer; `NEEDS_APPROVAL` is a refusal that a human's approval would lift."""

    ALLOW = "allow"
    DENY = "deny"
    NEEDS_APPROVAL = "needs_approval"


@dataclass(frozen=True, slots=True)
class Approval:
    """A human's, until then (Unix seconds) and for parameters of that digest; `by` is the owner who gave it."""

    by: str
    until: int
    params_digest: str = ""


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Everything a decision is made of: attested or registered facts, never what a caller says of itself.

    A field that is None is missing; where the point needs it, the answer is deny. Times are Unix seconds, TTLs seconds.
    `tool` and `resource` are the catalogue's, one request for each action. `confirmed` says that the caller holds a key
    that the credential is, or will be, bound to. `chain` are the actions of the task before this, oldest first (None:
    as the task itself has them), `steps` how many there were where that is more; `depth` is how many principals stand
    before it. `ends_at` are all ends that no credential may outlive beside the task's: of the subject's token, of the
    signing key. `grants` are the catalogue's of the principal's. `kind` is the credential's; `customer` whose affairs
    the task is about, where that is known. `risk_score` and `quarantined` may say worse than what is registered of the
    principal. `barred` says why it is refused whatever policy says, such as a budget that is spent.
    """

    point: Point
    now: int
    principal: Principal | None
    owner: Owner | None
    instance: str
    task: Task | None
    tool: Tool | None = None
    resource: Resource | None = None
    audience: str = ""
    confirmed: bool = False
    requested_ttl: int = 0
    ends_at: tuple[int, ...] = ()
    risk_score: int = 0
    chain: tuple[str, ...] | None = None
    steps: int = 0
    depth: int = 0
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    parameters_digest: str = ""
    approval: Approval | None = None
    grants: tuple[Grant, ...] = ()
    kind: str = "at+jwt"
    customer: str = ""
    quarantined: bool = False
    barred: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer. `ttl` is in seconds, 0 unless allowed; `policies` are the IDs that determined it.

    `reason` says what decided, `advice` what a person can do about a refusal; `inputs` are the request as evaluated, in
    the words of `schema_version`. `floor_digest` is of what holds under every policy set. All of it is what a replay
    needs; what was written before these were kept has them empty.
    `call` is what whoever asked names the call, and `call_digest` what it was asked about.
    """

    decision_id: str
    point: Point
    at: int
    effect: Effect
    ttl: int
    reason: str
    advice: str
    policies: tuple[str, ...]
    policy_version: int
    policy_digest: str
    principal: str
    task_id: str
    obligations: dict[str, str] = field(default_factory=dict[str, str])
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs_hash: str = ""
    schema_version: int = 0
    floor_digest: str = ""
    call: str = ""
    call_digest: str = ""

    @property
    def allowed(self) -> bool:
        """Whether it may be done."""
        return self.effect is Effect.ALLOW


DECISION = Noun(
    "decision",
    Decision,
    key=lambda one: one.decision_id,
    terms=lambda one: [
        ("task", one.task_id),
        *([("call", one.call)] if one.call else []),
    ],
)
