"""How a principal's state moves: staged to active, to suspended and back, and from anywhere to retired, for ever.

Nothing is ever active while something that it needs is missing: each way to active is here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from types import MappingProxyType

from assay.errors import FailedPreconditionError
from assay_server.governance.missing import Missing
from assay_server.model.governed.principal import Principal, PrincipalState

_STAGED, _ACTIVE = PrincipalState.STAGED, PrincipalState.ACTIVE
_SUSPENDED, _RETIRED = PrincipalState.SUSPENDED, PrincipalState.RETIRED


class Move(Enum):
    """What can be asked for; values are the events' and the command line's words."""

    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETIRE = "retire"


_MOVES: Mapping[Move, tuple[frozenset[PrincipalState], PrincipalState]] = MappingProxyType(
    {
        Move.ACTIVATE: (frozenset({_STAGED}), _ACTIVE),
        Move.SUSPEND: (frozenset({_ACTIVE}), _SUSPENDED),
        Move.RESUME: (frozenset({_SUSPENDED}), _ACTIVE),
        Move.RETIRE: (frozenset({_STAGED, _ACTIVE, _SUSPENDED}), _RETIRED),
    }
)
_INSTEAD: Mapping[tuple[Move, PrincipalState], str] = MappingProxyType(
    {
        (Move.ACTIVATE, _SUSPENDED): "assay principal resume {name}",
        (Move.RESUME, _STAGED): "assay principal activate {name}",
    }
)


def moved(principal: Principal, move: Move, missing: Sequence[Missing], reason: str, now: int) -> Principal:
    """The principal after that, with `reason` said of its state.

    Raises:
        FailedPreconditionError: its state does not allow it, or something is missing that an active one needs.
    """
    sources, target = _MOVES[move]
    if principal.state not in sources:
        raise _not_from(principal, move)
    if target is _ACTIVE:
        require_whole(principal, missing, f"{move.value}d")
    return touched(replace(principal, state=target, state_reason=reason), now)


def touched(principal: Principal, now: int) -> Principal:
    """The same, changed now."""
    return replace(principal, updated_at=now, revision=principal.revision + 1)


def require_whole(principal: Principal, missing: Sequence[Missing], verb: str) -> None:
    """Refuse what is not complete, naming everything that is missing.

    Raises:
        FailedPreconditionError: something is.
    """
    if missing:
        raise FailedPreconditionError(
            f'principal "{principal.name}" cannot be {verb}; missing: {", ".join(map(str, missing))}',
            hint=f"give what is missing with `assay principal update {principal.name}`",
        )


def _not_from(principal: Principal, move: Move) -> FailedPreconditionError:
    why = f" ({principal.state_reason})" if principal.state_reason else ""
    instead = _INSTEAD.get((move, principal.state), "")
    if principal.state is _RETIRED:
        instead = "assay principal register, under another name: retired is for ever"
    return FailedPreconditionError(
        f'principal "{principal.name}" is {principal.state.value}{why}: there is no way to {move.value} it',
        hint=instead.format(name=principal.name),
    )
