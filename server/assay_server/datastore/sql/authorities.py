"""The CA journal: a handful of rows, always read and written whole."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select

from assay_server.datastore.sql.connection import Connection, Row, Values
from assay_server.datastore.sql.schema import authorities
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

_LOAD = select(*authorities.c[1:]).order_by(authorities.c.rank)
_CLEAR = delete(authorities)
_INSERT = insert(authorities)


class SqlAuthorities:
    """Implements base.Authorities."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self) -> list[AuthorityRecord]:
        """The records in the order they were saved."""
        return [_record(row) for row in self._connection.rows(_LOAD)]

    def save(self, records: Sequence[AuthorityRecord]) -> None:
        """Replace the journal by these records."""
        self._connection.run(_CLEAR)
        self._connection.run_many(_INSERT, [_values(rank, record) for rank, record in enumerate(records)])


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
