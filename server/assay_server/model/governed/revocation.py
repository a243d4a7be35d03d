"""What somebody wants ended before its time, written down before it is done, so that it is finished in any case."""

from dataclasses import dataclass
from enum import Enum

from assay_server.model.governed.noun import Noun


class Target(Enum):
    """What a revocation is of: a single task or credential, or all that belong to something."""

    TASK = "task"
    PRINCIPAL = "principal"
    INSTANCE = "instance"
    OWNER = "owner"
    TOOL = "tool"
    TENANT = "tenant"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True)
class Revocation:
    """One request, with what it has ended so far. It is done since `done_at` (Unix seconds; 0: not yet).

    `suspend` has the principal, or the active principals of the owner, suspended first. `by` is who asked.
    """

    revocation_id: str
    target: Target
    value: str
    reason: str
    by: str
    at: int
    suspend: bool = False
    tasks: int = 0
    credentials: int = 0
    principals: int = 0
    done_at: int = 0

    @property
    def cause(self) -> str:
        """As tasks, credentials and events say it."""
        return f"revoked: {self.reason}"


REVOCATION = Noun(
    "revocation",
    Revocation,
    key=lambda one: one.revocation_id,
    terms=lambda one: [("state", "done" if one.done_at else "running")],
)
