"""Push, issue, open and sweep, in every order of their reads and writes: no credential slips through between them.

The store has the order: each one waits before each of its transactions until it is its turn.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.governance.credentials import CredentialService
from assay_server.governance.driftreconciler import DriftReconciler
from assay_server.governance.driftsweep import DriftSweep
from assay_server.governance.journal import record
from assay_server.governance.opening import Terms
from assay_server.governance.policies import live_of
from assay_server.governance.refusal import DecisionRefusedError, TaskRefusedError
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.policybundle import LIVE_POLICY, LivePolicy, PolicyBundle
from assay_server.model.governed.task import CREDENTIAL, TASK, Task, TaskState
from assay_server.policy.engine import SCHEMA_VERSION, Policy, compiled, shipped

World = Any  # the fixture's, of conftest.py
STRICT = 1
NO_REFUNDS = '@id("no-refunds") forbid (principal, action, resource == Assay::Tool::"crm.refund");'


class Turns:
    """Whose turn it is: each actor stops before each of its transactions."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._gates: dict[str, asyncio.Event] = {}
        self._stopped: dict[str, asyncio.Event] = {}

    def store(self, actor: str) -> Store:
        """The store as that actor sees it."""
        return cast("Store", Stepped(self._store, lambda: self._turn(actor)))

    async def play(self, actors: Mapping[str, Callable[[], Awaitable[object]]], order: Sequence[str]) -> None:
        """Have them make one transaction each in that order, and what is left of each after that, one by one."""
        self._gates = {name: asyncio.Event() for name in actors}
        self._stopped = {name: asyncio.Event() for name in actors}
        loop = asyncio.get_running_loop()
        tasks = {name: loop.create_task(self._acted(name, work)) for name, work in actors.items()}
        for name in (*order, *(name for name in actors for _ in range(100))):
            if not tasks[name].done():
                await self._stopped[name].wait()
                self._stopped[name].clear()
                self._gates[name].set()
                await self._stopped[name].wait()
        await asyncio.gather(*tasks.values())

    async def _acted(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        finally:
            self._gates[name] = asyncio.Event()
            self._stopped[name].set()

    async def _turn(self, name: str) -> None:
        self._stopped[name].set()
        await self._gates[name].wait()
        self._gates[name].clear()


class Stepped:
    """A store before whose transactions one waits."""

    def __init__(self, store: SqlStore, turn: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._turn = turn

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    async def read(self, work: Callable[[Transaction], Any]) -> Any:  # noqa: ANN401 - what the work comes to
        await self._turn()
        return await self._store.read(work)

    async def write(self, work: Callable[[Transaction], Any]) -> Any:  # noqa: ANN401 - likewise
        await self._turn()
        return await self._store.write(work)


class Parsed:
    """The live policy of a store, of some that are parsed already."""

    def __init__(self, store: Store, policies: Mapping[int, Policy]) -> None:
        self._store = store
        self._policies = policies

    async def current(self) -> Policy:
        return self._policies[(await self._store.read(live_of)).version]


def orders(**counts: int) -> Iterator[tuple[str, ...]]:
    """All orders of so many turns of each."""
    if not any(counts.values()):
        yield ()
    for name, count in counts.items():
        if count:
            yield from ((name, *rest) for rest in orders(**{**counts, name: count - 1}))


class House:
    """One schedule after another on one store; the policy is the shipped one before each."""

    def __init__(self, world: World, store: SqlStore, clock: FakeClock) -> None:
        self.world, self.store, self.clock = world, store, clock
        files = {**shipped().bundle.files, "own.cedar": NO_REFUNDS}
        self.policies = {0: shipped(), STRICT: compiled(PolicyBundle(STRICT, "strict", SCHEMA_VERSION, files))}
        self.turns = Turns(store)

    async def put_live(self, store: Store, version: int) -> None:
        """What a push or a rollback writes."""
        details = {
            "change": "pushed",
            "version": version,
            "previous": 0,
            "digest": "",
            "schema_version": 1,
            "signer": "",
        }
        event = Event(EventType.POLICY_CHANGED, self.world.now, "local:0", f"policy/{version}", details=details)
        await store.write(lambda tx: record(tx, event, (LIVE_POLICY, LivePolicy(version, STRICT))))

    def tasks(self, store: Store) -> TaskService:
        return TaskService(store, self.clock, Parsed(store, self.policies), Terms("https://issuer.example"))

    async def open(self, store: Store, action: str) -> Task | None:
        try:
            return await self.tasks(store).open(self.world.request(action), self.world.opener)
        except DecisionRefusedError:
            return None

    async def issue(self, store: Store, task: Task) -> None:
        service = CredentialService(
            store, Parsed(store, self.policies), self.clock, lambda _: "token", lambda: 2**40, "https://issuer.example"
        )
        request = CredentialRequest(
            task.task_id, SpiffeId.parse(self.world.me), self.world.crm.uri, Confirmation(Binding.DPOP, "thumb")
        )
        try:
            await service.issue(request)
        except (DecisionRefusedError, TaskRefusedError):
            return

    async def open_and_issue(self, store: Store) -> None:
        if (task := await self.open(store, "crm.refund")) is not None:
            await self.issue(store, task)

    def reconciler(self, store: Store) -> DriftReconciler:
        sweep = DriftSweep(store, Parsed(store, self.policies), self.clock)
        return DriftReconciler(store, self.clock, lambda: sweep.sweep)

    async def check(self, since: int, read: Task) -> None:
        """Nothing slipped through, and the task that nobody minds was left alone."""

        def look(tx: Transaction) -> tuple[Any, Any, Any]:
            return (
                tx.governed.find(CREDENTIAL, [], Page(), due_after=self.world.now)[0],
                tx.governed.find(TASK, [("tool", "crm.refund")], Page())[0],
                tx.events.find(Page(token=str(since)))[0],
            )

        credentials, refunds, events = await self.store.read(look)
        assert await self.world.get(TASK, read.task_id) == read
        assert {one.state for one in refunds} <= {TaskState.REVOKED}
        theirs = {one.task_id for one in refunds}
        live = [one for one in credentials if one.live(self.world.now)]
        assert not [one for one in live if one.task_id in theirs]
        pushed = max(at for at, one in enumerate(events) if one.details.get("change") == "pushed")
        after = [one for one in events[pushed:] if one.type is EventType.DECISION]
        assert {one.details["policy_version"] for one in after} <= {STRICT}
        issued = [one.task_id for one in events[pushed:] if one.type is EventType.IDENTITY_ISSUED]
        assert not theirs & set(issued)


@pytest.fixture
async def house(world: World, store: SqlStore, clock: FakeClock) -> House:
    me, agent = SpiffeId.parse(world.me), SpiffeId.parse("spiffe://example.org/agent")
    await store.write(lambda tx: tx.entries.create(Entry("bot", me, agent, (Selector("a", "b"),), principal="bot")))
    world.bot = replace(world.bot, approvals=())
    await world.put(world.bot)
    return House(world, store, clock)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("actor", ["issue", "open"])
async def test_whatever_the_order_nothing_slips_through(house: House, actor: str) -> None:
    store, turns = house.store, house.turns
    read = await house.open(store, "crm.read")
    assert read is not None
    await house.reconciler(store).reconcile()
    for order in orders(**{"push": 1, actor: 2, "sweep": 3}):
        task = await house.open(store, "crm.refund")
        assert task is not None
        await house.reconciler(store).reconcile()
        since = store.sequence
        act = {
            "issue": lambda one=task: house.issue(turns.store("issue"), one),  # type: ignore[misc]
            "open": lambda: house.open_and_issue(turns.store("open")),
        }
        push = {"push": lambda: house.put_live(turns.store("push"), STRICT)}
        sweep = {"sweep": house.reconciler(turns.store("sweep")).reconcile}
        await turns.play({**push, actor: act[actor], **sweep}, order)
        # As `run` does for what was written while it was at it.
        await house.reconciler(store).reconcile()
        await house.check(since, read)
        await house.put_live(store, 0)
