"""What a large table costs a server: python -m bench.size [--entries N...] [--agents N]

Entries are made through the API, for five hundred parents in turn, each with a selector that all have and one of its
own; then they are listed, filtered, changed and deleted, the server is left alone, restarted, and polled by agents.
CPU is the server's.
"""

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment
from assay.transport.dial import dial_unix
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.bundle_pb2 import Bundle
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.federateswith_pb2 import FederatesWithMatch
from assay_proto.spire.api.types.selector_pb2 import Selector, SelectorMatch
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from bench.daemons import ID, UNLIMITED
from bench.figure import HEADER, Figure, best
from bench.load import echo_floor
from bench.polling import polled
from bench.running import Line, Running
from bench.store import compiled_function
from bench.store import measure as cost_of_writing

if TYPE_CHECKING:
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub

SIZES = (50_000, 100_000)
AGENTS = 50
BATCH, PAGE = 200, 500
PARENTS = 500
FOREIGN = "foreign.test"

Filter = pb.ListEntriesRequest.Filter


def member(path: str) -> SPIFFEID:
    return spiffeid_wire.to_proto(SpiffeId(ID.trust_domain, path))


def parent(number: int) -> SPIFFEID:
    """An agent that never comes."""
    return member(f"/spire/agent/x509pop/{number:040x}")


def entries(numbers: Sequence[int]) -> list[Entry]:
    """One in a hundred federates, another is downstream, another has a hint."""
    return [
        Entry(
            spiffe_id=member(f"/many/{number}"),
            parent_id=parent(number % PARENTS),
            selectors=selectors(number),
            federates_with=[FOREIGN] * (number % 100 == 0),
            downstream=number % 100 == 1,
            hint="hinted" * (number % 100 == 2),  # noqa: PLR2004 - the third of the hundred
        )
        for number in numbers
    ]


def selectors(number: int) -> list[Selector]:
    return [Selector(type="unix", value="uid:1"), Selector(type="unix", value=f"gid:{number}")]


def filters() -> Iterator[tuple[str, Filter]]:
    yield "SPIFFE ID", Filter(by_spiffe_id=member("/many/4711"))
    yield "parent ID", Filter(by_parent_id=parent(7))
    yield "hint", Filter(by_hint=StringValue(value="hinted"))
    yield "a hint nobody has", Filter(by_hint=StringValue(value="x"))
    yield "downstream", Filter(by_downstream=BoolValue(value=True))
    federating = FederatesWithMatch(trust_domains=[FOREIGN], match=FederatesWithMatch.MATCH_ANY)
    yield "federates with", Filter(by_federates_with=federating)
    yield (
        "a selector of all",
        Filter(by_selectors=SelectorMatch(selectors=selectors(1)[:1], match=SelectorMatch.MATCH_ANY)),
    )
    for match, number in SelectorMatch.MatchBehavior.items():
        wanted = SelectorMatch(selectors=selectors(4711), match=number)
        yield f"selectors, {match.removeprefix('MATCH_').lower()}", Filter(by_selectors=wanted)


async def table(server: Running, size: int) -> AsyncIterator[Figure]:
    """A table of that size: made, listed, changed."""
    async with dial_unix(server.house.admin) as channel:
        await BundleStub(channel).BatchSetFederatedBundle(
            bundle_pb2.BatchSetFederatedBundleRequest(bundle=[Bundle(trust_domain=FOREIGN)])
        )
        stub: EntryAsyncStub = EntryStub(channel)
        yield await created(server, stub, size)
        yield await listed(server, stub, size)
        for name, where in filters():
            request = pb.ListEntriesRequest(filter=where, page_size=PAGE)
            found = len((await stub.ListEntries(request)).entries)
            rate, cpu = await server.cost(partial(_list, stub, request), 20)
            yield Figure(f"a page by {name} ({found})", rate, cpu, "bare echo", server.floor.unary)
        async for figure in changed(server, stub):
            yield figure


async def _list(stub: "EntryAsyncStub", request: pb.ListEntriesRequest) -> None:
    await stub.ListEntries(request)


async def created(server: Running, stub: "EntryAsyncStub", size: int) -> Figure:
    numbers = iter(range(size))

    async def create() -> None:
        batch = entries(list(itertools.islice(numbers, BATCH)))
        answer = await stub.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=batch))
        if any(result.status.code for result in answer.results):
            raise SystemExit(f"an entry was refused: {answer}")

    rate, cpu = await server.cost(create, size // BATCH)
    return Figure("BatchCreateEntry, 200 in one, each", rate * BATCH, cpu / BATCH, "bare SQLite", server.write)


async def listed(server: Running, stub: "EntryAsyncStub", size: int) -> Figure:
    page = await stub.ListEntries(pb.ListEntriesRequest(page_size=PAGE))
    floor = (server.floor.unary + best(page.SerializeToString, 20)) / PAGE

    async def walk() -> None:
        found, token = 0, ""
        while token or not found:
            answer = await stub.ListEntries(pb.ListEntriesRequest(page_size=PAGE, page_token=token))
            found, token = found + len(answer.entries), answer.next_page_token
        if found != size:
            raise SystemExit(f"listed {found} of {size} entries")

    rate, cpu = await server.cost(walk, 3)
    return Figure("ListEntries, 500 a page, each", rate * size, cpu / size, "bare echo + protobuf / 500", floor)


async def changed(server: Running, stub: "EntryAsyncStub") -> AsyncIterator[Figure]:
    page = list((await stub.ListEntries(pb.ListEntriesRequest(page_size=5 * BATCH))).entries)
    pieces = [page[start : start + BATCH] for start in range(0, len(page), BATCH)]
    for entry in page:
        entry.hint = "changed"
    for name, change in (("BatchUpdateEntry", _update), ("BatchDeleteEntry", _delete)):
        turns = iter(pieces)
        rate, cpu = await server.cost(_changing(change, stub, turns), len(pieces))
        yield Figure(f"{name}, 200 in one, each", rate * BATCH, cpu / BATCH, "bare SQLite, making one", server.write)


Change = Callable[["EntryAsyncStub", Sequence[Entry]], Awaitable[None]]


def _changing(
    change: Change, stub: "EntryAsyncStub", turns: Iterator[Sequence[Entry]]
) -> Callable[[], Awaitable[None]]:
    return lambda: change(stub, next(turns))


async def _update(stub: "EntryAsyncStub", batch: Sequence[Entry]) -> None:
    answer = await stub.BatchUpdateEntry(pb.BatchUpdateEntryRequest(entries=batch))
    if any(result.status.code for result in answer.results):
        raise SystemExit(f"an update was refused: {answer}")


async def _delete(stub: "EntryAsyncStub", batch: Sequence[Entry]) -> None:
    answer = await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=[entry.id for entry in batch]))
    if any(result.status.code for result in answer.results):
        raise SystemExit(f"a deletion was refused: {answer}")


async def measured(server: Running, size: int, agents: int) -> AsyncIterator[Line]:
    await server.floor.measure()
    for part in (table(server, size), server.rested(), polled(server, agents)):
        async for line in part:
            yield line


def figures(sizes: Sequence[int] = SIZES, agents: int = AGENTS) -> Iterator[Line | str]:
    write = 1000 * asyncio.run(cost_of_writing(compiled_function, BATCH, 10 * BATCH))[0]
    for size in sizes:
        yield f"{size:,} entries"
        with tempfile.TemporaryDirectory(prefix="assay-") as name:
            folder = Path(name)
            with (
                closing(Deployment(folder, server=UNLIMITED)) as house,
                echo_floor(folder) as floor,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                lines = measured(Running(house, floor, write), size, agents)
                while (line := runner.run(_next(lines))) is not None:
                    yield line


async def _next(lines: AsyncIterator[Line]) -> Line | None:
    return await anext(lines, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=SIZES)
    parser.add_argument("--agents", type=int, default=AGENTS)
    args = parser.parse_args()
    print(HEADER, flush=True)
    for line in figures(args.entries, args.agents):
        print(line, flush=True)


if __name__ == "__main__":
    main()
