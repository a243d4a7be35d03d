"""Events of governed identities, in the order in which they were committed."""

from assay_server.datastore.base import ChangeKind, Page
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.filters import Condition, newest_of, page_of
from assay_server.datastore.sql.governed import adapter
from assay_server.datastore.sql.text import events as sql
from assay_server.model.governed.event import Event


class SqlEvents:
    """Implements base.Events."""

    def __init__(self, connection: Connection, changes: SqlChanges) -> None:
        self._connection = connection
        self._changes = changes

    def append(self, event: Event) -> None:
        """Write it down."""
        position = self._changes.append(ChangeKind.GOVERNED, f"event/{event.type.value}")
        self._connection.run(
            sql.INSERT,
            {
                "position": position,
                "at": event.at,
                "type": event.type.value,
                "task_id": event.task_id,
                "principal": event.principal,
                "document": adapter(Event).dump_json(event).decode(),
            },
        )

    def find(self, page: Page, *, task_id: str = "", principal: str = "") -> tuple[list[Event], str]:
        """Oldest first, of one task or principal if that is said, and the token of the next page."""
        where = [
            Condition(text, {name: value})
            for name, value, text in (
                ("task_id", task_id, sql.OF_TASK),
                ("principal", principal, sql.OF_PRINCIPAL),
            )
            if value
        ]
        rows, token = page_of(self._connection, sql.LISTING, sql.AFTER, where, page)
        return [adapter(Event).validate_json(row[1]) for row in rows], token

    def latest(self, principal: str, limit: int) -> list[Event]:
        """The principal's last events, at most `limit`, oldest first."""
        where = [Condition(sql.OF_PRINCIPAL, {"principal": principal})]
        rows = newest_of(self._connection, sql.LATEST_LISTING, where, limit)
        return [adapter(Event).validate_json(row[1]) for row in reversed(rows)]
