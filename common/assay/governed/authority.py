"""What a task may do: actions on resources under constraints, and whether one authority lies within another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from assay.errors import InvalidArgumentError
from assay.governed import constraints as bounds

DETAIL_TYPE = "mission_resource_access"
"""The type of authorization details (RFC 9396) that carries it."""

MAX_ACCESSES = 64
MAX_ACTIONS = 128
"""In all of an authority, since each is a decision of its own."""

_MAX_NAME = 512


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


def authority_of(found: object) -> Authority:
    """An authority from `authorization_details` as they were parsed.

    Raises:
        InvalidArgumentError: it is none, is too large, says what nobody here enforces, or names an action twice.
    """
    if not isinstance(found, list) or not found:
        raise InvalidArgumentError("authorization_details must be a list with at least one access")
    given = cast("list[object]", found)
    if len(given) > MAX_ACCESSES:
        raise InvalidArgumentError(f"authorization_details has {len(given)} accesses, and may have {MAX_ACCESSES}")
    authority: list[Access] = []
    try:
        for each in given:
            authority.append(_access(each))  # noqa: PERF401 - how far it came names the one that is wrong
    except InvalidArgumentError as error:
        # Not `prefixed`: verifiers read one with each token.
        where = f"authorization_details[{len(authority)}]"
        raise InvalidArgumentError(f"{where}: {error.message}", hint=error.hint) from None
    made = tuple(authority)
    _check_distinct(made)
    return made


def outside(candidate: Authority, reference: Authority) -> str | None:
    """What of `candidate` is not within `reference`, in words; None if all is.

    Each of its accesses has to lie within a single one of the reference's: with no action that it lacks and no
    constraint that is broader (mission-bound authorization, Subset Rule).

    Raises:
        InvalidArgumentError: a constraint is not known.
    """
    return next((why for one in candidate if (why := _outside(one, reference)) is not None), None)


def _outside(candidate: Access, reference: Authority) -> str | None:
    same = [one for one in reference if one.resource == candidate.resource]
    if not same:
        return f"resource {candidate.resource}"
    covering = [one for one in same if set(candidate.actions) <= set(one.actions)]
    if not covering:
        held = {action for one in same for action in one.actions}
        extra = [action for action in candidate.actions if action not in held] or candidate.actions
        return f"{', '.join(extra)} on {candidate.resource}"
    wider = [bounds.broader(candidate.constraints, one.constraints) for one in covering]
    return None if None in wider else f'constraint "{wider[0]}" on {candidate.resource}'


def _access(found: object) -> Access:
    if not isinstance(found, dict):
        raise InvalidArgumentError("must be an object")
    members = cast("dict[str, Any]", found)
    if (kind := members.get("type")) != DETAIL_TYPE:
        raise InvalidArgumentError(f'type must be "{DETAIL_TYPE}", not {str(kind)[:80]!r}')
    # A bound that nobody enforces would be a promise that nobody keeps.
    if unknown := members.keys() - {"type", "resource", "actions", "constraints"}:
        raise InvalidArgumentError(f'"{min(unknown)[:80]}" is not known here')
    limits = members.get("constraints", {})
    if not isinstance(limits, dict):
        raise InvalidArgumentError("constraints must be an object")
    given = cast("dict[str, Any]", limits)
    bounds.check(given)
    return Access(_name(members.get("resource"), "resource"), _actions(members.get("actions")), given)


def _actions(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not found:
        raise InvalidArgumentError("actions must be a list with at least one action")
    return tuple(_name(each, "action") for each in cast("list[object]", found))


def _name(found: object, what: str) -> str:
    if not isinstance(found, str) or not 0 < len(found) <= _MAX_NAME or not found.isprintable():
        raise InvalidArgumentError(f"{what} must be a text of at most {_MAX_NAME} characters")
    return found


def _check_distinct(authority: Authority) -> None:
    pairs: Sequence[tuple[str, str]] = tuple(actions_of(authority))
    if len(pairs) > MAX_ACTIONS:
        raise InvalidArgumentError(f"authorization_details has {len(pairs)} actions, and may have {MAX_ACTIONS}")
    # Whose constraints would hold?
    if len(set(pairs)) != len(pairs):
        twice = next(pair for pair in pairs if pairs.count(pair) > 1)
        raise InvalidArgumentError(f"authorization_details has {twice[1]} on {twice[0]} twice")
