"""One SQLite connection that runs the store's statements.

They are texts with named values, made by `make sql`: SQLAlchemy's own execution costs more than SQLite's (ADR 0001),
and loading it a third of a start (ADR 0006). sqlite3 keeps each text's compiled form.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]
Values = Mapping[str, object]

BUSY_SECONDS = 5.0
"""How long to wait for a lock; the store has its file for itself, so only an operator's tool can hold one."""

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
    # Pages of 16 MiB: one that many batches change is folded into the file once.
    "PRAGMA wal_autocheckpoint = 4000",
)
_READ_ONLY = ("PRAGMA query_only = ON",)


class Connection:
    """Made in one thread and used by one thread at a time; transactions are begun and ended by hand."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.raw = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        try:
            for pragma in (*_PRAGMAS, *_READ_ONLY * read_only):
                self.raw.execute(pragma)
        except BaseException:
            self.raw.close()  # a damaged file shows itself here
            raise

    def rows(self, statement: str, values: Values | None = None) -> list[Row]:
        """All rows of a statement that takes these values."""
        return self.raw.execute(statement, values or {}).fetchall()

    def row(self, statement: str, values: Values | None = None) -> Row | None:
        """The first row, if any."""
        row: Row | None = self.raw.execute(statement, values or {}).fetchone()
        return row

    def run(self, statement: str, values: Values | None = None) -> int:
        """How many rows it wrote."""
        return self.raw.execute(statement, values or {}).rowcount

    def run_many(self, statement: str, values: Sequence[Values]) -> None:
        """Once for each; nothing for none."""
        if values:
            self.raw.executemany(statement, values)

    def close(self) -> None:
        """Give the file back; the last connection folds the write-ahead log into it."""
        self.raw.close()
