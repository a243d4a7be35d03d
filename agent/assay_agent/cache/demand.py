"""Which SVIDs somebody waits for or follows, so that the signer makes those first and keeps them."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet


class Demand:
    """Counts, by entry ID, the groups that want its SVID."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._asked = asyncio.Event()

    @property
    def wanted(self) -> AbstractSet[str]:
        """IDs with a count, live."""
        return self._counts.keys()

    def add(self, entry_ids: Iterable[str]) -> None:
        """One more group wants these."""
        for entry_id in entry_ids:
            self._counts[entry_id] += 1

    def remove(self, entry_ids: Iterable[str]) -> None:
        """One group no longer wants these."""
        for entry_id in entry_ids:
            self._counts[entry_id] -= 1
            if not self._counts[entry_id]:
                del self._counts[entry_id]

    def ask(self) -> None:
        """Something wanted is missing: wake the signer."""
        self._asked.set()

    async def wait(self) -> None:
        """Return when asked since the last return."""
        await self._asked.wait()
        self._asked.clear()
