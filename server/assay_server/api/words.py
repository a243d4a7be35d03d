"""Words on the wire: states, classes and types as text, which is refused when nobody knows it."""

from collections.abc import Iterable
from enum import Enum
from typing import TypeVar

from assay.config.unknown import unknown_reason
from assay.errors import InvalidArgumentError

E = TypeVar("E", bound=Enum)


def word(kind: type[E], text: str, what: str) -> E:
    """The value of that name.

    Raises:
        InvalidArgumentError: there is none, or none is said.
    """
    known = [one.value for one in kind]
    if not text:
        raise InvalidArgumentError(f"{what} is missing", hint=f"one of: {', '.join(known)}")
    if text not in known:
        raise InvalidArgumentError(f'"{text[:64]}" is an {unknown_reason(text[:64], known, what)}')
    return kind(text)


def optional_word(kind: type[E], text: str, what: str) -> E | None:
    """The same, and None where none is said.

    Raises:
        InvalidArgumentError: there is none of that name.
    """
    return word(kind, text, what) if text else None


def words(kind: type[E], texts: Iterable[str], what: str) -> tuple[E, ...]:
    """The values of these names.

    Raises:
        InvalidArgumentError: there is none of one of the names.
    """
    return tuple(word(kind, text, what) for text in texts)
