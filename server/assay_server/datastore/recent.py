"""The newest changes in memory, with what the objects became: those who follow closely need not read the store."""

from collections.abc import Sequence

from assay_server.datastore.base import ChangeKind, Written

RECENT_CHANGES = 2048
"""How many are kept: more than one group of writes makes, since followers are told after each."""


class Recent:
    """The end of the change sequence, without a gap."""

    def __init__(self, sequence: int, limit: int = RECENT_CHANGES) -> None:
        self._last = sequence
        self._limit = limit
        self._changes: list[Written] = []
        self._newest: dict[tuple[ChangeKind, str], Written] = {}

    def add(self, written: Sequence[Written]) -> None:
        """Add what one group of writes committed."""
        if not written:
            return
        if written[0].change.sequence != self._last + 1:
            # A commit whose end was not known: begin anew behind it, so that nobody is told a sequence with a gap.
            self._changes.clear()
            self._newest.clear()
        self._last = written[-1].change.sequence
        self._changes += written
        for each in written:
            self._newest[each.change.kind, each.change.object_id] = each
        if len(self._changes) > self._limit:
            self._forget(len(self._changes) - self._limit)

    def since(self, sequence: int) -> Sequence[Written] | None:
        """What came after that sequence, oldest first; None when that is not all there any more."""
        count = self._last - sequence
        if not 0 <= count <= len(self._changes):
            return None
        return self._changes[len(self._changes) - count :]

    def find(self, kind: ChangeKind, object_id: str) -> Written | None:
        """The newest change of that object, if it is recent."""
        return self._newest.get((kind, object_id))

    def _forget(self, count: int) -> None:
        for each in self._changes[:count]:
            key = each.change.kind, each.change.object_id
            if self._newest[key] is each:
                del self._newest[key]
        del self._changes[:count]
