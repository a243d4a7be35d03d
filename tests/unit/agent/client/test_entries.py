from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from assay.entry import Entry
from assay.errors import AssayError, DenialReason, PermissionDeniedError, UnavailableError
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.scripted import Context, ScriptedServer, refuse
from assay.wire import entry as entry_wire
from assay_agent.client.server import ServerClient
from assay_proto.spire.api.server.entry.v1.entry_pb2 import (
    EntryRevision,
    SyncAuthorizedEntriesRequest,
    SyncAuthorizedEntriesResponse,
)

PAGE = 2
Requests = AsyncIterator[SyncAuthorizedEntriesRequest]
Responses = AsyncIterator[SyncAuthorizedEntriesResponse]


def entry(number: int, revision: int = 1, created_at: int = 1000, hint: str = "") -> Entry:
    return Entry(
        id=f"entry-{number}",
        spiffe_id=SpiffeId.parse(f"spiffe://example.org/workload/{number}"),
        parent_id=SpiffeId.parse("spiffe://example.org/spire/agent/a"),
        selectors=(Selector("unix", f"uid:{number}"),),
        dns_names=("name.example",),
        x509_svid_ttl=60,
        revision=revision,
        created_at=created_at,
        hint=hint,
    )


class SpireServer:
    """SyncAuthorizedEntries as SPIRE's server answers it, with small pages."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {one.id: one for one in entries}
        self.asked: list[str] = []

    async def sync(self, requests: Requests, _: object) -> Responses:
        first = await anext(requests)
        assert first.output_mask.revision_number
        assert not first.ids
        whole = [entry_wire.to_proto(one, first.output_mask) for one in self.entries.values()]
        if len(whole) <= PAGE:
            yield SyncAuthorizedEntriesResponse(entries=whole)
            return
        revisions = [
            EntryRevision(id=one.id, revision_number=one.revision, created_at=one.created_at)
            for one in self.entries.values()
        ]
        for start in range(0, len(revisions), PAGE):
            yield SyncAuthorizedEntriesResponse(
                entry_revisions=revisions[start : start + PAGE], more=start + PAGE < len(revisions)
            )
        async for request in requests:
            self.asked += request.ids
            found = [entry_wire.to_proto(self.entries[one]) for one in request.ids if one in self.entries]
            # One at a time, to see that `more` is heeded here too.
            for number, one in enumerate(found, start=1):
                yield SyncAuthorizedEntriesResponse(entries=[one], more=number < len(found))


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 7])
async def test_an_agent_that_knows_nothing_gets_everything(
    count: int, server: ScriptedServer, client: ServerClient
) -> None:
    entries = [entry(number) for number in range(count)]
    server.on("SyncAuthorizedEntries", SpireServer(entries).sync)
    await server.start()
    changes = await client.sync_entries({})
    assert sorted(changes.changed, key=lambda one: one.id) == entries
    assert changes.removed == ()


@pytest.mark.parametrize("count", [PAGE, 7])
async def test_nothing_changed_is_no_change(count: int, server: ScriptedServer, client: ServerClient) -> None:
    entries = [entry(number) for number in range(count)]
    spire = SpireServer(entries)
    server.on("SyncAuthorizedEntries", spire.sync)
    await server.start()
    changes = await client.sync_entries({one.id: one for one in entries})
    assert (changes.changed, changes.removed) == ((), ())
    assert spire.asked == []


@pytest.mark.parametrize("count", [PAGE, 7])
async def test_only_differences_come_back(count: int, server: ScriptedServer, client: ServerClient) -> None:
    known = {one.id: one for one in (entry(number) for number in range(count))}
    gone, changed = entry(99), entry(1, hint="new", revision=2)
    spire = SpireServer([changed if one.id == changed.id else one for one in known.values()])
    server.on("SyncAuthorizedEntries", spire.sync)
    await server.start()
    changes = await client.sync_entries({**known, gone.id: gone})
    assert changes.changed == (changed,)
    assert changes.removed == (gone.id,)


async def test_an_entry_made_again_with_its_old_revision_is_noticed(
    server: ScriptedServer, client: ServerClient
) -> None:
    known = {one.id: one for one in (entry(number) for number in range(5))}
    again = entry(3, created_at=2000, hint="another")
    server.on("SyncAuthorizedEntries", SpireServer([*list(known.values())[:3], again, entry(4)]).sync)
    await server.start()
    assert (await client.sync_entries(known)).changed == (again,)


async def test_a_server_that_sends_no_time_of_creation_is_believed(
    server: ScriptedServer, client: ServerClient
) -> None:
    known = {one.id: one for one in (entry(number) for number in range(5))}
    spire = SpireServer([replace(one, created_at=0) for one in known.values()])
    server.on("SyncAuthorizedEntries", spire.sync)
    await server.start()
    await client.sync_entries(known)
    assert spire.asked == []


async def test_ids_are_asked_for_in_order_and_by_pages(server: ScriptedServer, client: ServerClient) -> None:
    spire = SpireServer([entry(number) for number in (5, 3, 1, 4, 2)])
    server.on("SyncAuthorizedEntries", spire.sync)
    await server.start()
    await client.sync_entries({})
    assert spire.asked == [f"entry-{number}" for number in range(1, 6)]


async def test_an_entry_that_cannot_be_understood_is_left_out(
    server: ScriptedServer, client: ServerClient, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = entry_wire.to_proto(entry(1)), entry_wire.to_proto(entry(2))
    bad.spiffe_id.path = "no leading slash"

    async def sync(_: object, __: object) -> Responses:
        yield SyncAuthorizedEntriesResponse(entries=[bad, good])

    server.on("SyncAuthorizedEntries", sync)
    await server.start()
    assert (await client.sync_entries({})).changed == (entry(1),)
    assert "Received malformed entry" in capsys.readouterr().out


async def test_a_denial_on_the_stream_keeps_its_reason(server: ScriptedServer, client: ServerClient) -> None:
    async def sync(requests: Requests, context: Context) -> Responses:
        await anext(requests)
        await refuse(context, PermissionDeniedError("agent is banned", reason=DenialReason.AGENT_BANNED))
        yield SyncAuthorizedEntriesResponse()

    server.on("SyncAuthorizedEntries", sync)
    await server.start()
    with pytest.raises(PermissionDeniedError) as refusal:
        await client.sync_entries({})
    assert refusal.value.reason is DenialReason.AGENT_BANNED


async def test_a_denial_that_comes_before_anything_was_read_keeps_its_reason(
    server: ScriptedServer, client: ServerClient
) -> None:
    async def sync(_: object, context: Context) -> Responses:
        await refuse(context, PermissionDeniedError("agent is banned", reason=DenialReason.AGENT_BANNED))
        yield SyncAuthorizedEntriesResponse()

    server.on("SyncAuthorizedEntries", sync)
    await server.start()
    for _ in range(200):  # a dialogue loses about one reason in forty
        with pytest.raises(PermissionDeniedError) as refusal:
            await client.sync_entries({})
        assert refusal.value.reason is DenialReason.AGENT_BANNED


async def test_a_stream_that_ends_between_pages_changes_nothing(server: ScriptedServer, client: ServerClient) -> None:
    async def sync(_: object, __: object) -> Responses:
        yield SyncAuthorizedEntriesResponse(entry_revisions=[EntryRevision(id="entry-1")], more=True)

    server.on("SyncAuthorizedEntries", sync)
    await server.start()
    with pytest.raises(AssayError) as refusal:
        await client.sync_entries({})
    assert isinstance(refusal.value, UnavailableError)
