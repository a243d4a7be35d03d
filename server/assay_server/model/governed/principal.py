"""Governed identities, whatever runs under them, and the copies of them that run."""

from dataclasses import dataclass
from enum import Enum

from assay_server.model.governed.catalogue import ActionClass, Risk
from assay_server.model.governed.noun import Noun


class ActorType(Enum):
    """What acts; stated of every token, decision and event."""

    HUMAN = "human"
    SERVICE = "service"
    MACHINE = "machine"
    AI_AGENT = "ai_agent"


class PrincipalState(Enum):
    """Staged until all is there that its actor type needs; only active ones get anything; retired is for ever."""

    STAGED = "staged"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Trigger(Enum):
    """What ends its tasks and credentials before their time."""

    TASK_COMPLETED = "task_completed"
    TIMEOUT = "timeout"
    BUDGET_SPENT = "budget_spent"
    POLICY_DRIFT = "policy_drift"
    HEARTBEAT_MISSED = "heartbeat_missed"
    OWNER_LEFT = "owner_left"
    RISK_RAISED = "risk_raised"


DEFAULT_ID_TEMPLATE = "/principal/{name}/{instance}"


@dataclass(frozen=True, slots=True)
class Principal:
    """A governed identity. Empty fields, and None, are not said yet: activation names those that have to be.

    `approvals` are the action classes that need a human's approval (an empty tuple: none do, which was decided).
    `heartbeat` is the telemetry requirement: at most so many seconds between two heartbeats of a task.
    `tools` is the most that any task of it may be given, `grants` are names of the catalogue's. `risk_score` (0 to 100)
    says how doubtful it is; while it is `quarantined`, all decisions about it are refusals.
    """

    name: str
    actor_type: ActorType
    owner: str = ""
    purpose: str = ""
    environment: str = ""
    tenant: str = ""
    data_classes: tuple[str, ...] = ()
    risk_class: Risk | None = None
    model: str = ""
    tools: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    approvals: tuple[ActionClass, ...] | None = None
    heartbeat: int | None = None
    triggers: tuple[Trigger, ...] = ()
    id_template: str = DEFAULT_ID_TEMPLATE
    state: PrincipalState = PrincipalState.STAGED
    state_reason: str = ""
    created_at: int = 0
    updated_at: int = 0
    revision: int = 0
    last_used_at: int = 0
    risk_score: int = 0
    risk_reason: str = ""
    quarantined: bool = False
    quarantine_reason: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of a principal; `value` is the attested selector's, such as a container's ID."""

    spiffe_id: str
    principal: str
    entry_id: str
    value: str
    node: str
    first_seen: int
    last_seen: int


PRINCIPAL = Noun(
    "principal",
    Principal,
    key=lambda one: one.name,
    terms=lambda one: [
        ("owner", one.owner),
        ("state", one.state.value),
        ("actor_type", one.actor_type.value),
        ("tenant", one.tenant),
        *(("tool", tool) for tool in one.tools if one.state is not PrincipalState.RETIRED),
        *(("grant", grant) for grant in one.grants if one.state is not PrincipalState.RETIRED),
    ],
)
INSTANCE_KEPT = 30 * 24 * 3600
"""Seconds for which an instance is remembered after it was seen last; no SVID of its should live as long."""


def copy_of(entry_id: str, node: str, value: str) -> str:
    """What no two copies that run share; neither the IDs of entries nor those of nodes have spaces."""
    return f"{entry_id} {node} {value}"


INSTANCE = Noun(
    "instance",
    Instance,
    key=lambda one: one.spiffe_id,
    terms=lambda one: [
        ("principal", one.principal),
        ("node", one.node),
        ("entry", one.entry_id),
        ("copy", copy_of(one.entry_id, one.node, one.value)),
    ],
    due=lambda one: one.last_seen + INSTANCE_KEPT,
)
