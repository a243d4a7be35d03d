"""Noticing that an older copy of the database was put back: a mark beside it remembers how far it had come.

Positions of agents are (incarnation, sequence). A restored copy counts again from a lower sequence, so that the same
position would mean two histories; it therefore gets a new incarnation, and agents get a full snapshot. The mark is
written after each commit without waiting for the disk: after a crash it lags behind, which is harmless. It also
holds the file's change time after an orderly end, which tells a restored copy of the database *and* the mark.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

_BYTES = 96


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the history stood; `closed_at` is the file's ctime (ns) after an orderly end, 0 while it is open."""

    incarnation: str
    sequence: int
    closed_at: int = 0

    def encode(self) -> bytes:
        """Always of the same length, so that overwriting it in place needs no truncation."""
        return f"{self.incarnation} {self.sequence} {self.closed_at}".ljust(_BYTES - 1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Mark | None":
        """None for anything that `encode` did not write."""
        match data.decode(errors="replace").split():
            case [incarnation, sequence, closed_at] if sequence.isdecimal() and closed_at.isdecimal():
                return cls(incarnation, int(sequence), int(closed_at))
            case _:
                return None


def is_continued(mark: Mark | None, incarnation: str, sequence: int, changed_at: int) -> bool:
    """Whether a database of that incarnation, sequence and ctime (ns) carries on the history of the mark."""
    return (
        mark is not None
        and mark.incarnation == incarnation
        and mark.sequence <= sequence
        and mark.closed_at in {0, changed_at}
    )


def new_incarnation() -> str:
    """A random name."""
    return secrets.token_hex(16)


class MarkFile:
    """The mark beside a database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._fd = os.open(database.with_name(f"{database.name}.mark"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> Mark | None:
        """What it says; None when it is new or damaged."""
        return Mark.decode(os.pread(self._fd, _BYTES, 0))

    def write(self, mark: Mark) -> None:
        """Overwrite it."""
        os.pwrite(self._fd, mark.encode(), 0)

    def changed_at(self) -> int:
        """The database file's ctime in nanoseconds."""
        return self._database.stat().st_ctime_ns

    def close(self) -> None:
        """Keep what was written."""
        os.close(self._fd)
