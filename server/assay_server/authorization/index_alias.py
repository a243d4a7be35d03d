"""Node aliases: entries with the server as parent, whose selectors pick the nodes that get what is below them."""

from collections.abc import Collection, Iterable

from assay.entry import Entry
from assay.namespace import SERVER_PATH
from assay.selector import Selector
from assay.spiffeid import SpiffeId


def is_alias(entry: Entry) -> bool:
    """Whether the entry is a node alias."""
    return entry.parent_id.path == SERVER_PATH


def matches(alias: Entry, selectors: frozenset[Selector]) -> bool:
    """Whether a node with these selectors has all of the alias's."""
    return selectors.issuperset(alias.selectors)


class AliasTable:
    """All node aliases, found by a selector that a node must have to match."""

    def __init__(self, aliases: Iterable[Entry] = ()) -> None:
        self._aliases: dict[str, Entry] = {}
        self._by_selector: dict[Selector, dict[str, Entry]] = {}
        for alias in aliases:
            self.put(alias)

    def __len__(self) -> int:
        return len(self._aliases)

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._aliases

    def put(self, alias: Entry) -> None:
        """Add or replace."""
        self.remove(alias.id)
        self._aliases[alias.id] = alias
        self._by_selector.setdefault(alias.selectors[0], {})[alias.id] = alias

    def remove(self, entry_id: str) -> None:
        """Forget it, if there is one."""
        alias = self._aliases.pop(entry_id, None)
        if alias is None:
            return
        group = self._by_selector[alias.selectors[0]]
        del group[entry_id]
        if not group:
            del self._by_selector[alias.selectors[0]]

    def matching(self, selectors: frozenset[Selector], without: Collection[str] = ()) -> list[SpiffeId]:
        """What the aliases of a node with these selectors offer, those with these entry IDs left out."""
        return [
            alias.spiffe_id
            for selector in selectors
            for alias in self._by_selector.get(selector, {}).values()
            if alias.id not in without and matches(alias, selectors)
        ]
