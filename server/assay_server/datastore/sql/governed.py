"""Governed objects: whole as JSON, and beside each the terms it is found by (ADR 7)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from assay_server.datastore.base import ChangeKind, Page
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.filters import Condition, count_of, newest_of, page_of
from assay_server.datastore.sql.text import governed as sql
from assay_server.model.governed.noun import Noun, Terms

T = TypeVar("T")

# How many documents are kept as they were read, and how long one may be (characters).
_KEPT, _LONGEST_KEPT = 256, 8192

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}  # a value's, made when one is first read or written


class SqlGoverned:
    """Implements base.Governed."""

    def __init__(self, connection: Connection, changes: SqlChanges) -> None:
        self._connection = connection
        self._changes = changes

    def get(self, noun: Noun[T], key: str) -> T | None:
        """The object of that key."""
        row = self._connection.row(sql.BY_NAME, {"kind": noun.name, "name": key})
        return None if row is None else _read(noun.type, row[2])

    def find(self, noun: Noun[T], terms: Terms, page: Page, *, due_after: int | None = None) -> tuple[list[T], str]:
        """Those that all of these terms are true of, in order of creation, and the token of the next page."""
        asked = _asked(noun, terms)
        if due_after is not None:
            asked.append(Condition(sql.DUE_AFTER, {"due_after": due_after}))
        rows, token = page_of(self._connection, sql.LISTING, sql.AFTER, asked, page)
        return [_read(noun.type, row[1]) for row in rows], token

    def latest(self, noun: Noun[T], terms: Terms, limit: int) -> list[T]:
        """At most `limit` of those that all of these terms are true of, the newest first."""
        rows = newest_of(self._connection, sql.LATEST_LISTING, _asked(noun, terms), limit)
        read = adapter(noun.type).validate_json
        return [read(row[1]) for row in rows]

    def count(self, noun: Noun[T], terms: Terms) -> int:
        """How many `find` would list."""
        return count_of(self._connection, sql.COUNT, _asked(noun, terms))

    def due(self, noun: Noun[T], now: int, limit: int) -> list[T]:
        """At most `limit` of those whose time has come, the longest due first."""
        rows = self._connection.rows(sql.DUE, {"kind": noun.name, "now": now, "most": limit})
        read = adapter(noun.type).validate_json
        return [read(row[0]) for row in rows]

    def put(self, noun: Noun[T], value: T) -> None:
        """Create or replace."""
        key, due = noun.key(value), noun.due(value)
        position = self._changes.append(ChangeKind.GOVERNED, f"{noun.name}/{key}", due=due)
        row = self._connection.row(sql.BY_NAME, {"kind": noun.name, "name": key})
        contents = {"document": adapter(noun.type).dump_json(value).decode(), "due": due}
        if row is None:
            self._connection.run(sql.INSERT, {"position": position, "kind": noun.name, "name": key, **contents})
            self._put_terms(noun, position, set(), _terms(noun, value))
        else:
            # As they are, not as the object before would have them: an older release may have had others.
            before = set(self._connection.rows(sql.TERMS, {"governed": row[0]}))
            # SQLite writes the index of a column that is set, whether the value is another or not.
            statement = sql.UPDATE_DOCUMENT if row[1] == contents["due"] else sql.UPDATE
            self._connection.run(statement, {"at_position": row[0], **contents})
            self._put_terms(noun, row[0], before, _terms(noun, value))

    def delete(self, noun: Noun[T], key: str) -> bool:
        """Whether there was one."""
        deleted = self._connection.run(sql.DELETE, {"kind": noun.name, "name": key})
        if deleted:
            self._changes.append(ChangeKind.GOVERNED, f"{noun.name}/{key}")
        return bool(deleted)

    def forget(self, noun: Noun[T], keys: Sequence[str]) -> None:
        """Delete those there are of these, as one change, whose object has no key."""
        if keys:
            self._connection.run_many(sql.DELETE, [{"kind": noun.name, "name": key} for key in keys])
            self._changes.append(ChangeKind.GOVERNED, f"{noun.name}/")

    def _put_terms(
        self, noun: Noun[Any], position: int, before: set[tuple[str, str]], after: set[tuple[str, str]]
    ) -> None:
        def rows(terms: set[tuple[str, str]]) -> Sequence[dict[str, object]]:
            return [{"kind": noun.name, "governed": position, "term": t, "value": v} for t, v in sorted(terms)]

        self._connection.run_many(sql.DELETE_TERM, rows(before - after))
        self._connection.run_many(sql.INSERT_TERM, rows(after - before))


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Reads and writes values of that type as JSON."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _read(kind: type[T], document: str) -> T:
    """The value; of what is looked up for each decision most is as it was for the last."""
    if len(document) > _LONGEST_KEPT:
        return adapter(kind).validate_json(document)
    found: T = _read_once(kind, document)  # type: ignore[arg-type]  # classes are hashable
    return found


@lru_cache(maxsize=_KEPT)
def _read_once(kind: type[Any], document: str) -> Any:  # noqa: ANN401 - a value of that type
    return adapter(kind).validate_json(document)


def _terms(noun: Noun[T], value: T) -> set[tuple[str, str]]:
    return {(term, found) for term, found in noun.terms(value) if found}


def _asked(noun: Noun[Any], terms: Terms) -> list[Condition]:
    """The first term finds them, and its index says the kind: with the kind beside it SQLite reads all of that kind."""
    asked = [
        Condition(
            (sql.OF_TERM_TOO if at else sql.OF_TERM).replace("term_N", f"term_{at}").replace("value_N", f"value_{at}"),
            {"kind": noun.name, f"term_{at}": term, f"value_{at}": value},
        )
        for at, (term, value) in enumerate(terms)
    ]
    return asked or [Condition(sql.OF_KIND, {"kind": noun.name})]
