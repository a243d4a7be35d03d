"""How many calls of one user of the host are under way at a time, on however many connections."""

import logging
from collections import Counter

# Of the standard library, as in `assay.transport.room`.
log = logging.getLogger("assay.rpc")


class Crowd:
    """Counts calls by user, open streams and those that wait for their turn among them; each may have `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: Counter[int] = Counter()
        self._told: set[int] = set()

    def __len__(self) -> int:
        return self._under_way.total()

    def enter(self, uid: int) -> bool:
        """One more, unless it is one too many."""
        if self._under_way[uid] >= self._most:
            self._tell(uid)
            return False
        self._under_way[uid] += 1
        return True

    def leave(self, uid: int) -> None:
        """One has ended."""
        self._under_way[uid] -= 1
        if self._under_way[uid] <= self._most // 2:
            self._told.discard(uid)
        if not self._under_way[uid]:
            del self._under_way[uid]

    def _tell(self, uid: int) -> None:
        if uid not in self._told:
            self._told.add(uid)
            log.warning("Too many calls at once", extra={"fields": {"uid": uid, "calls": self._under_way[uid]}})
