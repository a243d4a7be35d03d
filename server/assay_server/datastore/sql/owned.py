"""The rows that objects own in other tables, such as the selectors of entries."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam

from assay_server.datastore.sql.connection import Connection, Row
from assay_server.datastore.sql.listed import Listed

_LONG = 16
_DENSE = 4


class Owned:
    """Answers for any number of owners. Rows come in `order`, whose first column is the owner's position."""

    def __init__(self, rows: Select[*tuple[Any, ...]], owner: ColumnElement[Any], *order: ColumnElement[Any]) -> None:
        ordered = rows.order_by(owner, *order)
        self._listed = Listed(lambda owners: ordered.where(owner.in_(owners)))
        self._between = ordered.where(owner.between(bindparam("first"), bindparam("last")))

    def rows(self, connection: Connection, owners: Sequence[int]) -> list[Row]:
        """What they own, and what some others own that are not asked for."""
        if len(owners) > _LONG:
            first, last = min(owners), max(owners)
            # Pages of a listing are nearly without gaps: one walk along the table instead of a search for each.
            if last - first < _DENSE * len(owners):
                return connection.rows(self._between, {"first": first, "last": last})
        return self._listed.rows(connection, owners)
