"""What the index holds, and how it takes in what was read: pure, and the only place where it changes.

Taking in compares, for every entry whose place may have moved, the agents that reached it before and after; from
that follows what each agent has to be told, and what no one needs any longer.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.authorization.index_alias import AliasTable
from assay_server.authorization.index_graph import EntryGraph, Reach
from assay_server.model import Node


@dataclass(slots=True)
class AgentRecord:
    """One agent: its node row, where it enters the graph, and how many of its entries name each trust domain."""

    agent_id: SpiffeId
    node: Node | None = None
    roots: frozenset[str] = frozenset()
    federated: Counter[TrustDomain] = field(default_factory=Counter[TrustDomain])


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read transaction found, as of `sequence`; None stands for what is gone.

    `nodes` and `roots` go by the agent's path; agents in `nodes` that were not held are new. After a `reset`
    nothing that was held counts.
    """

    sequence: int
    entries: Mapping[str, Entry | None]
    aliases: Mapping[str, Entry | None]
    nodes: Mapping[str, Node | None]
    roots: Mapping[str, frozenset[str]]
    bundles: Mapping[TrustDomain, Bundle | None]
    reset: bool = False


@dataclass(slots=True)
class Touched:
    """What changed for one agent: entry IDs and trust domains to look at again, and whether its node row did."""

    entries: set[str] = field(default_factory=set[str])
    trust_domains: set[TrustDomain] = field(default_factory=set[TrustDomain])
    node: bool = False


@dataclass(frozen=True, slots=True)
class IndexSize:
    """How many entries, node aliases and agents the index holds."""

    entries: int
    aliases: int
    agents: int


@dataclass(frozen=True, slots=True)
class _Place:
    entry: Entry
    reach: Reach


_NOBODY: Reach = frozenset()


class IndexState:
    """The graph, the aliases, the agents and the bundles, all as of `sequence` (-1: nothing was read yet)."""

    def __init__(self, trust_domain: TrustDomain) -> None:
        self.trust_domain = trust_domain
        self.sequence = -1
        self.graph = EntryGraph()
        self.aliases = AliasTable()
        self.agents: dict[str, AgentRecord] = {}
        self.bundles: dict[TrustDomain, Bundle] = {}

    def take_in(self, reading: Reading, new: Iterable[SpiffeId] = ()) -> Mapping[str, Touched]:
        """Bring everything to the reading's sequence; what that means for each agent, by path."""
        if reading.reset:
            self._clear()
        touched: dict[str, Touched] = defaultdict(Touched)
        for agent_id in new:
            self.agents[agent_id.path] = AgentRecord(agent_id)
        for path, node in reading.nodes.items():
            self.agents[path].node = node
            touched[path].node = True
        for entry_id, alias in reading.aliases.items():
            self._put_alias(entry_id, alias)
        self._move(reading.entries, reading.roots, touched)
        self._take_in_bundles(reading.bundles, touched)
        self.sequence = reading.sequence
        return touched

    @property
    def size(self) -> IndexSize:
        """How much is held."""
        return IndexSize(len(self.graph), len(self.aliases), len(self.agents))

    def drop(self, paths: Collection[str]) -> None:
        """Forget these agents and the entries that they alone needed."""
        self._move({}, dict.fromkeys(paths, frozenset[str]()), defaultdict(Touched))
        for path in paths:
            del self.agents[path]
        self._drop_bundles()

    def _clear(self) -> None:
        self.graph, self.aliases = EntryGraph(), AliasTable()
        self.bundles.clear()
        for agent in self.agents.values():
            agent.roots = frozenset()
            agent.federated.clear()

    def _put_alias(self, entry_id: str, alias: Entry | None) -> None:
        if alias is None:
            self.aliases.remove(entry_id)
        else:
            self.aliases.put(alias)

    def _move(
        self,
        entries: Mapping[str, Entry | None],
        roots: Mapping[str, frozenset[str]],
        touched: dict[str, Touched],
    ) -> None:
        affected = self._affected(entries, roots)
        before = self._places(affected)
        for entry_id, entry in entries.items():
            if entry is None:
                self.graph.remove(entry_id)
            else:
                self.graph.put(entry)
        for path, new in roots.items():
            self._set_roots(path, new)
        after = self._places(affected)
        self._compare(affected, before, after, touched)
        for entry_id, place in after.items():
            if not place.reach:
                self.graph.remove(entry_id)

    def _affected(self, entries: Mapping[str, Entry | None], roots: Mapping[str, frozenset[str]]) -> set[str]:
        # Besides the entries that were read: whatever hangs below a place that entries or agents left or came to.
        moved: set[str] = set()
        for entry_id, new in entries.items():
            moved |= _moved(self.graph.get(entry_id), new)
        for path, new_roots in roots.items():
            moved |= self.agents[path].roots ^ new_roots
        return set(entries) | set(self.graph.below(moved))

    def _places(self, entry_ids: Iterable[str]) -> dict[str, _Place]:
        reach: dict[str, Reach] = {}
        places: dict[str, _Place] = {}
        for entry_id in entry_ids:
            if (entry := self.graph.get(entry_id)) is not None:
                path = entry.parent_id.path
                if path not in reach:
                    reach[path] = self.graph.reach(path)
                places[entry_id] = _Place(entry, reach[path])
        return places

    def _set_roots(self, path: str, roots: frozenset[str]) -> None:
        agent = self.agents[path]
        for gone in agent.roots - roots:
            self.graph.remove_root(gone, path)
        for new in roots - agent.roots:
            self.graph.add_root(new, path)
        agent.roots = roots

    def _compare(
        self,
        entry_ids: Iterable[str],
        before: Mapping[str, _Place],
        after: Mapping[str, _Place],
        touched: dict[str, Touched],
    ) -> None:
        # Siblings share their reach, so each pair is compared once.
        differences: dict[tuple[Reach, Reach], tuple[Reach, Reach]] = {}
        for entry_id in entry_ids:
            old, new = before.get(entry_id), after.get(entry_id)
            pair = (old.reach if old else _NOBODY, new.reach if new else _NOBODY)
            if pair not in differences:
                differences[pair] = (pair[0] - pair[1], pair[1] - pair[0])
            lost, gained = differences[pair]
            if old and new and old.entry is not new.entry:
                lost, gained = pair
            for path in lost:
                self._leave(path, old.entry if old else None, touched[path])
            for path in gained:
                self._arrive(path, new.entry if new else None, touched[path])

    def _leave(self, path: str, entry: Entry | None, touched: Touched) -> None:
        if entry is None:
            return
        touched.entries.add(entry.id)
        federated = self.agents[path].federated
        for trust_domain in entry.federates_with:
            federated[trust_domain] -= 1
            if not federated[trust_domain]:
                del federated[trust_domain]
                touched.trust_domains.add(trust_domain)

    def _arrive(self, path: str, entry: Entry | None, touched: Touched) -> None:
        if entry is None:
            return
        touched.entries.add(entry.id)
        federated = self.agents[path].federated
        for trust_domain in entry.federates_with:
            if not federated[trust_domain]:
                touched.trust_domains.add(trust_domain)
            federated[trust_domain] += 1

    def _take_in_bundles(self, bundles: Mapping[TrustDomain, Bundle | None], touched: dict[str, Touched]) -> None:
        for trust_domain, bundle in bundles.items():
            if bundle == self.bundles.get(trust_domain):
                continue
            if bundle is None:
                self.bundles.pop(trust_domain, None)
            else:
                self.bundles[trust_domain] = bundle
            for path, agent in self.agents.items():
                if trust_domain == self.trust_domain or trust_domain in agent.federated:
                    touched[path].trust_domains.add(trust_domain)
        self._drop_bundles()

    def _drop_bundles(self) -> None:
        for trust_domain in list(self.bundles):
            if trust_domain != self.trust_domain and not self.graph.federates_with(trust_domain):
                del self.bundles[trust_domain]


def _moved(old: Entry | None, new: Entry | None) -> set[str]:
    """The places below which something may be reached by others than before."""
    if old and new and old.parent_id == new.parent_id and old.spiffe_id == new.spiffe_id:
        return set()
    return {entry.spiffe_id.path for entry in (old, new) if entry}
