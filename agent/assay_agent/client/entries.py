"""The agent's side of SyncAuthorizedEntries, the protocol that SPIRE's servers speak."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeAlias

import structlog

from assay.entry import Entry
from assay.errors import AssayError
from assay.rpc.client import Channel
from assay.wire import entry as entry_wire
from assay.wire.service import ENTRY, Exchange
from assay_agent.client.dialogue import Dialogue, conversing
from assay_agent.client.values import EntryChanges
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.types import entry_pb2 as types_entry_pb2

log = structlog.get_logger(__name__)

TIMEOUT = 30.0  # seconds
SYNC = ENTRY.methods_by_name["SyncAuthorizedEntries"]
# All that Entry holds: SPIRE's agent leaves out TTL and DNS names, and so renews a certificate at every change.
MASK = types_entry_pb2.EntryMask(**{field.name: True for field in types_entry_pb2.EntryMask.DESCRIPTOR.fields})
_LIST = entry_pb2.SyncAuthorizedEntriesRequest(output_mask=MASK)

_Dialogue: TypeAlias = Dialogue[entry_pb2.SyncAuthorizedEntriesRequest, entry_pb2.SyncAuthorizedEntriesResponse]


async def sync_entries(channel: Channel, known: Mapping[str, Entry]) -> EntryChanges:
    """Ask what the agent is authorized for and, if the server only lists it, for what it does not know.

    Raises:
        AssayError: the server's refusal, or it broke the protocol.
    """
    call = Exchange[entry_pb2.SyncAuthorizedEntriesRequest, entry_pb2.SyncAuthorizedEntriesResponse](
        channel, SYNC, entry_pb2.SyncAuthorizedEntriesResponse, timeout=TIMEOUT
    )
    async with conversing(call) as dialogue:
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
