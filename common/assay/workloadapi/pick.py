"""Which of a workload's identities to use (Workload API, section 8)."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from assay.spiffeid import SpiffeId
from assay.workloadapi.errors import NoSuchIdentityError


class Identity(Protocol):
    """What an SVID is chosen by."""

    @property
    def spiffe_id(self) -> SpiffeId:
        """Whose it is."""
        ...

    @property
    def hint(self) -> str:
        """What the operator says it is for; often empty."""
        ...


I = TypeVar("I", bound=Identity)  # noqa: E741 - the identity


def choose(identities: Sequence[I], hint: str | None, spiffe_id: SpiffeId | None) -> I | None:
    """The first that has that hint and that ID, where they are asked for; of a hint twice the first counts."""
    for one in identities:
        if (hint is None or one.hint == hint) and (spiffe_id is None or one.spiffe_id == spiffe_id):
            return one
    return None


def as_id(spiffe_id: SpiffeId | str | None) -> SpiffeId | None:
    """The ID, given as a value or as text.

    Raises:
        SpiffeIdError: the text is no SPIFFE ID.
    """
    return SpiffeId.parse(spiffe_id) if isinstance(spiffe_id, str) else spiffe_id


def wanted(hint: str | None, spiffe_id: SpiffeId | None, *, picked: bool) -> str:
    """What was asked for, in words."""
    if picked:
        return "that the picker takes"
    named = [f'with the hint "{hint}"'] if hint is not None else []
    named += [f"{spiffe_id}"] if spiffe_id is not None else []
    return " and ".join(named) or "at all"


def no_such(identities: Sequence[Identity], asked: str) -> NoSuchIdentityError:
    """The refusal where none of them is what was asked for, in words."""
    there = ", ".join(f"{one.spiffe_id}" + (f' (hint "{one.hint}")' if one.hint else "") for one in identities)
    return NoSuchIdentityError(f"the workload has no identity {asked}", hint=f"it has {there}")
