"""SyncAuthorizedEntries: SPIRE's way to bring an agent's copy up to date.

Few entries are sent whole. Of many, the agent is told the revisions and asks for those it lacks or has old; each of
its requests is answered by itself, in pages.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TypeVar

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.rpc.method import Context
from assay_proto.spire.api.server.entry.v1.entry_pb2 import (
    EntryRevision,
    SyncAuthorizedEntriesRequest,
    SyncAuthorizedEntriesResponse,
)
from assay_proto.spire.api.types.entry_pb2 import EntryMask
from assay_server.api.entry_values import write_in_turns

PAGE = 500

T = TypeVar("T")


async def sync_entries(
    requests: AsyncIterator[SyncAuthorizedEntriesRequest],
    entries: Mapping[str, Entry],
    context: Context,
    page: int = PAGE,
) -> AsyncIterator[SyncAuthorizedEntriesResponse]:
    """The server's side of one conversation over the entries, by ID, that the agent is authorized for.

    Raises:
        InvalidArgumentError: there is no first request, or it names IDs or masks the revision.
    """
    first = await anext(aiter(requests), None)
    if first is None:
        raise InvalidArgumentError("failed to receive request from stream: EOF")
    mask = _checked_mask(first)
    if len(entries) <= page:
        yield await _whole(list(entries.values()), mask, context)
        return
    for revisions, more in _pages(list(entries.values()), page):
        await context.turn()
        yield SyncAuthorizedEntriesResponse(entry_revisions=map(_revision, revisions), more=more)
    async for request in requests:
        wanted = [entries[entry_id] for entry_id in sorted(request.ids) if entry_id in entries]
        for found, more in _pages(wanted, page):
            yield await _whole(found, mask, context, more=more)


def _checked_mask(request: SyncAuthorizedEntriesRequest) -> EntryMask | None:
    if request.ids:
        raise InvalidArgumentError("specifying IDs on initial request is not supported")
    if not request.HasField("output_mask"):
        return None
    if not request.output_mask.revision_number:
        raise InvalidArgumentError("revision number cannot be masked")
    return request.output_mask


async def _whole(
    entries: Sequence[Entry], mask: EntryMask | None, context: Context, *, more: bool = False
) -> SyncAuthorizedEntriesResponse:
    response = SyncAuthorizedEntriesResponse(more=more)
    await write_in_turns(response.entries, entries, context, mask)
    return response


def _revision(entry: Entry) -> EntryRevision:
    return EntryRevision(id=entry.id, revision_number=entry.revision, created_at=entry.created_at)


def _pages(items: Sequence[T], size: int) -> Iterator[tuple[Sequence[T], bool]]:
    """Pieces of at most `size`, each with whether more follow; one empty piece of nothing."""
    for start in range(0, max(1, len(items)), size):
        yield items[start : start + size], start + size < len(items)
