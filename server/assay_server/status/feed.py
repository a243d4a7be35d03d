"""Tells verifiers what counts no more, as it is committed, and counts how many hold it.

Everything that is to be told is in memory once anybody listens. Nothing waits there for single listeners: each has a
position, and is told what came after it when it reads again.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay.spiffeid import TrustDomain
from assay.status.log import Item, StatusLog
from assay.status.values import Revoked, Told
from assay.waiting import first_of
from assay_server.datastore.base import Change, Store
from assay_server.status.held import everything, news, touched

INTERVAL = 2.0
"""Seconds; the longest pause between two updates of one listener."""

# So far behind, all there is in one reading is less than what changed.
_TOO_FAR = 20_000
_RETRY = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """How many verifiers there are, how many of them hold what was asked for, and how long that took in seconds."""

    verifiers: int
    confirmed: int
    seconds: float


class Listener:
    """One who is told: an agent with the verifiers behind it, or a verifier."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._woken = asyncio.Event()
        self.verifiers = 0
        self.position = 0
        self.confirmed = 0
        self.ticks = -1
        """The last round of empty updates that it had."""

    def hold(self, position: int, verifiers: int, confirmed: int) -> None:
        """So many verifiers are behind it, so many of which hold everything until that position."""
        self.position, self.verifiers, self.confirmed = position, verifiers, min(confirmed, verifiers)
        self._changed()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    async def wait(self) -> None:
        """Until there may be something to do."""
        await self._woken.wait()
        self._woken.clear()


class StatusFeed:
    """One for all that listen. `staleness` is how old knowledge may be, in seconds, by class of actions."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        trust_domain: TrustDomain,
        staleness: Mapping[str, int],
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain
        self._staleness = dict(staleness)
        self._interval = interval
        self._log = StatusLog()
        self._proven_at = 0.0
        self._ticks = 0
        self._wanted = asyncio.Event()
        self._listeners: set[Listener] = set()
        self._asking: set[asyncio.Event] = set()

    @property
    def position(self) -> int:
        """What is committed by now: who holds everything until here holds all that has been acknowledged."""
        return self._store.sequence

    @contextmanager
    def listener(self) -> Generator[Listener]:
        """A place among those who are told."""
        one = Listener(self._holds_changed)
        self._listeners.add(one)
        self._wanted.set()
        try:
            yield one
        finally:
            self._listeners.discard(one)
            self._holds_changed()

    def due(self, listener: Listener, position: int, incarnation: str) -> Told | None:
        """What is to be told now to one who holds that; None while there is nothing."""
        if not self._log.position:
            return None
        lacking = incarnation != self._log.incarnation or self._log.newer_than(position)
        if not lacking and listener.ticks == self._ticks:
            return None
        listener.ticks = self._ticks
        told = self._log.since(position, incarnation)
        staleness = self._staleness if told.snapshot else {}
        # Up to date, this is the truth now; and if it is not, it was when the log was last.
        at = self._clock.now().timestamp() if self._log.position >= self._store.sequence else self._proven_at
        return replace(told, at=int(at), interval=round(self._interval), staleness=staleness)

    async def confirmed(self, position: int, within: float) -> Confirmed:
        """How many verifiers hold everything until that position, once all do or `within` seconds are over."""
        began, changed = self._clock.monotonic(), asyncio.Event()
        self._asking.add(changed)
        try:
            while True:
                changed.clear()
                verifiers, confirmed = self._counted(position)
                passed = self._clock.monotonic() - began
                if confirmed >= verifiers or passed >= within:
                    return Confirmed(verifiers, confirmed, passed)
                await first_of(changed.wait(), self._clock.sleep(within - passed))
        finally:
            self._asking.discard(changed)

    async def run(self) -> None:
        """Follow the store from the first listener on, until cancelled."""
        await self._wanted.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            async for latest in self._store.watch():
                while self._log.position < latest:
                    await self._round(latest)

    async def _round(self, latest: int) -> None:
        try:
            await self._go_on(latest)
        except AssayError as error:
            log.error("Failed to read what was revoked", error=str(error))  # noqa: TRY400 - a refusal, no fault
            await self._clock.sleep(_RETRY)

    async def _go_on(self, latest: int) -> None:
        position, began = self._log.position, self._clock.now().timestamp()
        changes = await self._changes(position, latest) if position else None
        if changes is None:
            await self._begin()
        elif what := touched(changes):
            items = await self._store.read(lambda tx: news(tx, what, self._trust_domain))
            self._log.advance(changes[-1].sequence, [one for one in items if self._tells_something(one)])
            self._wake()
        else:
            self._log.advance(changes[-1].sequence)
        if self._log.position >= latest:
            self._proven_at = began

    async def _changes(self, position: int, latest: int) -> list[Change] | None:
        """All after that position, at least until `latest`: in whole transactions; None if that is too far back."""
        written = self._store.recent(position)
        if written is not None:
            return [one.change for one in written]
        if latest - position > _TOO_FAR:
            return None
        return await self._store.read(lambda tx: tx.changes.since(position, tx.changes.latest() - position))

    async def _begin(self) -> None:
        now, domain = int(self._clock.now().timestamp()), self._trust_domain
        held = await self._store.read(lambda tx: everything(tx, domain, now))
        self._log.begin(self._store.incarnation, held.position, held.items, since=held.since, news=held.news)
        self._wake()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._interval)
            self._ticks += 1
            self._log.prune(self._clock.now().timestamp())
            self._wake()

    def _tells_something(self, item: Item) -> bool:
        """A principal may have been changed without having been stopped, or set free."""
        return isinstance(item, Revoked) or item.withdrawn or item.spiffe_id in self._log.withdrawn

    def _counted(self, position: int) -> tuple[int, int]:
        verifiers = sum(one.verifiers for one in self._listeners)
        return verifiers, sum(one.confirmed for one in self._listeners if one.position >= position)

    def _wake(self) -> None:
        for one in self._listeners:
            one.wake()

    def _holds_changed(self) -> None:
        for one in self._asking:
            one.set()
