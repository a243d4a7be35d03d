"""What a task may do: actions on resources under constraints, and whether one authority lies within another."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

DETAIL_TYPE = "mission_resource_access"
"""The type of authorization details (RFC 9396) that carries it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Actions on one resource (a URI). Constraints hold for each of them; an unknown constraint is refused."""

    resource: str
    actions: tuple[str, ...]
    constraints: dict[str, Any] = field(default_factory=dict[str, Any])

    def detail(self) -> dict[str, Any]:
        """As an authorization detail."""
        detail: dict[str, Any] = {"type": DETAIL_TYPE, "resource": self.resource, "actions": list(self.actions)}
        return detail | ({"constraints": self.constraints} if self.constraints else {})


Authority = tuple[Access, ...]


def details(authority: Authority) -> list[dict[str, Any]]:
    """`authorization_details` (RFC 9396 section 2)."""
    return [access.detail() for access in authority]


def permits(authority: Authority, resource: str, action: str) -> Access | None:
    """The access that names this action on this resource."""
    return next((one for one in authority if one.resource == resource and action in one.actions), None)


def actions_of(authority: Authority) -> Iterable[tuple[str, str]]:
    """Every resource and action."""
    return ((access.resource, action) for access in authority for action in access.actions)
