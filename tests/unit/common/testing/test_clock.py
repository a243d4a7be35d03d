import asyncio
from datetime import timedelta

from assay.testing.clock import START, FakeClock


def test_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock()
    assert (clock.now(), clock.monotonic()) == (START, 0)
    clock.advance(90)
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=90), 90)


async def test_wakes_who_is_due_in_the_order_of_their_times() -> None:
    clock, woken = FakeClock(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (30, 10, 20):
            tasks.create_task(sleeper(seconds))
        await clock.wait_sleepers(3)
        clock.advance(20)
        await clock.sleep(0)
        await clock.sleep(0)
        assert woken == [10, 20]
        assert clock.sleepers == 1
        clock.advance(10)
    assert woken == [10, 20, 30]


async def test_no_time_to_sleep_is_one_turn_of_the_loop() -> None:
    clock = FakeClock()
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.sleepers == 0


async def test_who_was_cancelled_does_not_sleep_any_more() -> None:
    clock = FakeClock()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(clock.sleep(5))
        await clock.wait_sleepers()
        task.cancel()
    assert clock.sleepers == 0
    clock.advance(5)


async def test_runs_in_steps_so_that_loops_tick() -> None:
    clock, ticks = FakeClock(), list[float]()

    async def loop() -> None:
        while True:
            await clock.sleep(10)
            ticks.append(clock.monotonic())

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(loop())
        await clock.wait_sleepers()
        await clock.run(35)
        task.cancel()
    assert ticks == [10, 20, 30]
