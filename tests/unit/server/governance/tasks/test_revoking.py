"""Revoking all of a kind: exactly that, once, to its end whatever happens in between."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, NotFoundError, UnavailableError
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.governance.revocations import Feed, Outcome, RevocationService
from assay_server.governance.revoking import SLICE, Affected
from assay_server.governance.tasks import TaskService
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import PRINCIPAL, Instance, PrincipalState
from assay_server.model.governed.revocation import REVOCATION, Revocation, Target
from assay_server.model.governed.task import CREDENTIAL, TASK, Task, TaskState

ALL = Page()
World = Any  # the fixture's, of conftest.py


@dataclass(frozen=True)
class Told:
    verifiers: int = 4
    confirmed: int = 4
    seconds: float = 0.084


class Listeners:
    """A feed all of whose verifiers confirm; it remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []

    async def confirmed(self, position: int, within: float) -> Told:
        self.asked.append((position, within))
        return Told()


class House:
    """Two principals of two owners, with a task each, and revocations on that store."""

    def __init__(self, world: World, store: SqlStore, clock: FakeClock, feed: Feed | None = None) -> None:
        self.world, self.clock = world, clock
        self.service = RevocationService(store, clock, lambda: feed)

    async def revoke(self, target: Target, value: str, wait: float = 0, **changes: Any) -> Outcome:  # noqa: ANN401
        asked = Revocation("", target, value, "left", "local:0", self.world.now, **changes)
        return await self.service.revoke(asked, wait)

    async def counts(self, target: Target, value: str, **changes: Any) -> tuple[int, int, int]:  # noqa: ANN401
        one = (await self.revoke(target, value, **changes)).revocation
        return one.tasks, one.credentials, one.principals

    async def live(self) -> set[str]:
        """IDs of what is live, of either kind."""
        now = self.world.now

        def read(tx: Any) -> set[str]:  # noqa: ANN401 - a transaction
            tasks, _ = tx.governed.find(TASK, [], ALL)
            credentials, _ = tx.governed.find(CREDENTIAL, [], ALL)
            live = {one.task_id for one in tasks if one.state in {TaskState.ACTIVE, TaskState.SUSPENDED}}
            return live | {one.jti for one in credentials if one.live(now)}

        return cast("set[str]", await self.world.store.read(read))


@pytest.fixture
async def house(world: World, store: SqlStore, clock: FakeClock, tasks: TaskService) -> House:
    """Tasks mine (an instance's), any (any instance's), held and below (below mine) of bot, other of cat."""
    me, agent = SpiffeId.parse(world.me), SpiffeId.parse("spiffe://example.org/agent")
    await store.write(lambda tx: tx.entries.create(Entry("bot", me, agent, (Selector("a", "b"),), principal="bot")))
    cat = replace(world.bot, name="cat", owner="person:bob@corp", tenant="other")
    await world.put(cat, Instance(world.me, "bot", "bot", "one", str(agent), 0, world.now))
    await world.put(replace(world.alice, name="person:bob@corp"))
    mine = replace(await tasks.open(world.request(), world.opener), task_id="mine")
    await tasks.complete((await only_task(world)).task_id, world.mine)
    below = replace(mine, task_id="below", parent="mine")
    refund = world.request("crm.refund").authority
    held = replace(mine, task_id="held", state=TaskState.SUSPENDED, instance="", authority=refund)
    others = replace(mine, task_id="other", principal="cat", owner="person:bob@corp", tenant="other", instance="")
    for task in (mine, below, replace(mine, task_id="any", instance=""), held, others):
        await world.put(task)
        changes = {"principal": task.principal, "instance": "spiffe://example.org/principal/cat"}
        given = changes if task is others else {}
        await world.put(world.credential(task, f"crd_{task.task_id}", **given))
    await world.put(world.credential(mine, "crd_gone", expires_at=world.now))
    await world.put(world.credential(mine, "crd_alone", task_id="tsk_past"))
    return House(world, store, clock)


async def only_task(world: World) -> Task:
    store: SqlStore = world.store
    return (await store.read(lambda tx: tx.governed.find(TASK, [], ALL)[0]))[0]


EVERYTHING = {"mine", "any", "held", "below", "other"}
TARGETS: dict[str, tuple[Target, str, set[str], set[str]]] = {
    "task": (Target.TASK, "mine", {"mine", "below"}, {"mine", "below"}),
    "principal": (Target.PRINCIPAL, "bot", {"mine", "below", "any", "held"}, {"mine", "below", "any", "held", "alone"}),
    "owner": (Target.OWNER, "person:bob@corp", {"other"}, {"other"}),
    "tool": (Target.TOOL, "crm.refund", {"held"}, {"held"}),
    "tenant": (Target.TENANT, "other", {"other"}, {"other"}),
    "credential": (Target.CREDENTIAL, "crd_any", set(), {"any"}),
}


@pytest.mark.parametrize("what", [*TARGETS, "instance"])
async def test_it_ends_that_and_nothing_else(house: House, world: World, what: str) -> None:
    me = (Target.INSTANCE, world.me, {"mine", "below"}, {"mine", "below", "any", "held", "alone"})
    target, value, tasks, credentials = me if what == "instance" else TARGETS[what]
    before = await house.live()
    found = await house.service.preview(target, value)
    assert (found.tasks, found.credentials) == (len(tasks), len(credentials))
    assert await house.live() == before
    outcome = await house.revoke(target, value)
    one = outcome.revocation
    assert (one.tasks, one.credentials, one.principals) == (len(tasks), len(credentials), 0)
    assert before - await house.live() == tasks | {f"crd_{name}" for name in credentials}
    assert one.done_at
    for name in tasks - {"below"}:
        assert (await world.get(TASK, name)).state_reason == "revoked: left"
    for name in credentials - {"below"}:
        assert (await world.get(CREDENTIAL, f"crd_{name}")).cause == "revoked: left"
    last = (await world.events())[-1]
    assert (last.type, last.subject, last.actor) == (EventType.REVOCATION, one.revocation_id, "local:0")
    assert (last.details["tasks"], last.details["credentials"], last.details["done"]) == (*ends(found), True)
    assert await house.counts(target, value) == (0, 0, 0)


def ends(found: Affected) -> tuple[int, int]:
    return found.tasks, found.credentials


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (Target.TASK, "tsk_none"),
        (Target.PRINCIPAL, "nobody"),
        (Target.OWNER, "person:nobody@corp"),
        (Target.INSTANCE, "spiffe://example.org/nobody"),
        (Target.TOOL, "no.tool"),
        (Target.TENANT, "none"),
        (Target.CREDENTIAL, "crd_none"),
    ],
)
async def test_what_is_not_there_is_not_found_and_nothing_changes(
    house: House, store: SqlStore, target: Target, value: str
) -> None:
    before = store.sequence
    with pytest.raises(NotFoundError):
        await house.service.preview(target, value)
    with pytest.raises(NotFoundError):
        await house.revoke(target, value)
    assert store.sequence == before


@pytest.mark.parametrize(
    ("target", "value", "changes"),
    [
        (Target.TASK, "mine", {"reason": ""}),
        (Target.TASK, "mine", {"reason": "two\nlines"}),
        (Target.TASK, "mine", {"reason": "x" * 5000}),
        (Target.TASK, "", {}),
        (Target.TASK, "mine", {"suspend": True}),
        (Target.INSTANCE, "spiffe://example.org/principal/bot/one", {"suspend": True}),
        (Target.INSTANCE, "no ID", {}),
    ],
)
async def test_what_is_malformed_changes_nothing(
    house: House, store: SqlStore, world: World, target: Target, value: str, changes: dict[str, Any]
) -> None:
    before = store.sequence
    asked = replace(Revocation("", target, value, "left", "local:0", world.now), **changes)
    with pytest.raises(InvalidArgumentError):
        await house.service.revoke(asked, 0)
    assert store.sequence == before


async def test_a_principal_goes_on_unless_it_is_suspended(
    house: House, world: World, store: SqlStore, tasks: TaskService
) -> None:
    await house.revoke(Target.PRINCIPAL, "bot")
    task = await tasks.open(world.request(), world.opener)
    assert await house.counts(Target.PRINCIPAL, "bot", suspend=True) == (1, 0, 1)
    bot = await world.get(PRINCIPAL, "bot")
    assert (bot.state, bot.state_reason) == (PrincipalState.SUSPENDED, "left")
    assert (await world.get(TASK, task.task_id)).state_reason == "revoked: left"
    binding = await store.read(lambda tx: tx.entries.get("bot"))
    assert binding is not None
    assert binding.withheld
    with pytest.raises(AssayError):
        await tasks.open(world.request(), world.opener)
    assert await house.counts(Target.PRINCIPAL, "bot", suspend=True) == (0, 0, 0)


async def test_an_owners_principals_are_those_it_has_now_and_had_when_tasks_were_opened(
    house: House, world: World
) -> None:
    cat = await world.get(PRINCIPAL, "cat")
    await world.put(replace(cat, owner=world.alice.name))
    assert (await house.service.preview(Target.OWNER, world.alice.name)).principals == 2
    assert await house.counts(Target.OWNER, world.alice.name, suspend=True) == (5, 6, 2)
    assert await house.live() == set()


async def test_verifiers_are_asked_for_all_that_was_written(
    house: House, world: World, store: SqlStore, clock: FakeClock
) -> None:
    feed = Listeners()
    listened = House(world, store, clock, feed)
    assert (await listened.revoke(Target.TASK, "any", wait=1.5)).confirmed == Told()
    assert feed.asked == [(store.sequence, 1.5)]
    assert (await listened.revoke(Target.TASK, "held", wait=0)).confirmed is None
    assert (await house.revoke(Target.TASK, "mine", wait=1)).confirmed is None
    assert len(feed.asked) == 1


class Dies:
    """A store that is gone after so many writes."""

    def __init__(self, store: SqlStore, writes: int) -> None:
        self._store, self._left = store, writes

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    async def write(self, work: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what the work comes to
        if not self._left:
            raise UnavailableError("gone")
        self._left -= 1
        return await self._store.write(work)


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 9])
async def test_what_was_begun_is_finished_by_whoever_comes_after(
    house: House, world: World, store: SqlStore, clock: FakeClock, writes: int
) -> None:
    mine = await world.get(TASK, "mine")
    await world.put(*(replace(mine, task_id=f"tsk_{number}") for number in range(2 * SLICE)))
    dying = House(world, cast("SqlStore", Dies(store, writes)), clock)
    with contextlib.suppress(UnavailableError):
        await dying.revoke(Target.PRINCIPAL, "bot", suspend=True)
    live = await house.live()
    await RevocationService(store, clock, lambda: None).finish()
    if writes:
        assert await house.live() == {"other", "crd_other"}
        (done,) = await store.read(lambda tx: tx.governed.find(REVOCATION, [("state", "done")], ALL)[0])
        assert (done.tasks, done.credentials, done.principals) == (4 + 2 * SLICE, 5, 1)
    else:
        assert live == await house.live()
        assert len(live) > SLICE


async def test_who_goes_away_in_the_middle_has_it_finished(house: House, world: World, store: SqlStore) -> None:
    mine = await world.get(TASK, "mine")
    await world.put(*(replace(mine, task_id=f"tsk_{number}") for number in range(2 * SLICE)))
    loop = asyncio.get_running_loop()
    running = loop.create_task(house.service.run())
    asking = loop.create_task(house.revoke(Target.PRINCIPAL, "bot"))
    async for _ in store.watch():
        if await store.read(lambda tx: tx.governed.count(REVOCATION, [("state", "running")])):
            break
    asking.cancel()
    await until(house.live, {"other", "crd_other"})
    running.cancel()
    await asyncio.gather(running, asking, return_exceptions=True)


async def until(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    while await look() != wanted:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)  # the store's thread has the next word
