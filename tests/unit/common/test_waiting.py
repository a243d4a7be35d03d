import asyncio

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

    with pytest.raises(ExceptionGroup) as caught:
        await first_of(asyncio.Event().wait(), fail())
    assert caught.group_contains(LookupError)
