"""How governed objects are stored: each kind under a key, found again by some of what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Terms = Iterable[tuple[str, str]]
"""Names and values that an object is found by; a name may come with several values."""


def _never(_: Any) -> int:  # noqa: ANN401 - of whatever kind
    return 0


@dataclass(frozen=True, slots=True)
class Noun(Generic[T]):
    """One kind of governed objects: dataclasses of JSON's values, enumerations and tuples.

    `due` is the Unix second at which time alone makes something of an object (0: never), such as the end of a task.
    """

    name: str
    type: type[T]
    key: Callable[[T], str]
    terms: Callable[[T], Terms] = lambda _: ()
    due: Callable[[T], int] = _never
