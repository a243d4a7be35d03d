"""The daemon's task owner: order of ending, failures, grace, signals."""

import asyncio
import os
import signal

import pytest
from structlog.testing import capture_logs

from assay.supervisor import Supervisor


class PartError(Exception):
    pass


async def _forever(name: str, journal: list[str]) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        journal.append(name)


async def test_parts_end_in_reverse_order_and_a_stop_is_no_error() -> None:
    journal: list[str] = []

    async def close() -> None:
        journal.append("store")

    async with Supervisor(grace=5) as supervisor:
        supervisor.defer("store", close)
        supervisor.start("a", lambda: _forever("a", journal))
        supervisor.start("b", lambda: _forever("b", journal))
        asyncio.get_running_loop().call_soon(supervisor.stop)
        await supervisor.wait_stopped()
    assert journal == ["b", "a", "store"]


async def test_each_part_has_ended_before_the_one_below_it_is_told() -> None:
    journal: list[str] = []
    released = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await released.wait()
            journal.append("slow")

    async def low() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            journal.append("low")

    async with Supervisor(grace=5) as supervisor:
        supervisor.start("low", low)
        supervisor.start("slow", slow)
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.call_soon(supervisor.stop)
        loop.call_later(0.01, released.set)
        await supervisor.wait_stopped()
    assert journal == ["slow", "low"]


async def test_the_first_failure_ends_everything_and_is_raised() -> None:
    journal: list[str] = []

    async def fail() -> None:
        raise PartError("broken")

    with capture_logs() as logs, pytest.raises(PartError, match="broken"):
        async with Supervisor(grace=5) as supervisor:
            supervisor.start("a", lambda: _forever("a", journal))
            supervisor.start("fails", fail)
            await supervisor.wait_stopped()
    assert journal == ["a"]
    assert [(line["event"], line["task"]) for line in logs] == [("Task failed", "fails")]


async def test_a_failure_reaches_a_body_that_is_still_starting() -> None:
    async def fail() -> None:
        raise PartError

    with capture_logs(), pytest.raises(PartError):
        async with Supervisor(grace=5) as supervisor:
            supervisor.start("fails", fail)
            await asyncio.Event().wait()


async def test_a_task_that_returns_does_not_end_the_daemon() -> None:
    ended = asyncio.Event()

    async def brief() -> None:
        ended.set()

    async with Supervisor(grace=5) as supervisor:
        supervisor.start("brief", brief)
        await ended.wait()
        await asyncio.sleep(0)
        supervisor.stop()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)


async def test_a_body_that_fails_ends_what_it_started() -> None:
    journal: list[str] = []
    with pytest.raises(PartError):
        async with Supervisor(grace=5) as supervisor:
            supervisor.start("a", lambda: _forever("a", journal))
            await asyncio.sleep(0)
            raise PartError
    assert journal == ["a"]


async def test_what_outlasts_the_grace_is_left_behind_and_said() -> None:
    hold = asyncio.Event()
    journal: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await hold.wait()

    async def stuck() -> None:
        await hold.wait()

    with capture_logs() as logs:
        async with Supervisor(grace=0.01) as supervisor:
            supervisor.start("a", lambda: _forever("a", journal))
            supervisor.defer("stuck", stuck)
            supervisor.start("stubborn", stubborn)
            await asyncio.sleep(0)
            supervisor.stop()
            await supervisor.wait_stopped()
    assert [line["event"] for line in logs] == ["Task did not stop in time", "Part did not close in time"]
    hold.set()
    await asyncio.sleep(0.01)
    assert journal == ["a"]


async def test_a_part_that_fails_to_close_does_not_keep_the_others_open() -> None:
    journal: list[str] = []

    async def fail() -> None:
        raise PartError

    async def close() -> None:
        journal.append("store")

    with capture_logs() as logs:
        async with Supervisor(grace=5) as supervisor:
            supervisor.defer("store", close)
            supervisor.defer("bad", fail)
    assert journal == ["store"]
    assert [line["event"] for line in logs] == ["Part failed to close"]


async def test_a_task_that_fails_while_stopping_does_not_hide_the_stop() -> None:
    async def fails_late() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            raise PartError from error

    with capture_logs() as logs:
        async with Supervisor(grace=5) as supervisor:
            supervisor.start("late", fails_late)
            await asyncio.sleep(0)
            supervisor.stop()
            await supervisor.wait_stopped()
    assert [line["event"] for line in logs] == ["Task failed"]


async def test_cancellation_from_outside_ends_the_parts_and_goes_on() -> None:
    journal: list[str] = []

    async def daemon() -> None:
        async with Supervisor(grace=5) as supervisor:
            supervisor.start("a", lambda: _forever("a", journal))
            await supervisor.wait_stopped()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(daemon())
        await asyncio.sleep(0.01)
        task.cancel()
    assert task.cancelled()
    assert journal == ["a"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_stop_and_are_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    async with Supervisor(grace=5) as supervisor:
        supervisor.stop_on_signals()
        os.kill(os.getpid(), number)
        await supervisor.wait_stopped()
    assert signal.getsignal(number) in {before, signal.SIG_DFL, signal.default_int_handler}


async def test_other_signals_call_what_was_asked_for_and_are_given_back() -> None:
    before, called = signal.getsignal(signal.SIGHUP), asyncio.Event()
    async with Supervisor(grace=5) as supervisor:
        supervisor.on_signals((signal.SIGHUP, signal.SIGUSR1), called.set)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            os.kill(os.getpid(), number)
            await called.wait()
            called.clear()
        supervisor.stop()
        await supervisor.wait_stopped()
    assert signal.getsignal(signal.SIGHUP) == before


async def test_the_body_can_await_again_after_the_context() -> None:
    async with Supervisor(grace=5) as supervisor:
        supervisor.stop()
        await supervisor.wait_stopped()
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
