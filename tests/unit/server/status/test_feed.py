"""What is told, from when, and to whom it has come: over a real store with a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.status.values import Told
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Transaction
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.governance.deed import Deed
from assay_server.governance.ending import end_tasks, revoke_credential
from assay_server.governance.journal import record
from assay_server.governance.principal_state import Move
from assay_server.governance.principals import apply
from assay_server.governance.principals import told as event_told
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, ActorType, Instance, Principal, PrincipalState
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Intent, Task
from assay_server.status.feed import Listener, StatusFeed

TD = TrustDomain("example.org")
BOT = Principal("bot", ActorType.SERVICE, "person:a@b", "x", "prod", "acme", state=PrincipalState.ACTIVE)
BOUND, COPY = "spiffe://example.org/principal/bot", "spiffe://example.org/principal/bot/one"
STALENESS = {"consequential_read": 60}


class Ear:
    """Somebody who listens, and what he was told."""

    def __init__(self, feed: StatusFeed, listener: Listener, position: int = 0, incarnation: str = "") -> None:
        self.feed = feed
        self.listener = listener
        self.position = position
        self.incarnation = incarnation

    async def told(self) -> Told:
        while (told := self.feed.due(self.listener, self.position, self.incarnation)) is None:
            await self.listener.wait()
        self.position, self.incarnation = told.position, told.incarnation
        return told

    def hold(self, verifiers: int = 1, confirmed: int = 1) -> None:
        self.listener.hold(self.position, verifiers, confirmed)


class House:
    """A store with a principal, and what happens there."""

    def __init__(self, store: SqlStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    async def write(self, work: Callable[[Transaction], Any]) -> None:
        await self.store.write(work)

    async def issue(self, *names: str, task: str = "tsk_1", expires_in: int = 300) -> None:
        def write(tx: Transaction) -> None:
            tx.governed.put(
                TASK,
                Task(
                    task,
                    "bot",
                    "",
                    "person:a@b",
                    "acme",
                    "prod",
                    Intent("x"),
                    (),
                    "",
                    "",
                    "t",
                    self.now,
                    self.now + 600,
                ),
            )
            for name in names:
                end = self.now + expires_in
                tx.governed.put(
                    CREDENTIAL, Credential(name, "at+jwt", task, "bot", COPY, "aud", "h", "", self.now, end, "dec_1")
                )

        await self.write(write)

    async def end(self, task: str = "tsk_1", cause: str = "operator") -> None:
        def write(tx: Transaction) -> None:
            found = tx.governed.get(TASK, task)
            assert found is not None
            end_tasks(tx, [found], cause, "local", self.now)

        await self.write(write)

    async def move(self, move: Move) -> None:
        def write(tx: Transaction) -> None:
            principal = tx.governed.get(PRINCIPAL, "bot")
            assert principal is not None
            # Resumed as it is: what it lacks is another test's.
            whole = replace(principal, data_classes=("x",), risk_class=principal.risk_class)
            apply(tx, whole, move, "", Deed("local", self.now))

        await self.write(write)


@pytest.fixture
async def house(store: SqlStore, clock: FakeClock) -> House:
    found = House(store, clock)

    def write(tx: Transaction) -> None:
        tx.governed.put(OWNER, Owner(BOT.owner))
        tx.governed.put(PRINCIPAL, BOT)
        tx.governed.put(INSTANCE, Instance(COPY, "bot", "e1", "1", "spiffe://example.org/agent", found.now, found.now))
        parent = SpiffeId.parse("spiffe://example.org/agent")
        tx.entries.create(Entry("e1", SpiffeId.parse(BOUND), parent, (Selector("unix", "uid:1"),), principal="bot"))

    await found.write(write)
    return found


@pytest.fixture
async def feed(house: House, clock: FakeClock) -> AsyncIterator[StatusFeed]:
    feed = StatusFeed(house.store, clock, TD, STALENESS)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        yield feed
        running.cancel()


@pytest.fixture
def ear(feed: StatusFeed) -> Any:  # noqa: ANN401 - generators' type
    with feed.listener() as listener:
        yield Ear(feed, listener)


async def test_who_holds_nothing_is_told_everything(house: House, ear: Ear) -> None:
    await house.issue("crd_1", "crd_2")
    await house.end()
    await house.issue("crd_3", task="tsk_2")
    told = await ear.told()
    assert told.snapshot
    assert {one.jti for one in told.revoked} == {"crd_1", "crd_2"}
    assert {one.cause for one in told.revoked} == {"operator"}
    assert (told.position, told.incarnation) == (house.store.sequence, house.store.incarnation)
    assert (told.at, told.interval, told.staleness) == (house.now, 2, STALENESS)


async def test_what_is_revoked_is_told_at_once_and_alone(house: House, ear: Ear) -> None:
    await house.issue("crd_1", "crd_2")
    await ear.told()
    await house.end()
    told = await ear.told()
    assert not told.snapshot
    assert [(one.jti, one.task_id, one.revoked_at) for one in told.revoked] == [
        ("crd_1", "tsk_1", house.now), ("crd_2", "tsk_1", house.now),
    ]  # fmt: skip
    assert told.position == house.store.sequence


async def test_one_that_is_revoked_by_itself_is_told(house: House, ear: Ear) -> None:
    await house.issue("crd_1", "crd_2")
    await ear.told()

    def revoke(tx: Transaction) -> None:
        credential = tx.governed.get(CREDENTIAL, "crd_2")
        assert credential is not None
        revoke_credential(tx, credential, "by its holder", "local", house.now)

    await house.write(revoke)
    assert [one.jti for one in (await ear.told()).revoked] == ["crd_2"]


async def test_nothing_is_told_before_the_pause_is_over_and_then_that_nothing_happened(
    house: House, ear: Ear, clock: FakeClock
) -> None:
    first = await ear.told()
    await house.issue("crd_1")
    assert ear.feed.due(ear.listener, ear.position, ear.incarnation) is None
    await clock.wait_sleepers()
    clock.advance(2)
    told = await ear.told()
    assert (told.snapshot, told.revoked, told.at) == (False, (), house.now)
    assert told.position > first.position


async def test_expired_ones_are_nobodys_concern(house: House, ear: Ear, clock: FakeClock) -> None:
    await house.issue("crd_1", expires_in=10)
    await house.end()
    clock.advance(11)
    assert (await ear.told()).revoked == ()


async def test_identities_of_a_principal_that_is_stopped_are_withdrawn_and_come_back(house: House, ear: Ear) -> None:
    await ear.told()
    await house.move(Move.SUSPEND)
    told = await ear.told()
    assert {(one.spiffe_id, one.withdrawn, one.cause) for one in told.identities} == {
        (BOUND, True, "principal_suspended"), (COPY, True, "principal_suspended"),
    }  # fmt: skip
    with ear.feed.listener() as listener:
        late = await Ear(ear.feed, listener).told()
    assert {one.spiffe_id for one in late.identities} == {BOUND, COPY}
    await house.write(lambda tx: tx.governed.put(PRINCIPAL, BOT))
    await house.write(_changed(house))
    assert {(one.spiffe_id, one.withdrawn) for one in (await ear.told()).identities} == {(BOUND, False), (COPY, False)}


def _changed(house: House) -> Callable[[Transaction], None]:
    return lambda tx: record(tx, event_told(BOT, "resumed", Deed("local", house.now)), (PRINCIPAL, BOT))


async def test_a_principal_that_is_retired_keeps_no_identity(house: House, ear: Ear) -> None:
    await ear.told()
    await house.move(Move.RETIRE)
    told = await ear.told()
    assert {(one.spiffe_id, one.cause) for one in told.identities} == {
        (BOUND, "principal_retired"), (COPY, "principal_retired"),
    }  # fmt: skip


async def test_other_changes_of_a_principal_concern_nobody(house: House, ear: Ear, clock: FakeClock) -> None:
    await ear.told()
    await house.write(_changed(house))
    await clock.wait_sleepers()
    clock.advance(2)
    assert (await ear.told()).identities == ()


async def test_who_is_slow_is_told_all_of_it_at_once_and_nothing_is_kept_for_him(house: House, ear: Ear) -> None:
    await ear.told()
    for number in range(5):
        await house.issue(f"crd_{number}", task=f"tsk_{number}")
        await house.end(f"tsk_{number}")
    told: list[str] = []
    while len(told) < 5:
        told += [one.jti for one in (await ear.told()).revoked]
    assert told == [f"crd_{number}" for number in range(5)]


async def test_another_server_on_the_same_store_tells_what_happened_since(
    house: House, clock: FakeClock, ear: Ear
) -> None:
    await house.issue("crd_1", "crd_2", task="tsk_1")
    await house.issue("crd_3", task="tsk_2")
    await house.end("tsk_1")
    held = await ear.told()
    await house.end("tsk_2")
    second = StatusFeed(house.store, clock, TD, STALENESS)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(second.run())
        with second.listener() as listener:
            told = await Ear(second, listener, held.position, held.incarnation).told()
        running.cancel()
    assert not told.snapshot
    assert "crd_3" in {one.jti for one in told.revoked}


@pytest.mark.parametrize("ahead", [0, 10**9], ids=["another store", "ahead of this one"])
async def test_a_position_of_another_history_is_nothing(ear: Ear, ahead: int) -> None:
    told = await ear.told()
    with ear.feed.listener() as listener:
        incarnation = told.incarnation if ahead else "another"
        assert (await Ear(ear.feed, listener, told.position + ahead, incarnation).told()).snapshot


async def test_who_was_away_for_longer_than_changes_are_kept_begins_anew(tmp_path: Path, clock: FakeClock) -> None:
    store = await open_store(tmp_path / "short.sqlite3", clock=clock, keep_changes=100)
    house = House(store, clock)
    await house.issue("crd_1")
    position = store.sequence
    await house.end()
    for number in range(60):
        await house.issue(f"crd_x{number}")
    feed = StatusFeed(store, clock, TD, STALENESS)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        with feed.listener() as listener:
            told = await Ear(feed, listener, position, store.incarnation).told()
        running.cancel()
    await store.close()
    assert told.snapshot
    assert [one.jti for one in told.revoked] == ["crd_1"]


async def test_a_burst_that_memory_does_not_hold_is_told_whole(tmp_path: Path, clock: FakeClock) -> None:
    store = await open_store(tmp_path / "burst.sqlite3", clock=clock, keep_changes=5000)
    house = House(store, clock)
    await house.issue(*(f"crd_{number}" for number in range(2500)))
    feed = StatusFeed(store, clock, TD, STALENESS)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        with feed.listener() as listener:
            ear = Ear(feed, listener)
            await ear.told()
            await house.end()
            told = await ear.told()
        running.cancel()
    await store.close()
    assert len(told.revoked) == 2500


async def test_confirmations_count_verifiers_that_hold_it(house: House, ear: Ear) -> None:
    await house.issue("crd_1")
    await ear.told()
    ear.hold(verifiers=3, confirmed=3)
    await house.end()
    position = ear.feed.position
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ear.feed.confirmed(position, 10))
        await ear.told()
        ear.hold(verifiers=3, confirmed=2)
        await asyncio.sleep(0)
        assert not asking.done()
        ear.hold(verifiers=3, confirmed=3)
    assert (asking.result().verifiers, asking.result().confirmed, asking.result().seconds) == (3, 3, 0)


async def test_a_verifier_that_does_not_answer_is_waited_for_only_so_long(ear: Ear, clock: FakeClock) -> None:
    await ear.told()
    ear.hold(verifiers=2, confirmed=1)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ear.feed.confirmed(ear.position, 5))
        await clock.wait_sleepers(2)
        clock.advance(5)
    assert (asking.result().verifiers, asking.result().confirmed, asking.result().seconds) == (2, 1, 5)


async def test_a_verifier_that_goes_is_not_waited_for(house: House, feed: StatusFeed) -> None:
    async with asyncio.TaskGroup() as tasks:
        with feed.listener() as listener:
            listener.hold(0, 1, 0)
            asking = tasks.create_task(feed.confirmed(house.store.sequence, 5))
            await asyncio.sleep(0)
    assert (asking.result().verifiers, asking.result().confirmed) == (0, 0)


async def test_without_verifiers_there_is_nothing_to_wait_for(feed: StatusFeed) -> None:
    found = await feed.confirmed(feed.position, 60)
    assert (found.verifiers, found.confirmed) == (0, 0)


async def test_indexes_are_found_by_the_list_they_are_in(house: House) -> None:
    await house.issue("crd_1")

    def index(tx: Transaction) -> None:
        credential = tx.governed.get(CREDENTIAL, "crd_1")
        assert credential is not None
        tx.governed.put(CREDENTIAL, replace(credential, status_index=2**17 + 1))

    await house.write(index)
    found = await house.store.read(lambda tx: tx.governed.find(CREDENTIAL, [("revoked_in", "1")], Page())[0])
    assert found == []
    await house.end()
    found = await house.store.read(lambda tx: tx.governed.find(CREDENTIAL, [("revoked_in", "1")], Page())[0])
    assert [one.jti for one in found] == ["crd_1"]
