import asyncio
import gc
import weakref
from contextlib import suppress

import pytest

from assay.waiting import first_of


async def test_the_first_ends_the_wait_and_the_others() -> None:
    ended = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    come = asyncio.Event()
    asyncio.get_running_loop().call_soon(come.set)
    await first_of(never(), come.wait())
    assert ended.is_set()


async def test_what_one_raises_is_raised() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await first_of(asyncio.Event().wait(), fail())


async def test_cancelled_it_leaves_nothing_behind() -> None:
    kept = []

    class Thing:
        pass

    async def wait(thing: Thing) -> None:
        kept.append(weakref.ref(thing))
        await first_of(asyncio.Event().wait(), asyncio.Event().wait())

    gc.disable()
    try:
        task = asyncio.create_task(wait(Thing()))  # noqa: TID251 - a task group keeps what ends it
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        del task
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        assert kept.pop()() is None
    finally:
        gc.enable()
