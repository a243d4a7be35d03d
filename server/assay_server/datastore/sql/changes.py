"""The change sequence: one counter row, taken in the transaction that changes the objects."""

from sqlalchemy import bindparam, delete, func, insert, select, update

from assay.clock import Clock
from assay_server.datastore.base import Change, ChangeKind
from assay_server.datastore.sql.connection import Connection, Values
from assay_server.datastore.sql.schema import changes, counter

KEPT_CHANGES = 100_000
"""How many changes stay readable; who is further behind needs a snapshot."""

_LATEST = select(counter.c.value)
_ADVANCE = update(counter).values(value=bindparam("latest"))
_INSERT = insert(changes)
_OLDEST = select(func.min(changes.c.seq))
_SINCE = (
    select(changes.c.seq, changes.c.kind, changes.c.object_id)
    .where(changes.c.seq > bindparam("after"))
    .order_by(changes.c.seq)
    .limit(bindparam("size"))
)
_PRUNE = delete(changes).where(changes.c.seq <= bindparam("until"))


class SqlChanges:
    """Reads the sequence and, in the writer, extends it; rows wait for `flush` so that a batch is one statement."""

    def __init__(self, connection: Connection, clock: Clock, *, keep: int = KEPT_CHANGES) -> None:
        self._connection = connection
        self._clock = clock
        self._keep = keep
        self._waiting: list[Values] = []
        self._last = 0
        self._at = 0

    def begin(self) -> None:
        """Call before every function of a write transaction."""
        self._last = self._stored()
        self._at = int(self._clock.now().timestamp())

    def append(self, kind: ChangeKind, object_id: str) -> int:
        """The sequence number of this change, which no other has."""
        self._last += 1
        self._waiting.append({"seq": self._last, "kind": kind.value, "object_id": object_id, "at": self._at})
        return self._last

    def flush(self) -> None:
        """Write what was appended."""
        if self._waiting:
            self._connection.run_many(_INSERT, self._waiting)
            self._connection.run(_ADVANCE, {"latest": self._last})
            self._connection.run(_PRUNE, {"until": self._last - self._keep})
            self._waiting.clear()

    def discard(self) -> None:
        """Forget what was appended and undone."""
        self._waiting.clear()

    def latest(self) -> int:
        """The highest sequence number this transaction sees, its own included; 0 before the first change."""
        self.flush()
        return self._stored()

    def since(self, sequence: int, limit: int) -> list[Change] | None:
        """Changes after that sequence; None when some were pruned or it lies ahead of this database."""
        latest = self.latest()
        if sequence == latest:
            return []
        oldest = self._oldest()
        if sequence > latest or oldest is None or sequence < oldest - 1:
            return None
        rows = self._connection.rows(_SINCE, {"after": sequence, "size": limit})
        return [Change(seq, ChangeKind(kind), object_id) for seq, kind, object_id in rows]

    def _stored(self) -> int:
        row = self._connection.row(_LATEST)
        return int(row[0]) if row else 0

    def _oldest(self) -> int | None:
        row = self._connection.row(_OLDEST)
        return row[0] if row else None
