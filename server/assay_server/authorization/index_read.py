"""What the index has to read to get from its own sequence to the store's, in one consistent snapshot.

It only looks at the state, which nobody changes meanwhile: it may run in the store's thread.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from assay.bundle import Bundle
from assay.entry import Entry
from assay.namespace import server_id
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.authorization.index_alias import AliasTable, is_alias
from assay_server.authorization.index_source import Source
from assay_server.authorization.index_state import IndexState, Reading
from assay_server.datastore.base import ChangeKind
from assay_server.model import Node


@dataclass(slots=True)
class _Changes:
    entries: set[str] = field(default_factory=set[str])
    nodes: set[str] = field(default_factory=set[str])
    bundles: set[TrustDomain] = field(default_factory=set[TrustDomain])


def read(source: Source, state: IndexState, wanted: Collection[SpiffeId]) -> Reading:
    """All that changed and matters, and all that the wanted agents need."""
    changes = _Changes() if state.sequence < 0 else _changes_since(source, state.sequence)
    if changes is None:
        return _read_anew(source, state, wanted)
    rows = _rows(source, changes.entries)
    aliases = _read_aliases(source, state.trust_domain) if state.sequence < 0 else _changed_aliases(state, rows)
    nodes = _nodes(source, state, changes.nodes, wanted)
    roots = _roots(state, nodes, aliases)
    entries = _entries(source, state, rows, roots)
    return Reading(
        sequence=source.latest(),
        entries=entries,
        aliases=aliases,
        nodes=nodes,
        roots=roots,
        bundles=_bundles(source, state, changes.bundles, entries.values()),
    )


def _read_anew(source: Source, state: IndexState, wanted: Collection[SpiffeId]) -> Reading:
    # Too far behind: changes we would need were pruned. The same agents, as if they had just come.
    agents = [agent.agent_id for agent in state.agents.values()]
    found = read(source, IndexState(state.trust_domain), [*agents, *wanted])
    return replace(found, reset=True)


def _changes_since(source: Source, sequence: int) -> _Changes | None:
    changes = source.since(sequence)
    if changes is None:
        return None
    found = _Changes()
    for change in changes:
        match change.kind:
            case ChangeKind.ENTRY:
                found.entries.add(change.object_id)
            case ChangeKind.NODE:
                found.nodes.add(change.object_id)
            case ChangeKind.BUNDLE:
                found.bundles.add(TrustDomain(change.object_id))
            case ChangeKind.FEDERATION_RELATIONSHIP | ChangeKind.GOVERNED:
                pass  # nothing to agents; what follows from it changes bundles and entries
    return found


def _rows(source: Source, entry_ids: Collection[str]) -> dict[str, Entry | None]:
    rows: dict[str, Entry | None] = dict.fromkeys(entry_ids)
    if entry_ids:
        rows.update({entry.id: entry for entry in source.entries(entry_ids) if not entry.withheld})
    return rows


def _read_aliases(source: Source, trust_domain: TrustDomain) -> dict[str, Entry | None]:
    return {entry.id: entry for entry in source.children([server_id(trust_domain)]) if not entry.withheld}


def _changed_aliases(state: IndexState, rows: Mapping[str, Entry | None]) -> dict[str, Entry | None]:
    return {
        entry_id: entry if entry is not None and is_alias(entry) else None
        for entry_id, entry in rows.items()
        if entry_id in state.aliases or (entry is not None and is_alias(entry))
    }


def _nodes(
    source: Source, state: IndexState, changed: Collection[str], wanted: Collection[SpiffeId]
) -> dict[str, Node | None]:
    held = [agent_id for agent_id in map(SpiffeId.parse, changed) if agent_id.path in state.agents]
    return {agent_id.path: source.node(agent_id) for agent_id in (*held, *wanted)}


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
    source: Source, state: IndexState, rows: Mapping[str, Entry | None], roots: Mapping[str, frozenset[str]]
) -> dict[str, Entry | None]:
    held = state.graph.holds_children_of
    found = {
        entry_id: entry
        for entry_id, entry in rows.items()
        if state.graph.get(entry_id) is not None or (entry is not None and held(entry.parent_id.path))
    }
    parents = {path for paths in roots.values() for path in paths}
    parents.update(entry.spiffe_id.path for entry in found.values() if entry is not None)
    for entry in _children(source, state, parents):
        found[entry.id] = entry
    return found


def _children(source: Source, state: IndexState, parents: Iterable[str]) -> Iterator[Entry]:
    """Everything below these parents that is not held yet."""
    seen: set[str] = set()
    waiting = {path for path in parents if not state.graph.holds_children_of(path)}
    while waiting:
        seen |= waiting
        found = source.children([SpiffeId(state.trust_domain, path) for path in waiting])
        children = [entry for entry in found if not entry.withheld]
        yield from children
        offered = {entry.spiffe_id.path for entry in children} - seen
        waiting = {path for path in offered if not state.graph.holds_children_of(path)}


def _bundles(
    source: Source, state: IndexState, changed: Collection[TrustDomain], entries: Iterable[Entry | None]
) -> dict[TrustDomain, Bundle | None]:
    named = {trust_domain for entry in entries if entry is not None for trust_domain in entry.federates_with}
    named.add(state.trust_domain)
    wanted = {each for each in named if each not in state.bundles}
    wanted |= {each for each in changed if each in named or state.graph.federates_with(each)}
    bundles: dict[TrustDomain, Bundle | None] = dict.fromkeys(wanted)
    if wanted:
        bundles.update({bundle.trust_domain: bundle for bundle in source.bundles(wanted)})
    return bundles
