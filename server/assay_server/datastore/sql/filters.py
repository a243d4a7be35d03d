"""Listing: what is asked for as conditions of a statement, and where a page begins and ends.

A match is SPIRE's: objects without any of the listed values are in no answer, and an empty list is refused.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from assay.errors import InvalidArgumentError
from assay.selector import Selector
from assay_server.datastore.base import Match, Page, SelectorFilter
from assay_server.datastore.sql.connection import Connection, Row, Values

MAX_VALUES = 10_000
"""How long a list in a filter may be."""

_T = TypeVar("_T")

_LAST_POSITION = 2**63 - 1
_LONGEST_TOKEN = len(str(_LAST_POSITION))
_ALL = -1  # SQLite's LIMIT


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a statement's WHERE, and the values that it names."""

    text: str
    values: Values


def selectors_match(by_match: Mapping[str, str], wanted: SelectorFilter) -> Condition:
    """The owner's selectors relate so to those wanted."""
    pairs = _checked(sorted({(selector.type, selector.value) for selector in wanted.selectors}), "selector")
    return Condition(by_match[wanted.match.name], {"selectors": json.dumps(pairs), "selectors_size": len(pairs)})


def names_match(by_match: Mapping[str, str], names: Collection[str], match: Match) -> Condition:
    """The owner's trust domains relate so to these."""
    distinct = _checked(sorted(set(names)), "trust domain")
    return Condition(by_match[match.name], {"trust_domains": json.dumps(distinct), "trust_domains_size": len(distinct)})


def asking(statement: str, where: Sequence[Condition]) -> str:
    """The statement with these conditions."""
    return statement.replace("{where}", " AND ".join(condition.text for condition in where) or "TRUE")


def page_of(
    connection: Connection, listing: str, after: str, where: Sequence[Condition], page: Page
) -> tuple[list[Row], str]:
    """The page's rows, whose first column is the position, and the token of the next page.

    `after` is the listing's own condition on where the page begins.
    """
    where = [Condition(after, {"after": _after(page.token) if page.token else 0}), *where]
    rows = connection.rows(asking(listing, where), {"size": page.size or _ALL, **_values(where)})
    # As SPIRE's, every page but an empty one has a token: what is added meanwhile is on the next.
    return rows, str(rows[-1][0]) if page.size and rows else ""


def newest_of(connection: Connection, listing: str, where: Sequence[Condition], limit: int) -> list[Row]:
    """At most so many rows of a listing that begins at its end."""
    return connection.rows(asking(listing, where), {"size": limit, **_values(where)})


def count_of(connection: Connection, counting: str, where: Sequence[Condition]) -> int:
    """How many rows there are."""
    return int(connection.rows(asking(counting, where), {"after": 0, **_values(where)})[0][0])


def selectors_of(rows: Sequence[Row]) -> dict[int, list[Selector]]:
    """Rows of owner, type and value by their owner."""
    found: dict[int, list[Selector]] = {}
    for owner, kind, value in rows:
        found.setdefault(owner, []).append(Selector(kind, value))
    return found


def _values(where: Sequence[Condition]) -> Values:
    return {name: value for condition in where for name, value in condition.values.items()}


def _checked(values: list[_T], what: str) -> list[_T]:
    if not values:
        raise InvalidArgumentError(f"cannot list by empty {what}s set")
    if len(values) > MAX_VALUES:
        raise InvalidArgumentError(f"cannot list by more than {MAX_VALUES} {what}s")
    return values


def _after(token: str) -> int:
    if not (token.isascii() and token.isdigit()):
        raise InvalidArgumentError(f"could not parse token '{token}'", hint="use the token of an earlier answer")
    return min(int(token), _LAST_POSITION) if len(token) <= _LONGEST_TOKEN else _LAST_POSITION
