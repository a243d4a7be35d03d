"""What the agents connected here are authorized for, kept in memory (docs/architecture.md, State).

A view is made when an agent first asks, kept true by the change sequence, and dropped when nobody has asked for a
while. Memory and start-up time so follow the agents that are connected, not the table. Node aliases alone are all
held, since any of them may match the next node.
"""

import asyncio
from collections.abc import Collection, Sequence

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.metrics import OFF, Metrics, measured
from assay_server.authorization.index_read import read
from assay_server.authorization.index_source import NotInMemoryError, RecentSource, StoredSource
from assay_server.authorization.index_state import IndexSize, IndexState, Reading
from assay_server.authorization.view import AgentView, Pending
from assay_server.datastore.base import Change, ChangeKind, Store

IDLE_SECONDS = 300.0
SWEEP_SECONDS = 60.0
RETRY_SECONDS = 1.0

_CHANGES_TO_RESUME = 1000

log = structlog.get_logger(__name__)


class AuthorizedEntries:
    """The views of all agents that were asked for lately. An answer never lacks a write acknowledged before it."""

    def __init__(self, store: Store, trust_domain: TrustDomain, clock: Clock, metrics: Metrics = OFF) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._state = IndexState(trust_domain)
        self._views: dict[str, AgentView] = {}
        self._wanted: dict[str, SpiffeId] = {}
        # Only its holder changes the state; the store's thread reads it meanwhile.
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Follow the store and drop idle views until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_store())
            tasks.create_task(self._sweep())

    async def view(self, agent_id: SpiffeId) -> AgentView:
        """That agent's view, not behind any acknowledged write.

        Raises:
            UnavailableError: the store cannot be read.
        """
        path = agent_id.path
        if path in self._views:
            self._views[path].used_at = self._clock.monotonic()
        else:
            self._wanted[path] = agent_id
        await self._catch_up()
        return self._views[path]

    async def authorized(self, agent_id: SpiffeId, entry_id: str) -> Entry | None:
        """The entry, if that agent is authorized for it now."""
        return (await self.view(agent_id)).get(entry_id)

    @property
    def size(self) -> IndexSize:
        """How much is held now."""
        return self._state.size

    async def _follow_store(self) -> None:
        async for _ in self._store.watch():
            await self._catch_up_surely()

    async def _catch_up_surely(self) -> None:
        while True:
            try:
                return await self._catch_up()
            except AssayError as error:
                log.error("Failed to read what changed", error=str(error))  # noqa: TRY400 - a refusal, no fault
                await self._clock.sleep(RETRY_SECONDS)

    async def _catch_up(self) -> None:
        if self._is_current():
            return
        async with self._lock:
            # Whoever held the lock before us may have done our work as well.
            if not (self._is_current() or self._passes_over()):
                with measured(self._metrics, ("entry", "cache", "reload")):
                    await self._advance()

    def _is_current(self) -> bool:
        return not self._wanted and self._state.sequence >= self._store.sequence

    def _passes_over(self) -> bool:
        """Go on to the store's sequence if nothing since is anything to agents, as each token of a task is nothing."""
        written = None if self._wanted else self._store.recent(self._state.sequence)
        if not written or any(one.change.kind is not ChangeKind.GOVERNED for one in written):
            return False
        self._state.sequence = written[-1].change.sequence
        return True

    async def _advance(self) -> None:
        wanted = dict(self._wanted)
        reading = self._recall(wanted.values())
        if reading is None:
            reading = await self._store.read(lambda tx: read(StoredSource(tx), self._state, wanted.values()))
        touched = self._state.take_in(reading, wanted.values())
        for path in wanted:
            self._views[path] = self._made_view(path)
            self._wanted.pop(path, None)
        for path, what in touched.items():
            self._views[path].touch(what)
        if reading.reset:
            for view in self._views.values():
                view.start_over()

    def _recall(self, wanted: Collection[SpiffeId]) -> Reading | None:
        """What there is to take in, if the store's memory of its last writes is enough to know it."""
        try:
            return read(RecentSource(self._store), self._state, wanted)
        except NotInMemoryError:
            return None

    def _made_view(self, path: str) -> AgentView:
        agent = self._state.agents[path]
        return AgentView(self._state, agent, self._store.incarnation, self._missed, self._clock.monotonic())

    async def _missed(self, agent_id: SpiffeId, sequence: int) -> Pending:
        # The view is younger than the position. Which entries an agent had then is not known any more, so only
        # changes that cannot have moved an entry are told one by one.
        changes = await self._store.read(lambda tx: tx.changes.since(sequence, _CHANGES_TO_RESUME))
        if changes is None or len(changes) == _CHANGES_TO_RESUME or _may_move_entries(changes, agent_id):
            return Pending(everything=True)
        held = self._views[agent_id.path].bundles
        names = {TrustDomain(change.object_id) for change in changes if change.kind is ChangeKind.BUNDLE}
        return Pending(trust_domains={name for name in names if name in held})

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            async with self._lock:
                self._drop_idle(self._clock.monotonic() - IDLE_SECONDS)

    def _drop_idle(self, before: float) -> None:
        idle = [path for path, view in self._views.items() if not view.followed and view.used_at < before]
        self._state.drop(idle)
        for path in idle:
            del self._views[path]


def _may_move_entries(changes: Sequence[Change], agent_id: SpiffeId) -> bool:
    return any(
        change.kind is ChangeKind.ENTRY or (change.kind is ChangeKind.NODE and change.object_id == str(agent_id))
        for change in changes
    )
