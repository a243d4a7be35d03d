"""Reads the list of requirements: one TOML file for each standard, a table for each row; strictly."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from tests.conformance.requirement import (
    KINDS,
    LEVELS,
    PREFIXES,
    ROLES,
    STATUSES,
    Conformance,
    Deviation,
    Requirement,
    Standard,
    Status,
)

_ID = re.compile(r"[A-Z0-9]+-[0-9A-Z.]+-[a-z]")
_PLANS = "plans.toml"
_DEVIATIONS = "deviations.toml"


class MalformedListError(Exception):
    """A file of the list that cannot be used; says which and why."""


def load(folder: Path) -> Conformance:
    """Read every file of the folder.

    Raises:
        MalformedListError: a file is no TOML, or says what it may not or too little.
    """
    plans = {name: _text(_PLANS, text) for name, text in _toml(folder / _PLANS).items()}
    files = sorted(path for path in folder.glob("*.toml") if path.name not in {_PLANS, _DEVIATIONS})
    standards = sorted((_standard(path, plans) for path in files), key=lambda one: PREFIXES.index(one.prefix))
    if (prefixes := tuple(one.prefix for one in standards)) != PREFIXES:
        raise MalformedListError(f"one file for each of {', '.join(PREFIXES)}; there are {', '.join(prefixes)}")
    return Conformance(tuple(standards), plans, tuple(_deviations(folder / _DEVIATIONS)))


def _standard(path: Path, plans: Mapping[str, str]) -> Standard:
    """One standard's file: a table `standard`, then the rows."""
    content = _toml(path)
    head = _table(path.name, content.pop("standard", None))
    if tuple(sorted(head)) != ("document", "prefix", "stability", "title"):
        raise MalformedListError(f"{path.name}: [standard] has document, prefix, stability and title, no more or less")
    document, prefix, stability, title = (_text(path.name, head[key]) for key in sorted(head))
    if prefix not in PREFIXES:
        raise MalformedListError(f"{path.name}: no prefix {prefix!r}; there are {', '.join(PREFIXES)}")
    rows = tuple(_requirement(f"{path.name}: {row}", row, value, plans) for row, value in content.items())
    for row in rows:
        if not row.id.startswith(f"{prefix}-"):
            raise MalformedListError(f"{path.name}: {row.id} does not begin with {prefix}-")
    return Standard(prefix, title, document, stability, rows)


def _requirement(where: str, row: str, value: object, plans: Mapping[str, str]) -> Requirement:
    """One row, from the table of that name."""
    if not _ID.fullmatch(row):
        raise MalformedListError(f"{where}: not an id such as X509-5.2-a")
    table = _table(where, value)
    stated = [status for status in STATUSES if status in table]
    if not {"level", "who", "text"} <= set(table) <= {"level", "who", "text", *STATUSES}:
        raise MalformedListError(f"{where}: a row has level, who, text and at most one of {', '.join(STATUSES)}")
    if len(stated) > 1:
        raise MalformedListError(f"{where}: says {' and '.join(stated)}; one of them is wrong")
    status: Status = stated[0] if stated else ""
    reason = _text(where, table[status]) if status else ""
    if status == "later" and reason not in plans:
        raise MalformedListError(f"{where}: waits for {reason!r}, which is not in {_PLANS}")
    level, who = _text(where, table["level"]), _texts(where, table["who"])
    if level not in LEVELS:
        raise MalformedListError(f"{where}: no level {level!r}; there are {', '.join(sorted(LEVELS))}")
    if strangers := sorted(set(who) - ROLES):
        raise MalformedListError(f"{where}: nobody is called {strangers[0]!r}; there are {', '.join(sorted(ROLES))}")
    return Requirement(row, level, who, _text(where, table["text"]), status, reason)


def _deviations(path: Path) -> Iterator[Deviation]:
    """Every deviation; which rows there are is looked at by whoever has both."""
    content = _toml(path)
    for number, value in enumerate(_list(path.name, content.get("deviation")), 1):
        where = f"{path.name}: deviation {number}"
        table = _table(where, value)
        if set(table) != {"kind", "rows", "what", "why"}:
            raise MalformedListError(f"{where}: has kind, rows, what and why, not {sorted(table)}")
        if (kind := _text(where, table["kind"])) not in KINDS:
            raise MalformedListError(f"{where}: no kind {kind!r}; there are {', '.join(KINDS)}")
        yield Deviation(kind, _texts(where, table["rows"]), _text(where, table["what"]), _text(where, table["why"]))


def _toml(path: Path) -> dict[str, object]:
    """The file's content."""
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MalformedListError(f"{path.name}: {error}") from error


def _table(where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedListError(f"{where}: a table is missing here")
    return cast("dict[str, object]", value)


def _list(where: str, value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise MalformedListError(f"{where}: a list with something in it is missing here")
    return cast("list[object]", value)


def _texts(where: str, value: object) -> tuple[str, ...]:
    return tuple(_text(where, one) for one in _list(where, value))


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise MalformedListError(f"{where}: a line of text is missing here")
    return value
