"""The rows that objects own in other tables, such as the selectors of entries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from assay_server.datastore.sql.connection import Connection, Row

_DENSE = 4


@dataclass(frozen=True, slots=True)
class Owned:
    """Answers for any number of owners, by two statements: for listed ones, and for all between two positions.

    Rows come by owner, their first column.
    """

    listed: str
    between: str

    def rows(self, connection: Connection, owners: Sequence[int]) -> list[Row]:
        """What they own, and what some others own that are not asked for."""
        if not owners:
            return []
        first, last = min(owners), max(owners)
        # One, or a page of a listing, which is nearly without gaps: a walk along the table, not a search for each.
        if last - first < _DENSE * len(owners):
            return connection.rows(self.between, {"first": first, "last": last})
        return connection.rows(self.listed, {"owners": json.dumps(owners)})
