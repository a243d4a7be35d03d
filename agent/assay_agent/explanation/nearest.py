"""What keeps an entry from a workload, and which entries come nearest."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import commonprefix

from assay.entry import Entry
from assay.namespace import AGENT_PREFIX, SERVER_PATH
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay_agent.explanation.finding import Cause, Fault
from assay_agent.explanation.scene import Scene

# An entry with more faults than these is about something else.
MOST_FAULTS = 3
# The selectors of an entry that gives an agent a further ID.
_OF_AGENTS = "spiffe_id"
_ORDER = {cause: number for number, cause in enumerate(Cause)}
_ABOUT_SELECTORS = frozenset({Cause.WITHHELD, Cause.NO_ATTESTOR, Cause.ATTESTOR_FAILED, Cause.OTHER_VALUE})


@dataclass(frozen=True, slots=True)
class Near:
    """An entry with its faults; `shared` is how many of its selectors the workload has."""

    entry: Entry
    faults: tuple[Fault, ...]
    shared: int

    @property
    def rank(self) -> tuple[int, int, int, int, str]:
        """Sorts the nearest first."""
        alike = sum(map(_alike, self.faults))
        return len(self.faults), -self.shared, _ORDER[self.faults[0].cause], -alike, self.entry.id


def nearest(scene: Scene) -> list[Near]:
    """The entries that come near, the nearest first; an entry of which nothing is wrong is not among them."""
    parents = scene.parents()
    found = (_judge(entry, scene, parents) for entry in scene.entries if _for_workloads(entry, scene))
    return sorted((one for one in found if one.faults and _comes_near(one)), key=lambda one: one.rank)


def kind_of(selector: Selector) -> str:
    """The part of the value that says what it is a value of: `uid` of `unix:uid:1000`."""
    return selector.value.partition(":")[0]


def has_expired(entry: Entry, now: float) -> bool:
    """Whether the server gives it to nobody any more."""
    return 0 < entry.expires_at <= now


def _judge(entry: Entry, scene: Scene, parents: frozenset[SpiffeId]) -> Near:
    missing = [one for one in entry.selectors if one not in scene.workload.selectors]
    faults = [*_of_entry(entry, scene, parents), *(_of_selector(one, scene) for one in missing)]
    if not faults and scene.server is not None and scene.agent.held.get(entry.id) != entry:
        faults = [Fault(Cause.NOT_SYNCED, "it fits; the agent has not heard of it, or of its last change, yet")]
    faults.sort(key=lambda one: _ORDER[one.cause])
    return Near(entry, tuple(faults), len(entry.selectors) - len(missing))


def _for_workloads(entry: Entry, scene: Scene) -> bool:
    """Node aliases and entries for stores are not, unless their selectors are a workload's: a frequent slip."""
    if all(one.type == _OF_AGENTS for one in entry.selectors):
        return False
    others = entry.parent_id.path == SERVER_PATH or entry.store_svid
    return not others or any(one.type in scene.agent.attestors for one in entry.selectors)


def _comes_near(near: Near) -> bool:
    explained = all(one.cause in _ABOUT_SELECTORS for one in near.faults if one.selector is not None)
    return len(near.faults) <= MOST_FAULTS and (near.shared > 0 or explained)


def _of_entry(entry: Entry, scene: Scene, parents: frozenset[SpiffeId]) -> Iterator[Fault]:
    if has_expired(entry, scene.now):
        when = datetime.fromtimestamp(entry.expires_at, UTC)
        yield Fault(Cause.EXPIRED, f"it expired at {when:%Y-%m-%d %H:%M:%S} UTC")
    if entry.store_svid:
        yield Fault(Cause.STORED, "its SVID goes to a store (store_svid) and to no workload")
    if entry.parent_id in parents:
        return
    node = scene.server.nodes.get(entry.parent_id) if scene.server else None
    if node is not None and node.banned:
        yield Fault(Cause.BANNED, f"its parent, the agent {entry.parent_id}, is banned")
    elif scene.agent.spiffe_id is not None:
        text = f"its parent is {_described(entry.parent_id, scene)}; this agent is {scene.agent.spiffe_id}"
        yield Fault(Cause.WRONG_PARENT, text)


def _described(parent: SpiffeId, scene: Scene) -> str:
    if parent.path == SERVER_PATH:
        return f"the server ({parent}), as of entries for nodes"
    if scene.server is not None and parent not in scene.server.nodes and parent.path.startswith(AGENT_PREFIX):
        return f"{parent}, which no attested agent has"
    return str(parent)


def _of_selector(selector: Selector, scene: Scene) -> Fault:
    kind, workload = kind_of(selector), scene.workload
    asked = f"it asks for {selector}"
    if selector.type not in scene.agent.attestors:
        return Fault(Cause.NO_ATTESTOR, f"{asked}, and this agent has no {selector.type} attestor", selector)
    if selector.type in workload.failures:
        text = f"{asked}, and the {selector.type} attestor failed: {workload.failures[selector.type]}"
        return Fault(Cause.ATTESTOR_FAILED, text, selector)
    setting = scene.agent.attestors[selector.type].get(kind)
    if setting is not None:
        text = f"{asked}, which the {selector.type} attestor looks for only with {setting}{_program(selector, scene)}"
        return Fault(Cause.WITHHELD, text, selector)
    instead = tuple(sorted(one for one in workload.selectors if _same_kind(one, selector)))
    if instead:
        text = f"{asked}; the workload has {', '.join(map(str, instead))}"
        return Fault(Cause.OTHER_VALUE, text, selector, instead)
    return Fault(Cause.MISSING, f"{asked}, which the workload does not have", selector)


def _program(selector: Selector, scene: Scene) -> str:
    """What the program is, where that is known and the entry asks for another."""
    program = scene.workload.program
    other = kind_of(selector) == "path" and program.startswith("/") and selector.value != f"path:{program}"
    return f"; its program is {program}" if other else ""


def _same_kind(one: Selector, other: Selector) -> bool:
    return one.type == other.type and kind_of(one) == kind_of(other)


def _alike(fault: Fault) -> int:
    """How many characters the value that is asked for shares with the one that is there."""
    if fault.selector is None or not fault.instead:
        return 0
    return len(commonprefix([fault.selector.value, fault.instead[0].value]))  # noqa: RUF071 - of words, not of paths
