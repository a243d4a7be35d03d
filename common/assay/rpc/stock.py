"""What all connections of a server keep for calls that are under way: bounded, however many connections there are."""

from dataclasses import dataclass
from typing import Final

MOST: Final = 256 * 1024 * 1024
"""Bytes."""

MODEST: Final = 64 * 1024
"""Bytes that a connection may keep in any case: enough for calls of ordinary size."""


@dataclass(slots=True)
class Stock:
    """Bytes that are kept, and how many at most. Those who keep little are not refused for what others keep."""

    most: int = MOST
    kept: int = 0

    def allows(self, own: int) -> bool:
        """Whether a connection may keep so many itself."""
        return self.kept <= self.most or own <= MODEST
