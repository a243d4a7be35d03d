"""Reports of verifiers in the ledger: each once, gaps and nonsense said, and nobody kept waiting by a flood of them."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page, Store
from assay_server.governance.intake import BURST, RATE, Intake, TooManyReportsError
from assay_server.governance.reported import MOST
from assay_server.governance.reports import MAX_REPORTS, take
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.report import REPORTER, REPORTER_KEPT, Report
from assay_server.model.governed.task import Task

World = Any  # the fixture's, of conftest.py

CRM = SpiffeId.parse("spiffe://example.org/crm")
TRACE = "0af7651916cd43dd8448eb211c80319c"
DIGEST = "sha-256:" + "A" * 43
NAMES = itertools.count(1)
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"


@pytest.fixture
async def task(world: World) -> Task:
    """A task that handed out the token `crd_1`."""
    made: Task = Task(
        "tsk_1", "bot", "", world.alice.name, "acme", "prod", world.request().intent, world.request().authority,
        "", "", "operator:local:0", world.now, world.now + 600,
    )  # fmt: skip
    await world.put(made, world.credential(made, "crd_1"))
    return made


@pytest.fixture
def report(world: World, task: Task) -> Report:
    return Report(
        "tool.use", world.now, "crd_1", task.task_id, world.me, world.crm.uri, "crm.read", world.crm.uri, "allowed", "",
        DIGEST, "tickets", "dec_1", 0, TRACE,
    )  # fmt: skip


async def taken(world: World, first: int, *reports: Report, reporter: str = "r1") -> int:
    last: int = await world.store.write(lambda tx: take(tx, reporter, CRM, first, reports, world.now))
    return last


async def told(world: World) -> list[Event]:
    events: list[Event] = await world.events()
    return events


def causes(events: Sequence[Event]) -> list[str]:
    return [one.details["cause"] for one in events if one.type is EventType.EXCEPTION]


async def test_a_report_is_an_event_of_its_kind_by_the_verifier_about_the_token(world: World, report: Report) -> None:
    assert await taken(world, 1, report) == 1
    (event,) = await told(world)
    assert (event.type, event.actor, event.subject, event.at) == (EventType.TOOL_USE, str(CRM), "crd_1", world.now)
    assert (event.task_id, event.principal, event.actor_type) == ("tsk_1", "bot", "ai_agent")
    assert event.details == {
        "reporter": "r1", "number": 1, "at": world.now, "jti": "crd_1", "spiffe_id": world.me,
        "audience": world.crm.uri, "action": "crm.read", "resource": world.crm.uri, "outcome": "allowed", "reason": "",
        "parameters_digest": DIGEST, "data_class": "tickets", "decision_id": "dec_1", "staleness": 0, "trace_id": TRACE,
    }  # fmt: skip


async def test_one_action_may_be_all_three(world: World, report: Report) -> None:
    """Requirement 56: tool use, data access and privilege elevation are events of their own."""
    kinds = ("tool.use", "data.access", "privilege.elevation")
    await taken(world, 1, *(replace(report, kind=one) for one in kinds))
    events = await told(world)
    assert tuple(one.type.value for one in events) == kinds
    assert {one.details["decision_id"] for one in events} == {"dec_1"}
    assert {one.details["trace_id"] for one in events} == {TRACE}


async def test_what_is_sent_again_is_taken_again_without_a_second_event(world: World, report: Report) -> None:
    assert await taken(world, 1, report, report) == 2
    sequence = world.store.sequence
    assert await taken(world, 1, report, report) == 2
    assert await taken(world, 1, report) == 2
    assert await taken(world, 3) == 2
    assert world.store.sequence == sequence
    assert await taken(world, 2, report, report) == 3  # the second of them is new
    assert [one.details["number"] for one in await told(world)] == [1, 2, 3]
    assert await taken(world, 1, report, reporter="r2") == 1  # another memory counts for itself


async def test_numbers_that_never_came_are_said(world: World, report: Report) -> None:
    await taken(world, 1, report)
    assert await taken(world, 5, report) == 5
    _, gap, use = await told(world)
    assert (gap.type, gap.actor, use.type) == (EventType.EXCEPTION, str(CRM), EventType.TOOL_USE)
    assert gap.details == {"cause": "report_gap", "reporter": "r1", "from": 2, "to": 4}
    await taken(world, 3, report, reporter="r2")
    assert (await told(world))[-2].details == {"cause": "report_gap", "reporter": "r2", "from": 1, "to": 2}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 5)), max_size=8))
async def test_each_number_is_taken_once_or_within_a_gap(
    world: World, report: Report, batches: list[tuple[int, int]]
) -> None:
    reporter, last = f"r{next(NAMES)}", 0
    for first, number in batches:
        answer = await taken(world, first, *[report] * number, reporter=reporter)
        assert answer == (max(last, first + number - 1) if number else last)
        last = answer
    mine = [one.details for one in await told(world) if one.details["reporter"] == reporter]
    numbers = [n for one in mine for n in (range(one["from"], one["to"] + 1) if "from" in one else [one["number"]])]
    assert numbers == list(range(1, last + 1))


@pytest.mark.parametrize(
    ("changes", "cause", "withheld"),
    [
        ({"kind": "tool.abuse"}, "report_kind_unknown", []),
        ({"kind": "k" * 100}, "report_kind_unknown", ["kind"]),
        ({"jti": "crd_gone"}, "credential_unknown", []),
        ({"jti": ""}, "credential_unknown", []),
        ({"audience": "https://erp"}, "audience_mismatch", []),
        ({"task_id": "tsk_2"}, "task_mismatch", []),
        ({"outcome": "maybe"}, "report_malformed", []),
        ({"reason": "x" * 600}, "report_malformed", ["reason"]),
        ({"reason": f"token {TOKEN}"}, "report_malformed", ["reason"]),
        ({"jti": TOKEN}, "report_malformed", ["jti"]),
        ({"action": "a\nb"}, "report_malformed", ["action"]),
        ({"parameters_digest": '{"card": "4111"}'}, "report_malformed", ["parameters_digest"]),
        ({"trace_id": "abc"}, "report_malformed", ["trace_id"]),
        ({"staleness": 2**60}, "report_malformed", ["staleness"]),
        ({"at": -1}, "report_malformed", ["at"]),
    ],
)
async def test_what_is_not_as_it_has_to_be_is_an_exception_without_what_is_wrong(
    world: World, report: Report, changes: dict[str, Any], cause: str, withheld: list[str]
) -> None:
    await taken(world, 1, replace(report, **changes))
    (event,) = await told(world)
    assert (event.type, event.actor, event.details["cause"]) == (EventType.EXCEPTION, str(CRM), cause)
    assert event.details.get("withheld", []) == withheld
    assert (event.details["number"], event.task_id) == (1, "tsk_1")
    kept = json.dumps(event.details)
    assert not [one for one in withheld if str(changes[one]) in kept]


async def test_a_verifier_reports_of_what_it_is_registered_for(world: World, report: Report) -> None:
    await world.put(replace(world.crm, verifiers=("spiffe://example.org/other",)))
    await taken(world, 1, report)
    await world.put(replace(world.crm, verifiers=(str(CRM),)))
    await taken(world, 2, report)
    assert [one.type for one in await told(world)] == [EventType.EXCEPTION, EventType.TOOL_USE]
    assert causes(await told(world)) == ["verifier_unknown"]


async def test_a_credential_for_no_audience_is_used_at_any(world: World, task: Task, report: Report) -> None:
    await world.put(world.credential(task, "crd_1", kind="wit-svid", audience=""))
    await taken(world, 1, report)
    assert causes(await told(world)) == []


@pytest.mark.parametrize(("off", "cause"), [(61, ["clock_off"]), (60, []), (-60, []), (-61, ["clock_off"])])
async def test_a_clock_that_is_off_is_an_exception(world: World, report: Report, off: int, cause: list[str]) -> None:
    await taken(world, 1, replace(report, at=world.now + off))
    assert causes(await told(world)) == cause


async def test_what_was_kept_while_the_server_was_away_is_no_clock_that_is_off(
    world: World, report: Report, clock: FakeClock
) -> None:
    clock.advance(3000)
    await taken(world, 1, report)
    assert causes(await told(world)) == []


async def test_a_use_that_was_decided_without_knowing_is_an_exception_beside_it(world: World, report: Report) -> None:
    await taken(world, 1, replace(report, staleness=40))
    use, exception = await told(world)
    assert (use.type, exception.type) == (EventType.TOOL_USE, EventType.EXCEPTION)
    assert (exception.details["cause"], exception.details["staleness"]) == ("degraded_decision", 40)
    assert (exception.task_id, exception.subject) == ("tsk_1", "crd_1")


@pytest.mark.parametrize(("outcome", "cause"), [("allowed", ["allowed_after_end"]), ("refused", []), ("failed", [])])
async def test_a_use_of_what_had_ended_is_an_exception_beside_it(
    world: World, task: Task, report: Report, outcome: str, cause: list[str], clock: FakeClock
) -> None:
    await world.put(world.credential(task, "crd_1", revoked_at=world.now))
    clock.advance(100)
    await taken(world, 1, replace(report, outcome=outcome, at=world.now))
    assert causes(await told(world)) == cause


async def test_reports_of_a_task_without_a_token_are_put_down_to_it_only_if_it_exists(
    world: World, report: Report
) -> None:
    await taken(world, 1, replace(report, jti="gone", task_id="tsk_invented"), replace(report, jti="gone"))
    assert [(one.task_id, one.principal) for one in await told(world)] == [("", ""), ("tsk_1", "")]


@pytest.mark.parametrize(
    ("reporter", "first"), [("", 1), ("x" * 129, 1), ("a\nb", 1), ("r1", 0), ("r1", MOST), ("r1", 2**64 - 1)]
)
async def test_a_reporter_that_is_none_and_numbers_out_of_range_are_refused(
    world: World, report: Report, reporter: str, first: int
) -> None:
    with pytest.raises(InvalidArgumentError):
        await taken(world, first, report, reporter=reporter)
    assert await told(world) == []


async def test_a_reporter_that_is_silent_for_long_is_forgotten_with_an_event(
    world: World, report: Report, clock: FakeClock
) -> None:
    await taken(world, 1, report)
    clock.advance(REPORTER_KEPT)
    await taken(world, 1, replace(report, at=world.now), reporter="r2")
    assert causes(await told(world)) == ["reporter_forgotten", "allowed_after_end"]
    found, _ = await world.store.read(lambda tx: tx.governed.find(REPORTER, (), Page()))
    assert [one.name for one in found] == ["r2"]


async def test_a_flood_is_refused_until_there_is_room_and_loses_nothing(
    world: World, report: Report, store: Store, clock: FakeClock
) -> None:
    intake = Intake(store, clock)
    flood = [report] * (BURST + 500)
    assert await intake.take("r1", CRM, 1, flood) == BURST
    with pytest.raises(TooManyReportsError, match=r"again in 1 s") as refused:
        await intake.take("r1", CRM, BURST + 1, flood[BURST:])
    assert 0 < refused.value.after <= 1
    other = SpiffeId.parse("spiffe://example.org/erp")
    assert await intake.take("r1", other, 1, [report]) == 1
    clock.advance(2)
    assert await intake.take("r1", CRM, BURST + 1, flood[BURST:]) == BURST + 2 * RATE
    numbers = [one.details["number"] for one in await told(world) if one.actor == str(CRM)]
    assert numbers == list(range(1, BURST + 2 * RATE + 1))


async def test_whoever_writes_beside_a_flood_waits_for_one_small_transaction_at_a_time(
    world: World, report: Report, store: Store, clock: FakeClock
) -> None:
    intake = Intake(store, clock)
    verifiers = [SpiffeId.parse(f"spiffe://example.org/verifier/{n}") for n in range(40)]
    async with asyncio.TaskGroup() as tasks:
        flood = [tasks.create_task(intake.take("r1", one, 1, [report] * BURST)) for one in verifiers]
        await asyncio.sleep(0)
        before = store.sequence
        for number in range(5):
            await world.put(replace(world.alice, created_at=number))
        # At most the one under way and the one that came between; an event is one change, and each has one object more.
        assert store.sequence - before <= 5 * (1 + 3 * (MAX_REPORTS + 1))
        assert not any(one.done() for one in flood)
        for one in flood:
            one.cancel()
