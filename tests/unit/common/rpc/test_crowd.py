"""How many calls of one user are under way at a time, on all connections together."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from assay.http2 import frame
from assay.rpc.crowd import Crowd
from assay.rpc.server import Options
from assay.testing.wait import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.common.rpc.conftest import House, Houses

MOST = 6

# As many calls as it is told to, on two connections, and says how many are refused and how many are not.
CALLER = """
import asyncio, sys
from pathlib import Path
from assay.workloadapi import Endpoint
from assay.rpc.client import Channel
from assay.rpc.status import EndError

async def main():
    path, count = Endpoint.of_path(Path(sys.argv[1])), int(sys.argv[2])
    channels = [Channel(path.connect, max_message=100) for _ in range(2)]
    rpc = "/assay.testing.Rpc/Unary"
    calls = [asyncio.ensure_future(channels[n % 2].unary(rpc, b"x", (), timeout=None)) for n in range(count)]
    refused = 0
    while refused < count - int(sys.argv[3]):
        done, _ = await asyncio.wait([one for one in calls if not one.done()], return_when=asyncio.FIRST_COMPLETED)
        refused += len(done)
    print(refused, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(sum(answer == b"x" for answer in await asyncio.gather(*calls, return_exceptions=True)), flush=True)

asyncio.run(main())
"""


def test_each_user_is_counted_alone_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd(2)
    assert [crowd.enter(1) for _ in range(4)] == [True, True, False, False]
    assert crowd.enter(2)
    assert [record.message for record in caplog.records] == ["Too many calls at once"]
    crowd.leave(1)
    assert [crowd.enter(1), crowd.enter(1)] == [True, False]
    for uid in (1, 1, 2):
        crowd.leave(uid)
    assert len(crowd) == 0
    assert len(caplog.records) == 2


@pytest.fixture
async def crowded(houses: Houses) -> House:
    """A server on which a user may have so many calls, that last until they are let go."""
    return await houses(Options(calls_per_user=MOST))


@asynccontextmanager
async def caller(path: Path, count: int, let: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALLER, str(path), str(count), str(let),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout
    async with asyncio.timeout(30):
        return await process.stdout.readline()


async def test_what_is_too_much_is_refused_without_reaching_a_handler(crowded: House) -> None:
    go = asyncio.Event()
    begun = 0

    async def behave(request: bytes, _context: Any) -> bytes:  # noqa: ANN401 - the context
        nonlocal begun
        begun += 1
        await go.wait()
        return request

    crowded.behave = behave
    async with caller(crowded.path, 20, MOST) as process:
        assert await said(process) == b"14\n"
        assert begun == MOST
        # This process's own calls are not counted.
        async with crowded.channel() as channel:
            own = [channel.unary_unary("/assay.testing.Rpc/Unary")(b"y") for _ in range(2 * MOST)]
            await until(lambda: begun == 3 * MOST)
            go.set()
            assert await asyncio.gather(*own) == [b"y"] * 2 * MOST
        assert process.stdin
        process.stdin.write(b"\n")
        assert await said(process) == b"%d\n" % MOST
    crowd = crowded.server._crowd
    assert crowd is not None
    await until(lambda: len(crowd) == 0)


@pytest.mark.parametrize("how", ["reset", "half", "gone", "answered", "garbage"])
async def test_every_way_a_call_ends_counts_it_out(crowded: House, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 0)  # what connects from here counts as another process

    async def behave(request: bytes, _context: Any) -> bytes:  # noqa: ANN401 - the context
        if how != "answered":
            await asyncio.Event().wait()
        return request

    crowded.behave = behave
    crowd = crowded.server._crowd
    assert crowd is not None
    raw = await crowded.raw()
    for stream in (1, 3):
        raw.call(stream)
        if how != "half":
            raw.message(b"x", stream, flag=2 if how == "garbage" else 0)
    if how not in {"answered", "garbage"}:
        await until(lambda: len(crowd) == 2)
    if how in {"reset", "half"}:
        for stream in (1, 3):
            raw.send(frame.frame(frame.RST_STREAM, 0, stream, bytes(4)))
    elif how == "gone":
        raw.close()
    else:
        await raw.answer(1)
        await raw.answer(3)
    await until(lambda: len(crowd) == 0)
    raw.close()
