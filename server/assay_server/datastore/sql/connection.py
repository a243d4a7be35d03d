"""One SQLite connection that runs SQLAlchemy Core statements, each compiled once.

Statements go to sqlite3 as text and named values: SQLAlchemy's own execution costs more than SQLite's (ADR 0001).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[Any, ...]
Values = Mapping[str, object]

BUSY_SECONDS = 5.0
"""How long to wait for a lock; the store has its file for itself, so only an operator's tool can hold one."""

_BY_NAME = sqlite.dialect(paramstyle="named")
_BY_POSITION = sqlite.dialect(paramstyle="qmark")

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)
_READ_ONLY = ("PRAGMA query_only = ON",)


class Connection:
    """Made in one thread and used by one thread at a time; transactions are begun and ended by hand."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.raw = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        self._prepared: dict[ClauseElement, tuple[str, Values]] = {}
        self._listed: dict[ClauseElement, str] = {}
        try:
            for pragma in (*_PRAGMAS, *_READ_ONLY * read_only):
                self.raw.execute(pragma)
        except BaseException:
            self.raw.close()  # a damaged file shows itself here
            raise

    def rows(self, statement: ClauseElement, values: Values | None = None) -> list[Row]:
        """All rows of a statement that is made once (a module's constant) and takes these values."""
        return self._execute(statement, values).fetchall()

    def row(self, statement: ClauseElement, values: Values | None = None) -> Row | None:
        """The first row, if any."""
        row: Row | None = self._execute(statement, values).fetchone()
        return row

    def listed(self, statement: ClauseElement, values: Sequence[object]) -> list[Row]:
        """All rows of a statement that is made once and takes nothing but these values, in the order it names them."""
        # By position: SQLite looks up each name among all others, which takes longer than the query for long lists.
        text = self._listed.get(statement)
        if text is None:
            text = self._listed[statement] = str(_compile(statement, _BY_POSITION))
        return self.raw.execute(text, values).fetchall()

    def run(self, statement: ClauseElement, values: Values | None = None) -> int:
        """How many rows it wrote."""
        return self._execute(statement, values).rowcount

    def run_many(self, statement: ClauseElement, values: Sequence[Values]) -> None:
        """Once for each; nothing for none. The statement holds no values of its own."""
        if values:
            self.raw.executemany(self._prepare(statement)[0], values)

    def query(self, statement: ClauseElement) -> list[Row]:
        """All rows of a statement made for this call, with its values inside; it is not kept."""
        state = _compile(statement, _BY_POSITION).construct_expanded_state()
        return self.raw.execute(state.statement, state.positional_parameters).fetchall()

    def close(self) -> None:
        """Give the file back; the last connection folds the write-ahead log into it."""
        self.raw.close()

    def _execute(self, statement: ClauseElement, values: Values | None) -> sqlite3.Cursor:
        text, own = self._prepare(statement)
        return self.raw.execute(text, {**own, **(values or {})} if own else values or {})

    def _prepare(self, statement: ClauseElement) -> tuple[str, Values]:
        found = self._prepared.get(statement)
        if found is None:
            compiled = _compile(statement, _BY_NAME)
            own = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
            found = self._prepared[statement] = (str(compiled), own)
        return found


def _compile(statement: ClauseElement, dialect: Dialect) -> SQLCompiler:
    compiled = statement.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler):
        raise TypeError(f"not a statement: {statement!r}")
    return compiled
