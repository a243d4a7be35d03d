"""What `assay entry` asks the server, each question in as many calls as it takes."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from assay.cli.admin import TIMEOUT, connect
from assay.rpc.status import EndError, StatusCode
from assay.wire.governance import principals_stub
from assay.wire.service import entry_stub
from assay_proto.governance.v1.registration_pb2 import Binding, ListBindingsRequest
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.status_pb2 import Status

PAGE = 500
# In one call: far below the 4 MB of a message with ordinary entries.
BATCH = 500


class Result(Protocol):
    """What became of one item."""

    @property
    def status(self) -> Status:
        """Zero when it was done."""
        ...


T = TypeVar("T")
R = TypeVar("R", bound=Result)


async def create(socket_path: Path, entries: Sequence[Entry]) -> pb.BatchCreateEntryResponse:
    """Register them; results in their order, those refused with the entry that was sent."""
    async with connect(socket_path) as channel:
        stub = entry_stub(channel)

        async def call(some: Sequence[Entry]) -> Iterable[pb.BatchCreateEntryResponse.Result]:
            return (await stub.BatchCreateEntry(pb.BatchCreateEntryRequest(entries=some), timeout=TIMEOUT)).results

        made = await _in_batches(entries, call, lambda status, _: pb.BatchCreateEntryResponse.Result(status=status))
    _name_refused(made, entries)
    return pb.BatchCreateEntryResponse(results=made)


async def update(socket_path: Path, entries: Sequence[Entry]) -> pb.BatchUpdateEntryResponse:
    """Replace all that they say; results in their order, those refused with the entry that was sent."""
    async with connect(socket_path) as channel:
        stub = entry_stub(channel)

        async def call(some: Sequence[Entry]) -> Iterable[pb.BatchUpdateEntryResponse.Result]:
            return (await stub.BatchUpdateEntry(pb.BatchUpdateEntryRequest(entries=some), timeout=TIMEOUT)).results

        made = await _in_batches(entries, call, lambda status, _: pb.BatchUpdateEntryResponse.Result(status=status))
    _name_refused(made, entries)
    return pb.BatchUpdateEntryResponse(results=made)


async def delete(socket_path: Path, ids: Sequence[str]) -> pb.BatchDeleteEntryResponse:
    """Delete those; results in their order."""
    async with connect(socket_path) as channel:
        stub = entry_stub(channel)

        async def call(some: Sequence[str]) -> Iterable[pb.BatchDeleteEntryResponse.Result]:
            return (await stub.BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=some), timeout=TIMEOUT)).results

        def refused(status: Status, entry_id: str) -> pb.BatchDeleteEntryResponse.Result:
            return pb.BatchDeleteEntryResponse.Result(status=status, id=entry_id)

        return pb.BatchDeleteEntryResponse(results=await _in_batches(ids, call, refused))


async def find(socket_path: Path, where: pb.ListEntriesRequest.Filter) -> pb.ListEntriesResponse:
    """All that fit, page by page."""
    found = pb.ListEntriesResponse()
    async with connect(socket_path) as channel:
        while True:
            request = pb.ListEntriesRequest(filter=where, page_size=PAGE, page_token=found.next_page_token)
            page = await entry_stub(channel).ListEntries(request, timeout=TIMEOUT)
            found.entries.extend(page.entries)
            found.next_page_token = page.next_page_token
            if not page.next_page_token:
                return found


async def get(socket_path: Path, entry_id: str) -> Entry:
    """The one with that ID."""
    async with connect(socket_path) as channel:
        return await entry_stub(channel).GetEntry(pb.GetEntryRequest(id=entry_id), timeout=TIMEOUT)


async def bindings(socket_path: Path, entry_ids: Sequence[str]) -> dict[str, Binding]:
    """Those of these entries that are principals' bindings, by their IDs; SPIRE's servers have none."""
    found: dict[str, Binding] = {}
    async with connect(socket_path) as channel:
        for start in range(0, len(entry_ids), BATCH):
            request = ListBindingsRequest(entry_ids=entry_ids[start : start + BATCH])
            try:
                answer = await principals_stub(channel).ListBindings(request, timeout=TIMEOUT)
            except EndError as error:
                if error.code is StatusCode.UNIMPLEMENTED:
                    return {}
                raise
            found.update({one.entry_id: one for one in answer.bindings})
    return found


async def count(socket_path: Path, where: pb.CountEntriesRequest.Filter) -> pb.CountEntriesResponse:
    """How many fit."""
    async with connect(socket_path) as channel:
        return await entry_stub(channel).CountEntries(pb.CountEntriesRequest(filter=where), timeout=TIMEOUT)


async def _in_batches(
    items: Sequence[T],
    call: Callable[[Sequence[T]], Awaitable[Iterable[R]]],
    refused: Callable[[Status, T], R],
) -> list[R]:
    """Results in the items' order. When a later call fails, what was done is told, and of the rest why it was not."""
    results: list[R] = []
    for start in range(0, max(len(items), 1), BATCH):
        try:
            results.extend(await call(items[start : start + BATCH]))
        except EndError as error:
            if not results:
                raise
            status = Status(code=error.code, message=error.message)
            return [*results, *(refused(status, item) for item in items[start:])]
    return results


def _name_refused(
    results: Iterable[pb.BatchCreateEntryResponse.Result | pb.BatchUpdateEntryResponse.Result], entries: Iterable[Entry]
) -> None:
    # The server does not repeat what it refused; with ALREADY_EXISTS it gives the entry that is in the way.
    for result, entry in zip(results, entries, strict=True):
        if result.status.code:
            result.entry.CopyFrom(entry)
