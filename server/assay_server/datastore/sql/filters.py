"""Listing: how lists in a filter are compared in SQL, and where a page begins and ends.

A match is SPIRE's: objects without any of the listed values are in no answer, and an empty list is refused.
"""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Table, func, select, tuple_

from assay.errors import InvalidArgumentError
from assay.selector import Selector
from assay_server.datastore.base import Match, Page, SelectorFilter
from assay_server.datastore.sql.connection import Connection, Row

MAX_VALUES = 10_000
"""How long a list in a filter may be: SQLite takes 32766 values a statement."""

_T = TypeVar("_T")

_LAST_POSITION = 2**63 - 1
_LONGEST_TOKEN = len(str(_LAST_POSITION))


def selectors_match(owned: Table, position: ColumnElement[int], wanted: SelectorFilter) -> ColumnElement[bool]:
    """Whether the owner's selectors, rows of `owned`, relate to those wanted."""
    pairs = sorted({(selector.type, selector.value) for selector in wanted.selectors})
    listed = tuple_(owned.c.type, owned.c.value).in_(_checked(pairs, "selector"))
    return matches(owned, position, listed, wanted.match, len(pairs))


def names_match(
    owned: Table, position: ColumnElement[int], column: ColumnElement[str], names: Collection[str], match: Match
) -> ColumnElement[bool]:
    """Whether the owner's values of one column relate to these names."""
    distinct = sorted(set(names))
    listed = column.in_(_checked(distinct, "trust domain"))
    return matches(owned, position, listed, match, len(distinct))


def matches(
    owned: Table, position: ColumnElement[int], listed: ColumnElement[bool], match: Match, size: int
) -> ColumnElement[bool]:
    """Whether an owner's rows of `owned` (first column: owner) match the `size` values that `listed` asks for."""
    owner = owned.c[0]
    sharing = select(owner).where(listed)
    if match in {Match.EXACT, Match.SUPERSET}:
        sharing = sharing.group_by(owner).having(func.count() == size)
    if match in {Match.ANY, Match.SUPERSET}:
        return position.in_(sharing)
    other = select(1).where(owner == position, ~listed).correlate_except(owned).exists()
    return position.in_(sharing) & ~other


def page_of(
    connection: Connection, listing: Select[Any], position: ColumnElement[int], page: Page
) -> tuple[list[Row], str]:
    """The page's rows, whose first column is the position, and the token of the next page."""
    listing = listing.order_by(position)
    if page.token:
        listing = listing.where(position > _after(page.token))
    if not page.size:
        return connection.query(listing), ""
    rows = connection.query(listing.limit(page.size + 1))
    more = len(rows) > page.size
    rows = rows[: page.size]
    return rows, str(rows[-1][0]) if more else ""


def selectors_of(rows: Sequence[Row]) -> dict[int, list[Selector]]:
    """Rows of owner, type and value by their owner."""
    found: dict[int, list[Selector]] = {}
    for owner, kind, value in rows:
        found.setdefault(owner, []).append(Selector(kind, value))
    return found


def _checked(values: list[_T], what: str) -> list[_T]:
    if not values:
        raise InvalidArgumentError(f"cannot list by empty {what} set")
    if len(values) > MAX_VALUES:
        raise InvalidArgumentError(f"cannot list by more than {MAX_VALUES} {what}s")
    return values


def _after(token: str) -> int:
    if not (token.isascii() and token.isdigit()):
        raise InvalidArgumentError(f"could not parse token '{token}'", hint="use the token of an earlier answer")
    return min(int(token), _LAST_POSITION) if len(token) <= _LONGEST_TOKEN else _LAST_POSITION
