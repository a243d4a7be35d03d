"""Events of governed identities, in the order in which they were committed: each a record of the ledger's chain."""

from assay.errors import InvalidArgumentError
from assay.ledger.record import NOTHING, canonical, hash_of
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
        """Write it down as the next record of the chain.

        Raises:
            InvalidArgumentError: it says something that not all JSON can say.
        """
        # The table says what comes before, and not memory: what is rolled back was never there.
        row = self._connection.row(sql.HEAD)
        number, previous = (row[0] + 1, row[1]) if row else (1, NOTHING)
        body = _body(event, number, previous)
        self._connection.run(
            sql.INSERT,
            {
                "position": self._changes.append(ChangeKind.GOVERNED, f"event/{event.type.value}"),
                "at": event.at,
                "type": event.type.value,
                "task_id": event.task_id,
                "principal": event.principal,
                "document": body.decode(),
                "number": number,
                "hash": hash_of(body),
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


def _body(event: Event, number: int, previous: str) -> bytes:
    record = {
        "number": number,
        "previous": previous,
        "at": event.at,
        "type": event.type.value,
        "actor": event.actor,
        "subject": event.subject,
        "task_id": event.task_id,
        "principal": event.principal,
        "actor_type": event.actor_type,
        "details": event.details,
    }
    try:
        return canonical(record)
    except ValueError as error:
        raise InvalidArgumentError(f"an event cannot be written down: {error}") from None
