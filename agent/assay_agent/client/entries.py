"""The agent's side of SyncAuthorizedEntries, the protocol that SPIRE's servers speak."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import structlog
from grpc import aio

from assay.entry import Entry
from assay.errors import AssayError, UnavailableError
from assay.wire import entry as entry_wire
from assay_agent.client.dialogue import Dialogue, conversing
from assay_agent.client.refusal import refusals
from assay_agent.client.values import EntryChanges
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.types import entry_pb2 as types_entry_pb2

if TYPE_CHECKING:  # it exists in the stubs only
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub

    Listing: TypeAlias = aio.UnaryStreamMultiCallable[
        entry_pb2.SyncAuthorizedEntriesRequest, entry_pb2.SyncAuthorizedEntriesResponse
    ]

log = structlog.get_logger(__name__)

TIMEOUT = 30.0  # seconds
# All that Entry holds: SPIRE's agent leaves out TTL and DNS names, and so renews a certificate at every change.
MASK = types_entry_pb2.EntryMask(**{field.name: True for field in types_entry_pb2.EntryMask.DESCRIPTOR.fields})
_LIST = entry_pb2.SyncAuthorizedEntriesRequest(output_mask=MASK)

_Dialogue: TypeAlias = Dialogue[entry_pb2.SyncAuthorizedEntriesRequest, entry_pb2.SyncAuthorizedEntriesResponse]


def listing(channel: aio.Channel) -> "Listing":
    """The same RPC, used for its first request only: the list, and no dialogue.

    A server refuses before it has read anything. When that meets the first message of a dialogue, gRPC now and then
    reports "Internal error from Core" in place of the refusal, and the agent would not learn that it is banned.
    """
    return channel.unary_stream(
        "/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries",
        entry_pb2.SyncAuthorizedEntriesRequest.SerializeToString,
        entry_pb2.SyncAuthorizedEntriesResponse.FromString,
    )


async def sync_entries(ask: "Listing", stub: "EntryAsyncStub", known: Mapping[str, Entry]) -> EntryChanges:
    """Ask what the agent is authorized for and, only if need be, begin a dialogue about what it does not know.

    Raises:
        AssayError: the server's refusal, or it broke the protocol.
    """
    with refusals():
        pages = [page async for page in ask(_LIST, timeout=TIMEOUT)]
    if not pages or pages[-1].more:
        raise UnavailableError("server ended the list early")
    if not pages[0].entry_revisions:
        entries = _parse(pages[0].entries)
        return _changes(known, entries, {entry.id for entry in entries})
    revisions = [revision for page in pages for revision in page.entry_revisions]
    if not any(_is_stale(known.get(revision.id), revision) for revision in revisions):
        return _changes(known, (), {revision.id for revision in revisions})
    return await _fetch(stub, known)


async def _fetch(stub: "EntryAsyncStub", known: Mapping[str, Entry]) -> EntryChanges:
    async with conversing(stub.SyncAuthorizedEntries(timeout=TIMEOUT)) as dialogue:
        first = await dialogue.ask(_LIST)
        if not first.entry_revisions:
            entries = _parse(first.entries)
            return _changes(known, entries, {entry.id for entry in entries})
        revisions = [revision async for revision in _revisions(dialogue, first)]
        missing = sorted(revision.id for revision in revisions if _is_stale(known.get(revision.id), revision))
        entries = [entry async for entry in _whole(dialogue, missing, page=len(first.entry_revisions))]
        return _changes(known, entries, {revision.id for revision in revisions})


async def _revisions(
    dialogue: _Dialogue, response: entry_pb2.SyncAuthorizedEntriesResponse
) -> AsyncIterator[entry_pb2.EntryRevision]:
    while True:
        for revision in response.entry_revisions:
            yield revision
        if not response.more:
            return
        response = await dialogue.hear()


async def _whole(dialogue: _Dialogue, ids: Sequence[str], page: int) -> AsyncIterator[Entry]:
    for start in range(0, len(ids), page):
        response = await dialogue.ask(entry_pb2.SyncAuthorizedEntriesRequest(ids=ids[start : start + page]))
        while True:
            for entry in _parse(response.entries):
                yield entry
            if not response.more:
                break
            response = await dialogue.hear()


def _is_stale(known: Entry | None, revision: entry_pb2.EntryRevision) -> bool:
    # Deleted and made again, an entry may have its old ID and revision: the time of creation tells them apart.
    # Servers before 1.13 do not send it.
    return (
        known is None or known.revision != revision.revision_number or revision.created_at not in {0, known.created_at}
    )


def _changes(known: Mapping[str, Entry], entries: Iterable[Entry], authorized: set[str]) -> EntryChanges:
    return EntryChanges(
        changed=tuple(entry for entry in entries if known.get(entry.id) != entry),
        removed=tuple(entry_id for entry_id in known if entry_id not in authorized),
    )


def _parse(messages: Iterable[types_entry_pb2.Entry]) -> list[Entry]:
    return [entry for message in messages if (entry := parse_entry(message)) is not None]


def parse_entry(message: types_entry_pb2.Entry) -> Entry | None:
    """The entry, or None, with a warning, when this agent cannot understand it."""
    try:
        return entry_wire.from_proto(message)
    except AssayError as error:
        log.warning(
            "Received malformed entry from server; are the server and agent versions compatible?",
            entry_id=message.id,
            error=str(error),
        )
        return None
