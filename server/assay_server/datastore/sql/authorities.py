"""The CA journal: a handful of rows, always read and written whole."""

from collections.abc import Sequence

from assay_server.datastore.sql.connection import Connection, Row, Values
from assay_server.datastore.sql.text import authorities as sql
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot


class SqlAuthorities:
    """Implements base.Authorities."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self) -> list[AuthorityRecord]:
        """The records in the order they were saved."""
        return [_record(row) for row in self._connection.rows(sql.LOAD)]

    def save(self, records: Sequence[AuthorityRecord]) -> None:
        """Replace the journal by these records."""
        self._connection.run(sql.CLEAR)
        self._connection.run_many(sql.INSERT, [_values(rank, record) for rank, record in enumerate(records)])


def _record(row: Row) -> AuthorityRecord:
    kind, slot, status, *rest = row
    return AuthorityRecord(AuthorityKind(kind), Slot(slot), AuthorityStatus(status), *rest)


def _values(rank: int, record: AuthorityRecord) -> Values:
    return {
        "rank": rank,
        "kind": record.kind.value,
        "slot": record.slot.value,
        "status": record.status.value,
        "key_id": record.key_id,
        "authority_id": record.authority_id,
        "issued_at": record.issued_at,
        "not_after": record.not_after,
        "document": record.document,
    }
