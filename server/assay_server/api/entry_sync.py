"""SyncAuthorizedEntries: SPIRE's way to bring an agent's copy up to date.

Few entries are sent whole. Of many, or of such as make too long a message, the agent is told the revisions and asks for
those it lacks or has old; each of its requests is answered by itself, in pages.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.method import Context
from assay_proto.spire.api.server.entry.v1.entry_pb2 import (
    EntryRevision,
    SyncAuthorizedEntriesRequest,
    SyncAuthorizedEntriesResponse,
)
from assay_proto.spire.api.types.entry_pb2 import EntryMask
from assay_server.api.entry_kept import KeptAnswers
from assay_server.api.entry_values import write_in_turns
from assay_server.api.page import fitting
from assay_server.authorization.view import AgentView

PAGE = 500

T = TypeVar("T")


class EntrySync:
    """The server's side of the conversations. Their beginnings are kept: an agent that lacks nothing hears no more."""

    def __init__(self, page: int = PAGE, most_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._page = page
        self._most_bytes = most_bytes
        self._kept: KeptAnswers[SyncAuthorizedEntriesResponse] = KeptAnswers()

    async def answer(
        self,
        requests: AsyncIterator[SyncAuthorizedEntriesRequest],
        view_now: Callable[[], Awaitable[AgentView]],
        context: Context,
    ) -> AsyncIterator[SyncAuthorizedEntriesResponse]:
        """One conversation over the entries that the agent is authorized for, at each request anew.

        Raises:
            InvalidArgumentError: there is no first request, or it names IDs or masks the revision.
        """
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgumentError("EOF")  # as gRPC's Go library has it, which SPIRE passes on
        mask = _checked_mask(first)
        view = await view_now()
        beginning = await self._kept.get(view, mask, lambda: self._beginning(view, mask, context))
        for number, response in enumerate(beginning):
            if number:
                await context.turn()
            yield response
        if not beginning[0].entry_revisions:
            return
        async for request in requests:
            now = await view_now()
            found = (now.get(entry_id) for entry_id in sorted(request.ids))
            wanted = [entry for entry in found if entry is not None and not entry.instance_from]
            async for response in self._whole(wanted, mask, context):
                yield response

    async def _beginning(
        self, view: AgentView, mask: EntryMask | None, context: Context
    ) -> list[SyncAuthorizedEntriesResponse]:
        entries = list(view.plain.values())
        if len(entries) <= self._page:
            whole = [response async for response in self._whole(entries, mask, context)]
            if len(whole) == 1:
                return whole
        pages: list[SyncAuthorizedEntriesResponse] = []
        for piece, more in _pages(entries, self._page):
            await context.turn()
            pages.append(SyncAuthorizedEntriesResponse(entry_revisions=map(_revision, piece), more=more))
        return pages

    async def _whole(
        self, entries: Sequence[Entry], mask: EntryMask | None, context: Context
    ) -> AsyncIterator[SyncAuthorizedEntriesResponse]:
        for piece, more in _pages(entries, self._page):
            response = SyncAuthorizedEntriesResponse(more=more)
            await write_in_turns(response.entries, piece, context, mask)
            while (count := fitting(response, response.entries, self._most_bytes)) < len(response.entries):
                yield SyncAuthorizedEntriesResponse(entries=response.entries[:count], more=True)
                del response.entries[:count]
            yield response


def _checked_mask(request: SyncAuthorizedEntriesRequest) -> EntryMask | None:
    if request.ids:
        raise InvalidArgumentError("specifying IDs on initial request is not supported")
    if not request.HasField("output_mask"):
        return None
    if not request.output_mask.revision_number:
        raise InvalidArgumentError("revision number cannot be masked")
    return request.output_mask


def _revision(entry: Entry) -> EntryRevision:
    return EntryRevision(id=entry.id, revision_number=entry.revision, created_at=entry.created_at)


def _pages(items: Sequence[T], size: int) -> Iterator[tuple[Sequence[T], bool]]:
    """Pieces of at most `size`, each with whether more follow; one empty piece of nothing."""
    for start in range(0, max(1, len(items)), size):
        yield items[start : start + size], start + size < len(items)
