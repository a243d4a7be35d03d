"""What the index has to read to get from its own sequence to the store's, in one consistent snapshot.

Runs in the store's thread. It only looks at the state, which nobody changes meanwhile.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from assay.bundle import Bundle
from assay.entry import Entry
from assay.namespace import server_id
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.authorization.index_alias import AliasTable, is_alias
from assay_server.authorization.index_state import IndexState, Reading
from assay_server.datastore.base import ChangeKind, Transaction
from assay_server.model import Node

_CHANGES_AT_ONCE = 5000


@dataclass(slots=True)
class _Changes:
    entries: set[str] = field(default_factory=set[str])
    nodes: set[str] = field(default_factory=set[str])
    bundles: set[TrustDomain] = field(default_factory=set[TrustDomain])


def read(tx: Transaction, state: IndexState, wanted: Collection[SpiffeId]) -> Reading:
    """All that changed and matters, and all that the wanted agents need."""
    changes = _Changes() if state.sequence < 0 else _changes_since(tx, state.sequence)
    if changes is None:
        return _read_anew(tx, state, wanted)
    rows = _rows(tx, changes.entries)
    aliases = _read_aliases(tx, state.trust_domain) if state.sequence < 0 else _changed_aliases(state, rows)
    nodes = _nodes(tx, state, changes.nodes, wanted)
    roots = _roots(state, nodes, aliases)
    entries = _entries(tx, state, rows, roots)
    return Reading(
        sequence=tx.changes.latest(),
        entries=entries,
        aliases=aliases,
        nodes=nodes,
        roots=roots,
        bundles=_bundles(tx, state, changes.bundles, entries.values()),
    )


def _read_anew(tx: Transaction, state: IndexState, wanted: Collection[SpiffeId]) -> Reading:
    # Too far behind: changes we would need were pruned. The same agents, as if they had just come.
    agents = [agent.agent_id for agent in state.agents.values()]
    found = read(tx, IndexState(state.trust_domain), [*agents, *wanted])
    return replace(found, reset=True)


def _changes_since(tx: Transaction, sequence: int) -> _Changes | None:
    found = _Changes()
    while True:
        changes = tx.changes.since(sequence, _CHANGES_AT_ONCE)
        if changes is None:
            return None
        for change in changes:
            match change.kind:
                case ChangeKind.ENTRY:
                    found.entries.add(change.object_id)
                case ChangeKind.NODE:
                    found.nodes.add(change.object_id)
                case ChangeKind.BUNDLE:
                    found.bundles.add(TrustDomain(change.object_id))
        if len(changes) < _CHANGES_AT_ONCE:
            return found
        sequence = changes[-1].sequence


def _rows(tx: Transaction, entry_ids: Collection[str]) -> dict[str, Entry | None]:
    rows: dict[str, Entry | None] = dict.fromkeys(entry_ids)
    if entry_ids:
        rows.update({entry.id: entry for entry in tx.entries.get_many(entry_ids)})
    return rows


def _read_aliases(tx: Transaction, trust_domain: TrustDomain) -> dict[str, Entry | None]:
    return {entry.id: entry for entry in tx.entries.by_parents([server_id(trust_domain)])}


def _changed_aliases(state: IndexState, rows: Mapping[str, Entry | None]) -> dict[str, Entry | None]:
    return {
        entry_id: entry if entry is not None and is_alias(entry) else None
        for entry_id, entry in rows.items()
        if entry_id in state.aliases or (entry is not None and is_alias(entry))
    }


def _nodes(
    tx: Transaction, state: IndexState, changed: Collection[str], wanted: Collection[SpiffeId]
) -> dict[str, Node | None]:
    held = [agent_id for agent_id in map(SpiffeId.parse, changed) if agent_id.path in state.agents]
    return {agent_id.path: tx.nodes.get(agent_id) for agent_id in (*held, *wanted)}


def _roots(
    state: IndexState, nodes: Mapping[str, Node | None], aliases: Mapping[str, Entry | None]
) -> dict[str, frozenset[str]]:
    changed = AliasTable(alias for alias in aliases.values() if alias is not None)
    paths = {*nodes, *state.agents} if aliases else nodes
    roots: dict[str, frozenset[str]] = {}
    for path in paths:
        node = nodes[path] if path in nodes else state.agents[path].node
        selectors = frozenset(node.selectors if node else ())
        matching = [*state.aliases.matching(selectors, without=aliases), *changed.matching(selectors)]
        roots[path] = frozenset({path, *(spiffe_id.path for spiffe_id in matching)})
    return roots


def _entries(
    tx: Transaction, state: IndexState, rows: Mapping[str, Entry | None], roots: Mapping[str, frozenset[str]]
) -> dict[str, Entry | None]:
    held = state.graph.holds_children_of
    found = {
        entry_id: entry
        for entry_id, entry in rows.items()
        if state.graph.get(entry_id) is not None or (entry is not None and held(entry.parent_id.path))
    }
    parents = {path for paths in roots.values() for path in paths}
    parents.update(entry.spiffe_id.path for entry in found.values() if entry is not None)
    for entry in _children(tx, state, parents):
        found[entry.id] = entry
    return found


def _children(tx: Transaction, state: IndexState, parents: Iterable[str]) -> Iterator[Entry]:
    """Everything below these parents that is not held yet."""
    seen: set[str] = set()
    waiting = {path for path in parents if not state.graph.holds_children_of(path)}
    while waiting:
        seen |= waiting
        children = tx.entries.by_parents([SpiffeId(state.trust_domain, path) for path in waiting])
        yield from children
        offered = {entry.spiffe_id.path for entry in children} - seen
        waiting = {path for path in offered if not state.graph.holds_children_of(path)}


def _bundles(
    tx: Transaction, state: IndexState, changed: Collection[TrustDomain], entries: Iterable[Entry | None]
) -> dict[TrustDomain, Bundle | None]:
    named = {trust_domain for entry in entries if entry is not None for trust_domain in entry.federates_with}
    named.add(state.trust_domain)
    wanted = {each for each in named if each not in state.bundles}
    wanted |= {each for each in changed if each in named or state.graph.federates_with(each)}
    bundles: dict[TrustDomain, Bundle | None] = dict.fromkeys(wanted)
    if wanted:
        bundles.update({bundle.trust_domain: bundle for bundle in tx.bundles.get_many(wanted)})
    return bundles
