"""What one agent is authorized for, and the updates that keep its copy true."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import SpiffeId, TrustDomain
from assay.waiting import first_of
from assay_server.authorization.index_state import AgentRecord, IndexState, Touched
from assay_server.model import Node

MAX_PENDING = 5000
"""How many entries may wait for a slow follower one by one; beyond that it gets a snapshot."""

LOG_LENGTH = 256
"""How many changes of a view are remembered for followers that come back."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the change sequence of one incarnation of the store."""

    incarnation: str
    sequence: int


@dataclass(frozen=True, slots=True)
class ViewUpdate:
    """What brings a follower's copy to `position`. A snapshot names all there is; what it does not name is gone.

    `bundle` is that of the agent's own trust domain, when it changed.
    """

    position: Position
    snapshot: bool = False
    entries: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()
    bundle: Bundle | None = None
    federated: tuple[Bundle, ...] = ()
    removed_federated: tuple[TrustDomain, ...] = ()


@dataclass(slots=True)
class Pending:
    """What a follower has to be told: names only, so that many changes of one object are one."""

    entries: set[str] = field(default_factory=set[str])
    trust_domains: set[TrustDomain] = field(default_factory=set[TrustDomain])
    everything: bool = False

    def add(self, entries: Collection[str], trust_domains: Collection[TrustDomain]) -> None:
        """Add these names."""
        if self.everything:
            return
        self.entries.update(entries)
        self.trust_domains.update(trust_domains)
        if len(self.entries) > MAX_PENDING:
            self.start_over()

    def start_over(self) -> None:
        """Tell it everything."""
        self.everything = True
        self.entries.clear()
        self.trust_domains.clear()


Alarm = Callable[[], Coroutine[None, None, None]]
"""Waits until the consumer wants to look again though nothing has changed."""


class _Follower:
    """Collects what changed between two updates of one stream."""

    def __init__(self) -> None:
        self._pending = Pending()
        self._woken = asyncio.Event()

    def touch(self, touched: Touched) -> None:
        self._pending.add(touched.entries, touched.trust_domains)
        self._woken.set()

    def start_over(self) -> None:
        self._pending.start_over()
        self._woken.set()

    def take(self) -> Pending:
        pending, self._pending = self._pending, Pending()
        self._woken.clear()
        return pending

    async def wait_touched(self, alarm: Alarm | None) -> None:
        """Return when something changed or the alarm went off."""
        if alarm is None:
            await self._woken.wait()
            return
        await first_of(self._woken.wait(), alarm())


@dataclass(frozen=True, slots=True)
class _LogLine:
    sequence: int
    entries: frozenset[str]
    trust_domains: frozenset[TrustDomain]


Missed = Callable[[SpiffeId, int], Awaitable[Pending]]
"""What an agent may have missed since a sequence, as far as the store can tell."""


class AgentView:
    """One agent's entries and bundles as of `sequence`. The entries are shared with all other views."""

    def __init__(self, state: IndexState, agent: AgentRecord, incarnation: str, missed: Missed, used_at: float) -> None:
        self._state = state
        self._agent = agent
        self._incarnation = incarnation
        self._missed = missed
        self._followers: set[_Follower] = set()
        self._log: deque[_LogLine] = deque()
        self._log_begins = state.sequence
        self.used_at = used_at  # seconds of Clock.monotonic
        self.edition = 0  # another whenever the entries may be others

    @property
    def sequence(self) -> int:
        """How far in the change sequence it is."""
        return self._state.sequence

    @property
    def position(self) -> Position:
        """Where it is."""
        return Position(self._incarnation, self._state.sequence)

    @property
    def node(self) -> Node | None:
        """The agent's row; None when it is not attested (any more)."""
        return self._agent.node

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The authorized entries by ID, gathered anew at each call."""
        return self._state.graph.below(self._agent.roots)

    @property
    def plain(self) -> Mapping[str, Entry]:
        """The same without those that name instances, which SPIRE's protocol has no words for."""
        return {entry_id: entry for entry_id, entry in self.entries.items() if not entry.instance_from}

    @property
    def bundle(self) -> Bundle | None:
        """Our own trust domain's bundle; None before the first authority is published."""
        return self._state.bundles.get(self._state.trust_domain)

    @property
    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """Our own bundle and those of the trust domains that authorized entries federate with."""
        names = {self._state.trust_domain, *self._agent.federated}
        return {name: self._state.bundles[name] for name in names if name in self._state.bundles}

    @property
    def followed(self) -> bool:
        """Whether anybody follows it."""
        return bool(self._followers)

    def get(self, entry_id: str) -> Entry | None:
        """The entry, if the agent is authorized for it."""
        entry = self._state.graph.get(entry_id)
        if entry is not None and self._state.graph.reaches(self._agent.agent_id.path, entry):
            return entry
        return None

    async def follow(
        self, position: Position | None = None, *, alarm: Alarm | None = None
    ) -> AsyncGenerator[ViewUpdate, None]:
        """Yield what is lacking since `position` at once, even if nothing, then an update after every change.

        A change of the node's row alone yields an empty update, and so does an `alarm` that returns. Changes that
        come while the consumer is busy are joined into one update.
        """
        follower = _Follower()
        self._followers.add(follower)
        try:
            lacking = await self._lacking(position)
            later = follower.take()
            if later.everything:
                lacking.start_over()
            lacking.add(later.entries, later.trust_domains)
            yield self._update(lacking)
            while True:
                await follower.wait_touched(alarm)
                yield self._update(follower.take())
        finally:
            self._followers.discard(follower)

    def touch(self, touched: Touched) -> None:
        """Tell the followers."""
        if touched.entries:
            self.edition += 1
        if touched.entries or touched.trust_domains:
            self._remember(touched)
        for follower in self._followers:
            follower.touch(touched)

    def start_over(self) -> None:
        """Have the followers begin anew: what changed is not known in detail."""
        self.edition += 1
        self._log.clear()
        self._log_begins = self._state.sequence
        for follower in self._followers:
            follower.start_over()

    def _remember(self, touched: Touched) -> None:
        self._log.append(_LogLine(self._state.sequence, frozenset(touched.entries), frozenset(touched.trust_domains)))
        if len(self._log) > LOG_LENGTH:
            self._log_begins = self._log.popleft().sequence

    async def _lacking(self, position: Position | None) -> Pending:
        if position is None or position.incarnation != self._incarnation or position.sequence > self.sequence:
            return Pending(everything=True)
        if position.sequence < self._log_begins:
            return await self._missed(self._agent.agent_id, position.sequence)
        pending = Pending()
        for line in self._log:
            if line.sequence > position.sequence:
                pending.add(line.entries, line.trust_domains)
        return pending

    def _update(self, pending: Pending) -> ViewUpdate:
        if pending.everything:
            return self._snapshot()
        bundles = self.bundles
        entries = {entry_id: self.get(entry_id) for entry_id in pending.entries}
        foreign = pending.trust_domains - {self._state.trust_domain}
        return ViewUpdate(
            position=self.position,
            entries=tuple(entry for entry in entries.values() if entry is not None),
            removed=tuple(entry_id for entry_id, entry in entries.items() if entry is None),
            bundle=self.bundle if self._state.trust_domain in pending.trust_domains else None,
            federated=tuple(bundles[name] for name in foreign if name in bundles),
            removed_federated=tuple(name for name in foreign if name not in bundles),
        )

    def _snapshot(self) -> ViewUpdate:
        own = self._state.trust_domain
        return ViewUpdate(
            position=self.position,
            snapshot=True,
            entries=tuple(self.entries.values()),
            bundle=self.bundle,
            federated=tuple(bundle for name, bundle in self.bundles.items() if name != own),
        )
