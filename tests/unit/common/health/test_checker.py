"""When parts are looked at, and what the log says of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from assay.health.checker import FIRST_INTERVAL, INTERVAL, Checker
from assay.health.state import State, of_error
from assay.testing.clock import FakeClock

WELL, ILL = of_error("err", ""), of_error("err", "no store")


class Part:
    """A part of a daemon, as well as the test says."""

    def __init__(self, state: State = WELL) -> None:
        self.state = state
        self.looks = 0

    async def check(self) -> State:
        self.looks += 1
        return self.state


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def running(checker: Checker, clock: FakeClock) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(checker.run())
        await clock.wait_sleepers()
        yield
        task.cancel()


async def advance(clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    await clock.wait_sleepers()


async def test_looks_come_every_second_until_all_was_well_once_and_every_minute_after_that(clock: FakeClock) -> None:
    part = Part(ILL)
    async with running(Checker({"a": part.check}, clock), clock):
        await advance(clock, FIRST_INTERVAL)
        assert part.looks == 2
        part.state = WELL
        await advance(clock, FIRST_INTERVAL)
        part.state = ILL
        await advance(clock, INTERVAL - 1)
        assert part.looks == 3
        await advance(clock, 1)
        await advance(clock, FIRST_INTERVAL)
        assert part.looks == 4


async def test_nothing_is_known_before_the_first_look(clock: FakeClock) -> None:
    checker = Checker({"a": Part().check, "b": Part(ILL).check}, clock)
    assert checker.states == {"a": None, "b": None}
    await checker.look()
    assert checker.states == {"a": WELL, "b": ILL}


async def test_a_failure_is_told_when_it_begins_while_it_lasts_and_when_it_is_over(clock: FakeClock) -> None:
    part = Part(ILL)
    checker = Checker({"a": part.check}, clock)
    with capture_logs() as logs:
        await checker.look()
        clock.advance(30)
        await checker.look()
        part.state = WELL
        await checker.look()
        await checker.look()
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("error", "Health check has failed"), ("warning", "Health check failed"),
        ("error", "Health check has failed"),
        ("info", "Health check recovered"),
    ]  # fmt: skip
    assert logs[1]["details"] == "err: no store"
    assert (logs[3]["failures"], logs[3]["duration"], logs[3]["check"]) == (2, 30, "a")


async def test_a_part_on_its_way_up_is_told_of_once(clock: FakeClock) -> None:
    checker = Checker({"a": Part(State(live=True, ready=False, starting=True)).check}, clock)
    with capture_logs() as logs:
        await checker.look()
        await checker.look()
    assert [line["event"] for line in logs] == ["Health check has failed. Starting up still.", "Health check failed"]


async def test_a_check_that_is_broken_is_no_health(clock: FakeClock) -> None:
    async def broken() -> State:
        raise ZeroDivisionError

    checker = Checker({"a": broken}, clock)
    with capture_logs() as logs:
        await checker.look()
    assert checker.states == {"a": State(live=False, ready=False)}
    assert logs[0]["event"] == "Health check could not be made"
