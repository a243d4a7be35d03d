# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Requirement 6: owners, and that nothing acts for one who has left, even if the server dies halfway."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay_server.datastore.base import Page
from assay_server.governance import orphans
from assay_server.governance.deed import Deed
from assay_server.governance.orphans import SLICE, sweep_slice
from assay_server.governance.principal_state import Move
from assay_server.governance.sweeper import ACTOR, INTERVAL
from assay_server.model.governed.event import EventType
from assay_server.model.governed.owner import OWNER, OwnerState
from assay_server.model.governed.principal import PRINCIPAL, PrincipalState
from assay_server.model.governed.task import TaskState

ALICE, BOB, ME = "person:alice@corp", "person:bob@corp", "local:1000"


@pytest.mark.parametrize(
    "name",
    ["", "alice", "person:", "robot:alice", "person:a b", "team:x/y", "person:" + "x" * 200, "person:ä", "Person:a"],
)
async def test_an_owner_is_a_person_or_a_team(house: Any, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not an owner's name"):
        await house.owners.add(name, ME)


async def test_an_owner_is_known_once_and_left_once(house: Any) -> None:
    with pytest.raises(AlreadyExistsError):
        await house.owners.add(ALICE, ME)
    await house.owners.leave(ALICE, ME)
    with pytest.raises(FailedPreconditionError, match="left already"):
        await house.owners.leave(ALICE, ME)
    with pytest.raises(AlreadyExistsError) as refused:
        await house.owners.add(ALICE, ME)
    assert refused.value.hint == f"assay owner return {ALICE}"
    for work in (house.owners.leave("team:x", ME), house.owners.come_back("team:x", ME), house.owners.get("team:x")):
        with pytest.raises(NotFoundError):
            await work
    with pytest.raises(FailedPreconditionError, match="has not left"):
        await house.owners.come_back(BOB, ME)


async def test_leaving_suspends_at_once_and_says_what_that_did(house: Any) -> None:
    """Requirement 6: principals, bindings, tasks and credentials, in one transaction."""
    await house.activate()
    await house.activate("other", owner=BOB)
    await house.register("staged")
    entry, untouched = await house.bind(), await house.bind("other")
    await house.work()
    await house.work("other", owner=BOB)

    left = await house.owners.leave(ALICE, ME)
    assert left.stopped.principals == ("bot",)
    assert (left.stopped.tasks, left.stopped.credentials, left.stopped.bindings, left.pending) == (1, 1, 1, 0)
    suspended = await house.get()
    assert (suspended.state, suspended.state_reason) == (PrincipalState.SUSPENDED, "owner left")
    assert (await house.get("staged")).state is PrincipalState.STAGED
    assert (await house.get("other")).state is PrincipalState.ACTIVE
    assert (await house.entry(entry.id)).withheld
    assert not (await house.entry(untouched.id)).withheld
    assert (await house.task()).state_reason == "owner_left"
    assert (await house.credential()).cause == "owner_left"
    assert (await house.task("other")).state is TaskState.ACTIVE
    assert house.swept == 0
    with pytest.raises(FailedPreconditionError, match="live owner"):
        await house.move("bot", Move.RESUME)
    with pytest.raises(FailedPreconditionError, match="live owner"):
        await house.move("staged", Move.ACTIVATE)


async def test_tasks_of_principals_that_got_another_owner_end_too(house: Any) -> None:
    await house.activate()
    await house.work()
    await house.principals.update(replace(house.whole, owner=BOB), ("owner",), ME)
    left = await house.owners.leave(ALICE, ME)
    assert (left.stopped.principals, left.stopped.tasks) == ((), 1)
    assert (await house.get()).state is PrincipalState.ACTIVE
    assert (await house.task()).state is TaskState.REVOKED


async def test_returning_leaves_principals_suspended_until_each_is_resumed(house: Any) -> None:
    await house.activate()
    await house.owners.leave(ALICE, ME)
    report = await house.owners.come_back(ALICE, ME)
    assert report.principals == {PrincipalState.SUSPENDED: 1}
    assert (report.owner.state, report.owner.left_at) == (OwnerState.ACTIVE, 0)
    assert (await house.get()).state is PrincipalState.SUSPENDED
    assert (await house.move("bot", Move.RESUME)).state is PrincipalState.ACTIVE


async def test_another_owner_can_take_over(house: Any) -> None:
    await house.activate()
    await house.owners.leave(ALICE, ME)
    with pytest.raises(FailedPreconditionError, match="has left"):
        await house.principals.update(house.whole, ("owner",), ME)
    await house.principals.update(replace(house.whole, owner=BOB), ("owner",), ME)
    assert (await house.move("bot", Move.RESUME)).owner == BOB


async def many(house: Any, number: int) -> None:
    """So many active principals of Alice's, written through the store."""
    active = replace(house.whole, state=PrincipalState.ACTIVE)
    await house.store.write(
        lambda tx: [tx.governed.put(PRINCIPAL, replace(active, name=f"bot-{at}")) for at in range(number)]
    )


async def active(house: Any) -> int:
    count: int = await house.store.read(lambda tx: tx.governed.count(PRINCIPAL, [("state", "active")]))
    return count


async def test_many_are_suspended_in_slices_by_the_sweeper(house: Any) -> None:
    await many(house, 2 * SLICE + 50)
    left = await house.owners.leave(ALICE, ME)
    assert (len(left.stopped.principals), left.pending) == (SLICE, SLICE + 50)
    assert house.swept == 1
    stopped = await house.sweeper.sweep()
    assert len(stopped.principals) == SLICE + 50
    assert await active(house) == 0
    assert (await house.events("bot-249"))[-1].actor == ACTOR
    assert (await house.sweeper.sweep()).principals == ()


async def test_a_sweep_goes_on_where_it_was_killed(house: Any) -> None:
    """What is left to do is what the store says: another sweeper takes the next slice."""
    await many(house, 3 * SLICE)
    await house.owners.leave(ALICE, ME)
    await house.store.write(lambda tx: sweep_slice(tx, ALICE, Deed(ACTOR, 1)))
    assert await active(house) == SLICE
    assert len((await house.sweeper.sweep()).principals) == SLICE
    assert await active(house) == 0


async def test_who_returns_in_mid_sweep_keeps_what_is_active(house: Any) -> None:
    await many(house, 2 * SLICE)
    await house.owners.leave(ALICE, ME)
    await house.owners.come_back(ALICE, ME)
    assert (await house.sweeper.sweep()).principals == ()
    assert await active(house) == SLICE


async def test_an_owner_who_left_is_swept_once(house: Any) -> None:
    await house.owners.leave(ALICE, ME)
    owner = await house.store.read(lambda tx: tx.governed.get(OWNER, ALICE))
    assert owner.swept_at == house.now
    assert await house.store.read(orphans.unswept) == []
    changes = [one.details["change"] for one in await house.events() if one.type is EventType.OWNER_CHANGED]
    assert changes == ["added", "added", "left", "swept"]


async def test_the_sweeper_looks_now_and_then_and_when_it_is_asked(house: Any) -> None:
    running = asyncio.ensure_future(house.sweeper.run())  # noqa: TID251 - ended below
    try:
        await house.clock.wait_sleepers()
        await many(house, 2 * SLICE)
        await house.owners.leave(ALICE, ME)
        house.clock.advance(INTERVAL)
        await until_swept(house)
        await house.owners.come_back(ALICE, ME)
        await many(house, 2 * SLICE)
        await house.owners.leave(ALICE, ME)
        house.sweeper.ask()
        await until_swept(house)
    finally:
        running.cancel()
    assert await active(house) == 0


async def until_swept(house: Any) -> None:
    async for _ in house.store.watch():
        if not await house.store.read(orphans.unswept):
            return


async def test_owners_are_listed_by_state(house: Any) -> None:
    await house.owners.leave(BOB, ME)
    names = [one.name for one in (await house.owners.find(None, Page()))[0]]
    left = [one.name for one in (await house.owners.find(OwnerState.LEFT, Page()))[0]]
    assert (names, left) == ([ALICE, BOB], [BOB])
