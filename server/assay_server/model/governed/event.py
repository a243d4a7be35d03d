"""What happened, as it is written down in the transaction in which it happened."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class EventType(Enum):
    """Types of events, each with details of its own."""

    OWNER_CHANGED = "owner.changed"
    PRINCIPAL_CHANGED = "principal.changed"
    CATALOGUE_CHANGED = "catalogue.changed"
    BINDING_CHANGED = "binding.changed"
    INSTANCE_SEEN = "instance.seen"
    TASK_OPENED = "task.opened"
    TASK_CHANGED = "task.changed"
    TASK_ENDED = "task.ended"
    DECISION = "decision"
    IDENTITY_ISSUED = "identity.issued"
    REVOCATION = "revocation"
    TOOL_USE = "tool.use"
    DATA_ACCESS = "data.access"
    PRIVILEGE_ELEVATION = "privilege.elevation"
    APPROVAL = "approval"
    DELEGATION = "delegation"
    POLICY_CHANGED = "policy.changed"
    EXCEPTION = "exception"
    LEDGER_KEY = "ledger.key"
    LEDGER_PRUNED = "ledger.pruned"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `actor` is who caused it: a SPIFFE ID, `local:<uid>`, or `assay:<part>`; `subject` what it is about.

    Details are JSON's values: digests and names, never parameters, tokens or secrets. `at` is in Unix seconds.
    """

    type: EventType
    at: int
    actor: str
    subject: str
    task_id: str = ""
    principal: str = ""
    actor_type: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
