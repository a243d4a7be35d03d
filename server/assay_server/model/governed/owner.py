"""Who answers for governed identities."""

from dataclasses import dataclass
from enum import Enum

from assay_server.model.governed.noun import Noun


class OwnerState(Enum):
    """A live owner is an active one."""

    ACTIVE = "active"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Owner:
    """A person or a team: `person:alice@corp`, `team:payments`. Since `swept_at` none of its principals is active."""

    name: str
    state: OwnerState = OwnerState.ACTIVE
    created_at: int = 0
    left_at: int = 0
    swept_at: int = 0


OWNER = Noun(
    "owner",
    Owner,
    key=lambda owner: owner.name,
    terms=lambda owner: [
        ("state", owner.state.value),
        ("unswept", "yes" if owner.state is OwnerState.LEFT and not owner.swept_at else ""),
    ],
)
