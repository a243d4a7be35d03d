"""Selectors: what attestation found out about a node or workload, as type and value."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import lt

from assay.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """One property, such as type `unix` and value `uid:1000`; written `unix:uid:1000`.

    Raises:
        InvalidArgumentError: type or value is empty, or the type contains a colon.
    """

    type: str
    value: str

    def __post_init__(self) -> None:
        if not self.type:
            raise InvalidArgumentError("missing selector type")
        if ":" in self.type:
            raise InvalidArgumentError("selector type contains ':'")
        if not self.value:
            raise InvalidArgumentError("missing selector value")

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """From `type:value`; the value may contain further colons."""
        kind, colon, value = text.partition(":")
        if not colon:
            raise InvalidArgumentError(
                f'selector "{text}" must be formatted as type:value', hint="for example unix:uid:1000"
            )
        return cls(kind, value)

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


def sorted_distinct(selectors: Iterable[Selector]) -> tuple[Selector, ...]:
    """The same selectors as entries and nodes hold them."""
    given = tuple(selectors)
    # As pairs, which are compared far quicker than values that compare themselves; mostly there is nothing to do.
    pairs = [(selector.type, selector.value) for selector in given]
    if all(map(lt, pairs, pairs[1:])):
        return given
    return tuple(Selector(*pair) for pair in sorted(set(pairs)))
