"""Governed objects and events: found by what they say, at their time, and in order."""

from dataclasses import replace
from typing import Any, Protocol, TypeVar

import pytest

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.journal import erase, record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.owner import OWNER, Owner, OwnerState
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal
from assay_server.model.governed.task import TASK, Intent, Task, TaskState

T = TypeVar("T")


class MakeEntry(Protocol):
    def __call__(self, name: str, **fields: Any) -> Entry: ...  # noqa: ANN401 - fields of Entry


async def put(store: Store, noun: Noun[T], *values: T) -> None:
    def write(tx: Transaction) -> None:
        for value in values:
            tx.governed.put(noun, value)

    await store.write(write)


ALICE, BOB = Owner("person:alice@corp"), Owner("person:bob@corp", OwnerState.LEFT)
BOT = Principal("bot", ActorType.AI_AGENT, owner=ALICE.name, tenant="acme")
CRON = Principal("cron", ActorType.MACHINE, owner=ALICE.name)


def task(name: str, ends_at: int, **changes: object) -> Task:
    return replace(
        Task(name, "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (), "", "", "operator:local", 1, ends_at),
        **changes,  # type: ignore[arg-type]  # fields of Task
    )


def told(subject: str, task_id: str = "", principal: str = "") -> Event:
    return Event(EventType.PRINCIPAL_CHANGED, 5, "local:0", subject, task_id, principal)


async def test_an_object_reads_as_it_was_written(store: Store) -> None:
    await store.write(lambda tx: tx.governed.put(PRINCIPAL, BOT))
    assert await store.read(lambda tx: tx.governed.get(PRINCIPAL, "bot")) == BOT
    assert await store.read(lambda tx: tx.governed.get(PRINCIPAL, "other")) is None
    assert await store.read(lambda tx: tx.governed.get(OWNER, "bot")) is None


async def test_objects_are_found_by_all_of_the_terms_that_are_asked_for(store: Store) -> None:
    await put(store, PRINCIPAL, BOT, CRON)

    async def found(*terms: tuple[str, str]) -> list[str]:
        values, _ = await store.read(lambda tx: tx.governed.find(PRINCIPAL, terms, Page()))
        assert await store.read(lambda tx: tx.governed.count(PRINCIPAL, terms)) == len(values)
        return [one.name for one in values]

    assert await found() == ["bot", "cron"]
    assert await found(("owner", ALICE.name)) == ["bot", "cron"]
    assert await found(("owner", ALICE.name), ("actor_type", "machine")) == ["cron"]
    assert await found(("owner", BOB.name)) == []


async def test_an_object_is_found_by_what_it_says_now(store: Store) -> None:
    await store.write(lambda tx: tx.governed.put(OWNER, ALICE))
    await store.write(lambda tx: tx.governed.put(OWNER, replace(ALICE, state=OwnerState.LEFT)))
    active = await store.read(lambda tx: tx.governed.find(OWNER, [("state", "active")], Page()))
    left = await store.read(lambda tx: tx.governed.find(OWNER, [("state", "left")], Page()))
    assert active == ([], "")
    assert [one.name for one in left[0]] == [ALICE.name]


async def test_pages_follow_each_other(store: Store) -> None:
    await put(store, OWNER, *(Owner(f"team:{n}") for n in range(5)))
    names, token = [], ""
    while True:
        page, token = await store.read(lambda tx, at=token: tx.governed.find(OWNER, (), Page(2, at)))  # type: ignore[misc]
        names += [one.name for one in page]
        if not token:
            break
    assert names == [f"team:{n}" for n in range(5)]
    with pytest.raises(InvalidArgumentError):
        await store.read(lambda tx: tx.governed.find(OWNER, (), Page(2, "x")))


async def test_what_is_due_comes_by_its_time(store: Store) -> None:
    tasks = [task("late", 30), task("soon", 10), task("done", 5, state=TaskState.COMPLETED)]
    await put(store, TASK, *tasks)
    due = await store.read(lambda tx: tx.governed.due(TASK, 30, 10))
    assert [one.task_id for one in due] == ["soon", "late"]
    assert await store.read(lambda tx: tx.governed.due(TASK, 9, 10)) == []
    assert [one.task_id for one in await store.read(lambda tx: tx.governed.due(TASK, 30, 1))] == ["soon"]


async def test_those_that_are_due_later_are_found_by_that(store: Store) -> None:
    await put(store, TASK, task("soon", 10), task("late", 30), task("done", 30, state=TaskState.COMPLETED))

    async def found(after: int) -> list[str]:
        tasks, _ = await store.read(lambda tx: tx.governed.find(TASK, [("owner", ALICE.name)], Page(), due_after=after))
        return [one.task_id for one in tasks]

    assert await found(9) == ["soon", "late"]
    assert await found(10) == ["late"]
    assert await found(-1) == ["soon", "late"]  # what is never due is no later than anything


async def test_the_newest_come_first_if_they_are_asked_for(store: Store) -> None:
    await put(store, OWNER, *(Owner(f"team:{n}") for n in range(4)), BOB)
    latest = await store.read(lambda tx: tx.governed.latest(OWNER, [("state", "active")], 2))
    assert [one.name for one in latest] == ["team:3", "team:2"]
    assert await store.read(lambda tx: tx.governed.latest(OWNER, [("state", "gone")], 2)) == []


async def test_a_principals_last_events_are_in_their_order(store: Store) -> None:
    events = [told(name, principal=principal) for name, principal in zip("abcd", ("p1", "p2", "p1", "p1"), strict=True)]
    for event in events:
        await store.write(lambda tx, one=event: record(tx, one))  # type: ignore[misc]
    assert [one.subject for one in await store.read(lambda tx: tx.events.latest("p1", 2))] == ["c", "d"]
    assert [one.subject for one in await store.read(lambda tx: tx.events.latest("p2", 2))] == ["b"]


async def test_bindings_are_found_by_principal_by_entry_and_by_spiffe_id(store: Store, make_entry: MakeEntry) -> None:
    plain, bound = (
        make_entry("plain"),
        make_entry("bound", principal="bot", instance_from="unix:process", withheld=True),
    )
    for entry in (plain, bound):
        await store.write(lambda tx, one=entry: tx.entries.create(one))  # type: ignore[misc]
    ids = (plain.spiffe_id, bound.spiffe_id)
    assert await store.read(lambda tx: tx.entries.of_principal("bot")) == [bound]
    assert await store.read(lambda tx: tx.entries.binding("bound")) == bound
    assert await store.read(lambda tx: (tx.entries.binding("plain"), tx.entries.binding("none"))) == (None, None)
    assert await store.read(lambda tx: tx.entries.bindings_at(ids)) == [bound]
    assert await store.read(lambda tx: tx.entries.bindings_at(ids[:1])) == []


async def test_deleting_says_whether_there_was_one(store: Store) -> None:
    await store.write(lambda tx: tx.governed.put(OWNER, ALICE))
    assert await store.write(lambda tx: erase(tx, told("x"), OWNER, ALICE.name))
    assert not await store.write(lambda tx: erase(tx, told("x"), OWNER, ALICE.name))
    assert await store.read(lambda tx: tx.governed.count(OWNER, [("state", "active")])) == 0
    assert len((await store.read(lambda tx: tx.events.find(Page())))[0]) == 1


async def test_an_event_and_what_it_tells_of_are_one_transaction(store: Store) -> None:
    def fails(tx: object) -> None:
        record(tx, told("bot"), (PRINCIPAL, BOT))  # type: ignore[arg-type]  # a transaction
        raise InvalidArgumentError("no")

    with pytest.raises(InvalidArgumentError):
        await store.write(fails)
    assert await store.read(lambda tx: tx.governed.get(PRINCIPAL, "bot")) is None
    assert await store.read(lambda tx: tx.events.find(Page())) == ([], "")


async def test_events_are_read_in_order_by_task_and_by_principal(store: Store) -> None:
    events = [told("a", "t1", "p1"), told("b", "t2", "p1"), told("c", "t1", "p2")]
    for event in events:
        await store.write(lambda tx, one=event: record(tx, one))  # type: ignore[misc]

    async def subjects(**where: str) -> list[str]:
        found, _ = await store.read(lambda tx: tx.events.find(Page(), **where))
        return [one.subject for one in found]

    assert await subjects() == ["a", "b", "c"]
    assert await subjects(task_id="t1") == ["a", "c"]
    assert await subjects(principal="p1") == ["a", "b"]
    assert await subjects(task_id="t1", principal="p2") == ["c"]


def test_a_state_that_is_not_known_is_not_active() -> None:
    assert TaskState("paused") is TaskState.UNKNOWN
    assert not task("t", 10, state=TaskState("paused")).active(1)
    assert task("t", 10).active(9)
    assert not task("t", 10).active(10)
    assert not task("t", 10, heartbeat=3, heartbeat_at=1).active(4)
