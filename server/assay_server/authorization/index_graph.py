"""The part of the entry table that the agents connected here can reach, in memory once for all of them.

A parent is a path: entries hang below the path of their parent ID and offer the path of their SPIFFE ID to others
as a parent in turn. An agent enters at its roots: its own path, and those of the node aliases that match it.
Everything is in the server's trust domain, so paths stand for SPIFFE IDs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from assay.entry import Entry
from assay.spiffeid import TrustDomain

Reach = frozenset[str]
"""The agents, by path, that get to some place."""

_NOBODY: Reach = frozenset()


class EntryGraph:
    """Entries by parent and by what they offer, and the roots of each agent."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, dict[str, Entry]] = {}
        self._offering: dict[str, set[str]] = {}
        self._roots: dict[str, set[str]] = {}
        self._federated: Counter[TrustDomain] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, entry_id: str) -> Entry | None:
        """The entry, if it is held."""
        return self._entries.get(entry_id)

    def holds_children_of(self, path: str) -> bool:
        """Whether every entry below that parent is held, because some agent may get there."""
        return path in self._roots or path in self._offering

    def federates_with(self, trust_domain: TrustDomain) -> bool:
        """Whether an entry that is held names that trust domain."""
        return trust_domain in self._federated

    def put(self, entry: Entry) -> None:
        """Add or replace."""
        self.remove(entry.id)
        self._entries[entry.id] = entry
        self._children.setdefault(entry.parent_id.path, {})[entry.id] = entry
        self._offering.setdefault(entry.spiffe_id.path, set()).add(entry.id)
        self._federated.update(entry.federates_with)

    def remove(self, entry_id: str) -> None:
        """Forget it, if it is held."""
        entry = self._entries.pop(entry_id, None)
        if entry is None:
            return
        siblings = self._children[entry.parent_id.path]
        del siblings[entry_id]
        if not siblings:
            del self._children[entry.parent_id.path]
        _discard(self._offering, entry.spiffe_id.path, entry_id)
        self._federated -= Counter(entry.federates_with)

    def add_root(self, path: str, agent: str) -> None:
        """Let the agent enter there."""
        self._roots.setdefault(path, set()).add(agent)

    def remove_root(self, path: str, agent: str) -> None:
        """Let it enter there no longer."""
        _discard(self._roots, path, agent)

    def reach(self, path: str) -> Reach:
        """The agents that get to the children of that parent."""
        found: set[str] = set()
        for above in self._upwards(path):
            found |= self._roots.get(above, _NOBODY)
        return Reach(found)

    def reaches(self, agent: str, entry: Entry) -> bool:
        """Whether that agent gets to that entry."""
        return any(agent in self._roots.get(path, _NOBODY) for path in self._upwards(entry.parent_id.path))

    def below(self, paths: Iterable[str]) -> Mapping[str, Entry]:
        """Every entry that is held below these parents, by ID."""
        found: dict[str, Entry] = {}
        waiting = list(paths)
        seen = set(waiting)
        while waiting:
            children = self._children.get(waiting.pop(), {})
            found.update(children)
            fresh = {entry.spiffe_id.path for entry in children.values()} - seen
            seen |= fresh
            waiting += fresh
        return found

    def _upwards(self, path: str) -> Iterator[str]:
        # Entries may form a ring, so no path is followed twice.
        seen = {path}
        waiting = [path]
        while waiting:
            here = waiting.pop()
            yield here
            for entry_id in self._offering.get(here, ()):
                above = self._entries[entry_id].parent_id.path
                if above not in seen:
                    seen.add(above)
                    waiting.append(above)


def _discard(table: dict[str, set[str]], key: str, value: str) -> None:
    values = table.get(key)
    if values is None:
        return
    values.discard(value)
    if not values:
        del table[key]
