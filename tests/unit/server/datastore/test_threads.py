"""The store's threads: results come back to the loop, and nothing that fails ends a thread."""

import asyncio
import threading
from functools import partial

import pytest

from assay_server.datastore.sql.threads import Threads


def _end(_: str) -> None:
    raise StopIteration


def _interrupted(_: str) -> None:
    raise KeyboardInterrupt


async def test_functions_get_the_resource_of_their_thread() -> None:
    threads = Threads("some", ["mine"])
    assert await threads.run(lambda resource: (resource, threading.current_thread().name)) == ("mine", "some_0")
    await threads.close()


async def test_one_thread_keeps_the_order_and_several_work_at_once() -> None:
    one = Threads("one", [0])
    seen: list[int] = []

    def noting(number: int, _: int) -> None:
        seen.append(number)

    await asyncio.gather(*[one.run(partial(noting, number)) for number in range(50)])
    assert seen == list(range(50))
    await one.close()
    two = Threads("two", [0, 1])
    meeting = threading.Barrier(2, timeout=30)
    assert set(await asyncio.gather(*[two.run(lambda _: meeting.wait()) for _ in range(2)])) == {0, 1}
    await two.close()


async def test_what_is_raised_is_raised_to_whoever_waits() -> None:
    threads = Threads("some", [""])
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda _: 1 // 0)
    with pytest.raises(KeyboardInterrupt):
        await threads.run(_interrupted)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(_end)
    assert await threads.run(lambda _: "still here") == "still here"
    await threads.close()


async def test_what_was_taken_is_finished_before_the_end() -> None:
    threads = Threads("some", [""])
    gate = threading.Event()
    first, second = threads.run(lambda _: gate.wait()), threads.run(lambda _: "done")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(threads.close())
        await asyncio.sleep(0)
        gate.set()
    assert (await first, await second) == (True, "done")


async def test_it_runs_also_when_nobody_waits_any_longer() -> None:
    threads = Threads("some", [""])
    gate, ran = threading.Event(), threading.Event()
    waiting = threads.run(lambda _: gate.wait())
    waiting.cancel()
    gate.set()
    await threads.run(lambda _: ran.set())
    assert waiting.cancelled()
    assert ran.is_set()
    await threads.close()


def test_a_loop_that_is_closed_ends_no_thread() -> None:
    gate, ran = threading.Event(), threading.Event()

    async def leave() -> Threads[str]:
        threads = Threads("some", [""])
        threads.run(lambda _: gate.wait())
        threads.run(lambda _: ran.set())
        return threads

    threads = asyncio.run(leave())
    gate.set()
    assert ran.wait(30)
    asyncio.run(threads.close())
