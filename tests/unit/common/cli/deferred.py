"""Dataclasses of each kind, and what can be seen of one."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """Compared, hashed, and not changed."""

    x: int
    y: int

    def moved(self) -> "Point":
        """One to the right."""
        return Point(self.x + 1, self.y)


@dataclass(frozen=True, slots=True)
class Named(Point):
    """Inherits from another."""

    name: str


@dataclass(frozen=True, order=True)
class Ordered:
    """Has an order, and no slots."""

    rank: int


@dataclass
class Open:
    """Can be changed, and so not hashed."""

    value: int


def described(one: Any) -> list[object]:  # noqa: ANN401 - dataclasses have no type in common
    """What its methods answer: printing, comparing, hashing, ordering, setting and deleting."""
    kind = type(one)
    other = kind(*[getattr(one, name) for name in kind.__match_args__])
    return [
        repr(one).replace(" ", ""),
        one == other,
        one != other,
        one == 1,
        _tried(lambda: hash(one) == hash(other)),
        _tried(lambda: one <= other),
        _tried(lambda: one < other),
        _tried(lambda: setattr(one, kind.__match_args__[0], 7)),
        _tried(lambda: delattr(one, kind.__match_args__[-1])),
    ]


def _tried(act: Callable[[], object]) -> object:
    try:
        return act()
    except (FrozenInstanceError, TypeError) as error:
        return type(error).__name__
