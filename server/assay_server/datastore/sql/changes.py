"""The change sequence: one counter row, taken in the transaction that changes the objects."""

from collections.abc import Sequence

from assay.clock import Clock
from assay.entry import Entry
from assay_server.datastore.base import Change, ChangeKind, Written
from assay_server.datastore.sql.connection import Connection, Values
from assay_server.datastore.sql.text import changes as sql
from assay_server.model import Node

KEPT_CHANGES = 100_000
"""How many changes stay readable; who is further behind needs a snapshot."""

_PRUNED_IN = 1000
"""One part in so many more than those may lie there before it is dropped."""


class SqlChanges:
    """Reads the sequence and, in the writer, extends it; rows wait for `flush`, so that a group's are one batch."""

    def __init__(self, connection: Connection, clock: Clock, *, keep: int) -> None:
        self._connection = connection
        self._clock = clock
        self._keep = keep
        self._waiting: list[Written] = []
        self._last = 0
        self._at = 0
        self._pruned_at = 0

    def begin(self, latest: int | None = None) -> None:
        """Call first in every transaction, with the latest sequence if that is known: nobody else writes."""
        self._waiting.clear()
        self._last = int(self._connection.rows(sql.LATEST)[0][0]) if latest is None else latest
        self._at = int(self._clock.now().timestamp())

    def append(self, kind: ChangeKind, object_id: str, value: Entry | Node | None = None, due: int = 0) -> int:
        """The sequence number of this change, which no other has; `value` as it will be read, None when it is gone."""
        self._last += 1
        self._waiting.append(Written(Change(self._last, kind, object_id), value, due))
        return self._last

    @property
    def next(self) -> int:
        """What the next `append` will return."""
        return self._last + 1

    def rewind(self, sequence: int) -> None:
        """Forget what was appended after that sequence and undone."""
        del self._waiting[len(self._waiting) - (self._last - sequence) :]
        self._last = sequence

    def flush(self) -> Sequence[Written]:
        """Write what was appended, drop what is too old; what was written."""
        written, self._waiting = self._waiting, []
        if written:
            self._connection.run_many(sql.INSERT, [self._values(each.change) for each in written])
            self._connection.run(sql.ADVANCE, {"latest": self._last})
            self._prune()
        return written

    def latest(self) -> int:
        """The highest sequence number this transaction sees, its own included; 0 before the first change."""
        return self._last

    def since(self, sequence: int, limit: int) -> list[Change] | None:
        """Changes after that sequence; None when some were pruned or it lies ahead of this database."""
        if not self._reaches_back_to(sequence):
            return None
        stored = self._connection.rows(sql.SINCE, {"after": sequence, "size": limit})
        found = [Change(seq, ChangeKind(kind), object_id) for seq, kind, object_id in stored]
        found += [each.change for each in self._waiting if each.change.sequence > sequence]
        return found[:limit]

    def _reaches_back_to(self, sequence: int) -> bool:
        if sequence >= self._last:
            return sequence == self._last
        oldest = self._connection.rows(sql.OLDEST)[0][0]
        return sequence >= (self._last - len(self._waiting) if oldest is None else oldest - 1)

    def _prune(self) -> None:
        # Not at every commit: it is one more statement for each.
        if self._last - self._pruned_at > self._keep // _PRUNED_IN:
            self._connection.run(sql.PRUNE, {"until": self._last - self._keep})
            self._pruned_at = self._last

    def _values(self, change: Change) -> Values:
        return {"seq": change.sequence, "kind": change.kind.value, "object_id": change.object_id, "at": self._at}
