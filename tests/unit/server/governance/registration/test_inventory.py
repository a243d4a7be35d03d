# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Requirement 8: every identity with its owner, its live credentials and its last use; unused and orphaned ones."""

from dataclasses import replace
from typing import Any

import pytest

from assay_server.datastore.base import Page
from assay_server.governance.inventory import EVENTS, Wanted
from assay_server.governance.principal_state import Move
from assay_server.model.governed.owner import OwnerState
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, ActorType, Instance, PrincipalState
from assay_server.model.governed.task import CREDENTIAL

ALICE, BOB, ME = "person:alice@corp", "person:bob@corp", "local:1000"
DAY = 86_400


async def names(house: Any, **wanted: Any) -> list[str]:
    found, _ = await house.inventory.find(Wanted(**wanted), Page())
    return [one.principal.name for one in found]


async def test_a_report_has_all_that_hangs_on_it(house: Any) -> None:
    await house.activate()
    entry = await house.bind(instance_from="unix:process")
    _, token = await house.work()
    house.clock.advance(10)
    made = [
        Instance(f"{entry.spiffe_id}/{at}", "bot", entry.id, str(at), "node", house.now - 5, house.now - at)
        for at in range(2)
    ]
    spent = replace(token, jti="crd_2", revoked_at=1)
    await house.store.write(
        lambda tx: ([tx.governed.put(INSTANCE, one) for one in made], tx.governed.put(CREDENTIAL, spent))
    )
    report = await house.inventory.get("bot")
    assert (report.live_credentials, report.live_tasks, report.instance_count) == (1, 1, 2)
    assert (report.owner_state, report.orphaned, report.missing) == (OwnerState.ACTIVE, False, ())
    assert report.instances == (made[1], made[0])
    assert report.bindings == (entry,)
    assert report.last_used_at == house.now
    assert [one.details["change"] for one in report.events] == ["registered", "activated", "bound"]
    house.clock.advance(300)
    assert (await house.inventory.get("bot")).live_credentials == 0


async def test_the_last_events_are_shown(house: Any) -> None:
    await house.activate()
    for _ in range(EVENTS):
        await house.move("bot", Move.SUSPEND)
        await house.move("bot", Move.RESUME)
    events = (await house.inventory.get("bot")).events
    assert len(events) == EVENTS
    assert [one.details["change"] for one in events[-2:]] == ["suspended", "resumed"]
    assert events == tuple((await house.events("bot"))[-EVENTS:])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"owner": BOB}, ["b"]),
        ({"tenant": "beta"}, ["c"]),
        ({"state": PrincipalState.ACTIVE}, ["a"]),
        ({"actor_type": "machine"}, ["b"]),
        ({"owner": ALICE, "tenant": "acme"}, ["a"]),
        ({"orphaned": True}, []),
    ],
)
async def test_listed_by_what_it_is(house: Any, wanted: dict[str, Any], found: list[str]) -> None:
    await house.activate("a")
    await house.register("b", owner=BOB, actor_type=ActorType.MACHINE)
    await house.register("c", tenant="beta")
    assert await names(house, **wanted) == found


async def test_orphans_are_those_without_a_live_owner_who_are_not_retired(house: Any) -> None:
    await house.activate("active")
    await house.register("staged")
    await house.register("retired")
    await house.move("retired", Move.RETIRE)
    await house.register("other", owner=BOB)
    await house.owners.leave(ALICE, ME)
    unknown = replace(house.whole, name="unknown", owner="person:nobody")
    await house.store.write(lambda tx: tx.governed.put(PRINCIPAL, unknown))
    assert await names(house, orphaned=True) == ["active", "staged", "unknown"]


async def test_unused_are_those_that_nobody_used_for_so_long(house: Any) -> None:
    await house.activate("old")
    await house.activate("used")
    house.clock.advance(40 * DAY)
    await house.work("used")
    await house.activate("new")
    assert await names(house, unused=30 * DAY) == ["old"]
    assert await names(house, unused=41 * DAY) == []
    house.clock.advance(30 * DAY - 1)
    assert await names(house, unused=30 * DAY) == ["old", "used"]  # of an expired credential nothing is left to see
    house.clock.advance(1)
    assert await names(house, unused=30 * DAY) == ["old", "used", "new"]


async def test_a_page_may_hold_fewer_than_asked_and_none_is_passed_over(house: Any) -> None:
    for number in range(5):
        await house.register(
            f"bot-{number}", tenant="acme" if number % 2 else "beta", owner=ALICE if number < 4 else BOB
        )
    await house.owners.leave(BOB, ME)
    seen, token = [], ""
    while True:
        found, token = await house.inventory.find(Wanted(orphaned=True), Page(2, token))
        seen += [one.principal.name for one in found]
        if not token:
            break
    assert seen == ["bot-4"]
