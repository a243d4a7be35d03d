"""Finding the entries whose selectors a workload has, without looking at all of them.

An entry matches when every one of its selectors is among the workload's, so it is enough to file it under one of
them: the one with the fewest entries when it came, which keeps a selector that all have (a user, a namespace) from
gathering them all.
"""

from collections.abc import Set as AbstractSet

from assay.entry import Entry
from assay.selector import Selector


class EntryIndex:
    """Entries by one selector each. An entry without selectors matches nobody."""

    def __init__(self) -> None:
        self._filed: dict[Selector, dict[str, Entry]] = {}
        self._under: dict[str, Selector] = {}

    def __len__(self) -> int:
        return len(self._under)

    def put(self, entry: Entry) -> None:
        """Add the entry, or put it in place of the one with its ID."""
        self.discard(entry.id)
        if entry.selectors:
            selector = min(entry.selectors, key=self._load)
            self._filed.setdefault(selector, {})[entry.id] = entry
            self._under[entry.id] = selector

    def discard(self, entry_id: str) -> None:
        """Forget the entry, if it is here."""
        selector = self._under.pop(entry_id, None)
        if selector is None:
            return
        filed = self._filed[selector]
        del filed[entry_id]
        if not filed:
            del self._filed[selector]

    def match(self, selectors: AbstractSet[Selector]) -> list[Entry]:
        """Entries all of whose selectors are among these, by ID."""
        found = [
            entry
            for selector in selectors
            for entry in self._filed.get(selector, {}).values()
            if len(entry.selectors) == 1 or selectors >= frozenset(entry.selectors)
        ]
        return sorted(found, key=lambda entry: entry.id)

    def _load(self, selector: Selector) -> int:
        return len(self._filed.get(selector, ()))
