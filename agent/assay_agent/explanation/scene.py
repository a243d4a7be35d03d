"""What is known when somebody asks why a workload has no identity."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum

from assay.entry import Entry
from assay.namespace import SERVER_PATH
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain


class Sight(Enum):
    """How much the agent can see of a process."""

    SEEN = "seen"
    GONE = "gone"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The process in question as attestation saw it.

    `failures` says, by the attestor's name, why it found nothing. `refused_at` (Unix seconds) is set for a caller that
    was refused, `pid` is 0 where a user was asked about.
    """

    pid: int = 0
    uid: int | None = None
    program: str = ""
    selectors: frozenset[Selector] = frozenset()
    failures: Mapping[str, str] = field(default_factory=dict[str, str])
    sight: Sight = Sight.SEEN
    refused_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """The agent's own side; `spiffe_id` is None before its node is attested.

    `attestors` has by name the selectors that each does not look for, and the setting that would have it look. `held`
    are the entries that the agent is authorized for, `signed` the IDs of those whose SVID it has.
    """

    spiffe_id: SpiffeId | None = None
    running: bool = True
    synced: bool = True
    attestors: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    held: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    signed: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Node:
    """An agent as the server has it; `expires_at` is its SVID's, in Unix seconds."""

    spiffe_id: SpiffeId
    selectors: frozenset[Selector] = frozenset()
    banned: bool = False
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class ServerView:
    """All entries, and all agents by ID."""

    entries: Sequence[Entry] = ()
    nodes: Mapping[SpiffeId, Node] = field(default_factory=dict[SpiffeId, Node])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything the decision looks at.

    `server` is None where it was not asked. `available` are the attestors that could be configured; `now` is in Unix
    seconds.
    """

    trust_domain: TrustDomain
    workload: Workload
    agent: AgentView
    server: ServerView | None = None
    available: AbstractSet[str] = frozenset({"unix"})
    now: float = 0.0

    @property
    def entries(self) -> Sequence[Entry]:
        """Every entry known, as the server has it where it was asked."""
        if self.server is None:
            return tuple(self.agent.held.values())
        return self.server.entries

    def parents(self) -> frozenset[SpiffeId]:
        """The IDs below which entries are the agent's: its own, its node aliases, and those of entries below them."""
        agent_id = self.agent.spiffe_id
        if self.server is None or agent_id is None:
            own = frozenset({agent_id} if agent_id else ())
            return own | {parent for one in self.agent.held.values() for parent in (one.parent_id, one.spiffe_id)}
        node = self.server.nodes.get(agent_id, Node(agent_id))
        return _reach({agent_id, *_aliases(self.server.entries, node)}, self.server.entries)


def _aliases(entries: Sequence[Entry], node: Node) -> set[SpiffeId]:
    return {
        one.spiffe_id
        for one in entries
        if one.parent_id.path == SERVER_PATH and one.selectors and node.selectors.issuperset(one.selectors)
    }


def _reach(known: set[SpiffeId], entries: Sequence[Entry]) -> frozenset[SpiffeId]:
    below: dict[SpiffeId, set[SpiffeId]] = {}
    for one in entries:
        below.setdefault(one.parent_id, set()).add(one.spiffe_id)
    waiting = list(known)
    while waiting:
        new = below.get(waiting.pop(), set()) - known
        known |= new
        waiting += new
    return frozenset(known)
