"""How much one stream may ask for, whatever its Envoy does."""

from collections.abc import Collection, Iterable
from typing import Final

from assay.errors import InvalidArgumentError

MOST_NAMES: Final = 1000
MOST_TEXT: Final = 64 * 1024
"""Characters of those names together."""

MOST_TOLD: Final = 512
"""Characters of an Envoy's own words that reach the log."""


def check_names(names: Collection[str]) -> None:
    """Raise InvalidArgumentError when there are more than a stream may ask for."""
    check_count(names)
    check_text(names)


def check_count(names: Collection[str]) -> None:
    """Raise InvalidArgumentError when there are too many, before they are looked at."""
    if len(names) > MOST_NAMES:
        raise InvalidArgumentError(f"too many resource names: at most {MOST_NAMES} on a stream")


def check_text(names: Iterable[str]) -> None:
    """Raise InvalidArgumentError when they are too long to be kept."""
    if sum(map(len, names)) > MOST_TEXT:
        raise InvalidArgumentError(f"resource names are too long: at most {MOST_TEXT} characters on a stream")
