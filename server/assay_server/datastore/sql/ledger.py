"""The ledger that events make: its records, its checkpoints, and what is pruned of them."""

from assay_server.datastore.sql.connection import Connection, Row
from assay_server.datastore.sql.filters import Condition, asking
from assay_server.datastore.sql.text import events as sql
from assay_server.model.governed.ledger import Head, LedgerRecord, SignedCheckpoint


class SqlLedger:
    """Implements base.Ledger."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def head(self) -> Head:
        """The last record."""
        row = self._connection.row(sql.HEAD)
        return Head(*row) if row else Head(0, "")

    def first(self) -> int:
        """The number of the oldest record that is kept, 0 where there is none."""
        return int(self._connection.rows(sql.FIRST)[0][0] or 0)

    def since(self, at: int) -> int | None:
        """The number of the first record from that second on."""
        number: int | None = self._connection.rows(sql.SINCE, {"at": at})[0][0]
        return number

    def records(
        self, after: int, limit: int, *, until: int = 0, task_id: str = "", principal: str = ""
    ) -> list[LedgerRecord]:
        """At most `limit` records behind that number in order, of one task or principal if that is said."""
        named = (
            ("until", until, sql.UNTIL_NUMBER),
            ("task_id", task_id, sql.OF_TASK),
            ("principal", principal, sql.OF_PRINCIPAL),
        )
        where = [
            Condition(sql.AFTER_NUMBER, {"after": after}),
            *(Condition(text, {name: value}) for name, value, text in named if value),
        ]
        return [LedgerRecord(*row) for row in self._listed(sql.RECORD_LISTING, where, limit)]

    def keep(self, checkpoint: SignedCheckpoint) -> None:
        """Add one; there is none of that number."""
        values = {"number": checkpoint.number, "at": checkpoint.at, "token": checkpoint.token}
        self._connection.run(sql.KEEP, values)

    def checkpoints(self, after: int, limit: int) -> list[SignedCheckpoint]:
        """At most `limit` behind the record of that number, oldest first."""
        where = [Condition(sql.CHECKPOINT_AFTER, {"after": after})]
        return [SignedCheckpoint(*row) for row in self._listed(sql.CHECKPOINT_LISTING, where, limit)]

    def checkpoint(self, until: int) -> SignedCheckpoint | None:
        """The newest of the records up to that number."""
        row = self._connection.row(sql.CHECKPOINT_BEFORE, {"until": until})
        return SignedCheckpoint(*row) if row else None

    def forget(self, before: int) -> int:
        """Drop the checkpoints of records before that number; how many."""
        return self._connection.run(sql.FORGET, {"before": before})

    def delete(self, until: int) -> int:
        """Drop the records up to that number; how many."""
        return self._connection.run(sql.DELETE, {"until": until})

    def _listed(self, statement: str, where: list[Condition], limit: int) -> list[Row]:
        values = {name: value for condition in where for name, value in condition.values.items()}
        return self._connection.rows(asking(statement, where), {"size": limit, **values})
