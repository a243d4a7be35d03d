"""Parts of statements that take lists, each as one value in JSON: so a statement's text is the same for any length.

SQLite also looks up each named value among all others: thousands of names in a statement take longer than its query.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    bindparam,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql.selectable import TableValuedAlias

from assay_server.datastore.base import Match

_ONE = literal_column("1", Integer)
_NONE = literal_column("0", Integer)

Conditions = dict[str, ColumnElement[bool]]
"""By the name of the Match that each is for."""


def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether the column's value is in the list of that name."""
    return column.in_(select(_each(name).c.value))


def pair_of(table: Table, name: str) -> ColumnElement[bool]:
    """Whether type and value are among the pairs of that name, each a list of two."""
    pair = _each(name).c.value
    first, second = (func.json_extract(pair, literal_column(f"'$[{at}]'")) for at in range(2))
    return tuple_(table.c.type, table.c.value).in_(select(first.label("type"), second.label("value")))


def matching(owned: Table, position: ColumnElement[int], listed: ColumnElement[bool], size: str) -> Conditions:
    """How an owner's rows of `owned` (first column: owner) may relate to those that `listed` names: where to begin.

    The value called `size` says how many those are, `after` where the page begins. An owner that shares none is in no
    answer.
    """
    owner = owned.c[0]
    sharing = select(owner).where(listed, owner > bindparam("after"))
    all_there = sharing.group_by(owner).having(func.count() == bindparam(size))
    no_other = ~_exists(owned, position, ~listed)
    return {
        Match.EXACT.name: position.in_(all_there) & no_other,
        Match.SUBSET.name: position.in_(sharing) & no_other,
        Match.SUPERSET.name: position.in_(all_there),
        Match.ANY.name: position.in_(sharing),
    }


def checking(owned: Table, position: ColumnElement[int], listed: ColumnElement[bool], size: str) -> Conditions:
    """The same, looked up for an owner that was found by something else."""
    rows = select(func.count()).where(owned.c[0] == _this(position), listed)
    all_there = rows.scalar_subquery() == bindparam(size)
    no_other = ~_exists(owned, position, ~listed)
    return {
        Match.EXACT.name: all_there & no_other,
        Match.SUBSET.name: _exists(owned, position, listed) & no_other,
        Match.SUPERSET.name: all_there,
        Match.ANY.name: _exists(owned, position, listed),
    }


def _exists(owned: Table, position: ColumnElement[int], condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(_ONE).where(owned.c[0] == _this(position), condition).exists()


def _this(position: ColumnElement[int]) -> ColumnElement[int]:
    # By name: a condition is written out alone, where Core would add the owner's table to the inner one's.
    return literal_column(str(position), position.type)


def up_to(table: FromClause, *where: ColumnElement[bool]) -> Select[int]:
    """How many rows there are, counted up to `most`."""
    some = select(_ONE).select_from(table).where(*where).limit(bindparam("most")).offset(_NONE)
    return select(func.count()).select_from(some.subquery("some"))


def listing(rows: Select[*tuple[Any, ...]], position: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """Rows in order of their position, as many as `size` says, where `{where}` stands for what is asked for."""
    return rows.where(text("{where}")).order_by(position).limit(bindparam("size")).offset(_NONE)


def latest(rows: Select[*tuple[Any, ...]], position: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """The same from the end."""
    return rows.where(text("{where}")).order_by(position.desc()).limit(bindparam("size")).offset(_NONE)


def counting(table: Table) -> Select[int]:
    """How many rows `{where}` finds."""
    return select(func.count()).select_from(table).where(text("{where}"))


def owned_rows(
    rows: Select[*tuple[Any, ...]], owner: ColumnElement[int], *order: ColumnElement[Any]
) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    """Rows of these `owners`, and rows of all owners from `first` to `last`; both by owner, then in that order."""
    ordered = rows.order_by(owner, *order)
    return ordered.where(one_of(owner, "owners")), ordered.where(owner.between(bindparam("first"), bindparam("last")))


def _each(name: str) -> TableValuedAlias:
    return func.json_each(bindparam(name)).table_valued("value", name="listed")
