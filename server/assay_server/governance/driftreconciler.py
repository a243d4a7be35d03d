"""What changes answers of policy is followed along the change sequence: the tasks it concerns are decided again.

How far it came is in the store, so whoever is killed in the middle goes on with the same changes; a task that was
revoked is not live any more. When the changes since are not known any longer, all live tasks are decided.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay.waiting import first_of
from assay_server.datastore.base import Change, ChangeKind, Page, Store, Transaction
from assay_server.governance.journal import record
from assay_server.model.governed.catalogue import GRANT, RESOURCE, TOOL
from assay_server.model.governed.drift import DRIFT_POSITION, DriftPosition
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.owner import OWNER
from assay_server.model.governed.policybundle import LIVE_POLICY
from assay_server.model.governed.principal import PRINCIPAL
from assay_server.model.governed.task import TASK, TaskState

ACTOR = "assay:drift"

_RETRY = 1.0  # seconds
_LONGEST_LOOK_AWAY = 60.0
_CHANGES_AT_ONCE = 10_000
# The position is written down so often at least, long before the changes after it are pruned.
_REMEMBERED_EVERY = 10_000
_OF_TASKS = {TOOL.name: "tool", PRINCIPAL.name: "principal", OWNER.name: "owner"}
_FOLLOWED = {*_OF_TASKS, RESOURCE.name, GRANT.name, LIVE_POLICY.name}

log = structlog.get_logger(__name__)

Term = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Swept:
    """How many tasks were decided again and how many of them revoked, by which version of the policy."""

    tasks: int = 0
    revoked: int = 0
    policy_version: int = 0


Sweep = Callable[[Sequence[Term] | None], Awaitable[Swept]]
"""Decides all live tasks again (None), or those of which one of the terms is true."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Objects that were written, by kind and key, until that sequence; `all` when that is not known."""

    until: int
    objects: Collection[Term] = field(default_factory=frozenset[Term])
    all: bool = False


class DriftReconciler:
    """Follows what is registered and which policy is live; `sweep` loads what decides only when there is a task."""

    def __init__(self, store: Store, clock: Clock, sweep: Callable[[], Sweep]) -> None:
        self._store = store
        self._clock = clock
        self._sweep = sweep
        self._shipped = shipped_digest()
        self._position: DriftPosition | None = None
        self._remembered = 0
        self._revisions: dict[str, int] = {}
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; what fails once is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            while True:
                self._woken.clear()
                pause = await self._round()
                await first_of(self._woken.wait(), self._clock.sleep(pause))

    async def reconcile(self) -> None:
        """Hold all that was written until now against the tasks that it concerns.

        Raises:
            UnavailableError: the store fails, or there is no policy that can be read; nothing was passed over.
        """
        while True:
            position = self._position or await self._store.read(_stored)
            changed = await self._changed_since(position)
            if changed is None:
                return
            await self._handle(changed)

    async def _handle(self, changed: Changed) -> None:
        reached = DriftPosition(changed.until, self._shipped)
        if changed.all or changed.objects:
            terms, revisions = await self._store.read(lambda tx: self._concerned(tx, changed))
            if terms is None or terms:
                await self._remember(reached, await self._decided_again(terms))
            self._revisions |= revisions
        elif changed.until - self._remembered >= _REMEMBERED_EVERY:
            await self._remember(reached)
        self._position = reached

    async def _decided_again(self, terms: Sequence[Term] | None) -> Swept:
        if not await self._store.read(lambda tx: _any_live(tx, terms)):
            return Swept()
        swept = await self._sweep()(terms)
        log.info("Decided live tasks again", tasks=swept.tasks, revoked=swept.revoked, policy=swept.policy_version)
        return swept

    async def _remember(self, position: DriftPosition, swept: Swept = Swept()) -> None:
        """Write down how far it came; with an event if tasks were revoked, for the count of them."""
        now = int(self._clock.now().timestamp())

        def write(tx: Transaction) -> None:
            if not swept.revoked:
                tx.governed.put(DRIFT_POSITION, position)
                return
            version = swept.policy_version
            details = {"change": "swept", "version": version, "tasks": swept.tasks, "revoked": swept.revoked}
            event = Event(EventType.POLICY_CHANGED, now, ACTOR, f"policy/{version}", details=details)
            record(tx, event, (DRIFT_POSITION, position))

        await self._store.write(write)
        self._remembered = position.sequence

    async def _changed_since(self, position: DriftPosition | None) -> Changed | None:
        """What was written after that, a part of it if it is much; None for nothing."""
        latest = self._store.sequence
        if position is None or position.shipped != self._shipped:
            return Changed(latest, all=True)
        if position.sequence == latest:
            return None
        recent = self._store.recent(position.sequence)
        changes: Iterable[Change] | None = [one.change for one in recent] if recent is not None else None
        if changes is None:
            changes = await self._store.read(lambda tx: tx.changes.since(position.sequence, _CHANGES_AT_ONCE))
        if changes is None:
            return Changed(latest, all=True)
        found = list(changes)
        named = (one.object_id.partition("/") for one in found if one.kind is ChangeKind.GOVERNED)
        return Changed(found[-1].sequence, {(kind, key) for kind, _, key in named if kind in _FOLLOWED})

    def _concerned(self, tx: Transaction, changed: Changed) -> tuple[list[Term] | None, dict[str, int]]:
        """By which terms the tasks are found (None: all), and the revisions of principals that were looked at."""
        if changed.all or any(kind == LIVE_POLICY.name for kind, _ in changed.objects):
            return None, {}
        terms: set[Term] = set()
        revisions: dict[str, int] = {}
        for kind, key in changed.objects:
            if kind == PRINCIPAL.name:
                principal = tx.governed.get(PRINCIPAL, key)
                revisions[key] = principal.revision if principal is not None else 0
                # That it was used is written down as well, and changes no answer.
                if self._revisions.get(key) == revisions[key]:
                    continue
            terms |= set(_terms(tx, kind, key))
        return sorted(terms), revisions

    async def _round(self) -> float:
        try:
            await self.reconcile()
        except AssayError as error:
            log.error("Failed to decide live tasks again", error=str(error))  # noqa: TRY400 - a refusal, no fault
            return _RETRY
        return _LONGEST_LOOK_AWAY

    async def _follow(self) -> None:
        async for _ in self._store.watch():
            self._woken.set()


def shipped_digest() -> str:
    """Of what comes with the server and is live where nothing was pushed: another release may bring another one."""
    folder = resources.files("assay_server.policy") / "shipped"
    texts = (each.read_bytes() for each in sorted(folder.iterdir(), key=lambda one: one.name) if each.is_file())
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _stored(tx: Transaction) -> DriftPosition | None:
    return tx.governed.get(DRIFT_POSITION, DRIFT_POSITION.key(DriftPosition(0, "")))


def _any_live(tx: Transaction, terms: Sequence[Term] | None) -> bool:
    asked: list[list[Term]] = [[]] if terms is None else [[term] for term in terms]
    states = (TaskState.ACTIVE, TaskState.SUSPENDED)
    return any(
        tx.governed.find(TASK, [*term, ("state", state.value)], Page(1))[0] for term in asked for state in states
    )


def _terms(tx: Transaction, kind: str, key: str) -> list[Term]:
    """By what the tasks are found that such an object's change may concern."""
    if kind in _OF_TASKS:
        held = tx.governed.find(PRINCIPAL, [("owner", key)], Page())[0] if kind == OWNER.name else []
        return [(_OF_TASKS[kind], key), *(("principal", one.name) for one in held)]
    if kind == RESOURCE.name:
        return [("tool", one.name) for one in tx.governed.find(TOOL, [("resource", key)], Page())[0]]
    return [("principal", one.name) for one in tx.governed.find(PRINCIPAL, [("grant", key)], Page())[0]]
