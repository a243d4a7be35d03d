import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import DenialReason, PermissionDeniedError, UnavailableError, UnimplementedError
from assay.rpc.client import Channel
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.scripted import Context, ScriptedServer, refuse
from assay.wire import bundle as bundle_wire
from assay.wire import entry as entry_wire
from assay_agent.client.server import ServerClient
from assay_agent.client.values import Position, WatchUpdate
from assay_proto.spire.api.types.bundle_pb2 import Bundle as BundleMessage
from assay_proto.spire.api.types.bundle_pb2 import X509Certificate
from assay_proto.sync.v1 import sync_pb2

Responses = AsyncIterator[sync_pb2.WatchResponse]
AT = sync_pb2.Position(incarnation="i", sequence=7)


def entry(number: int) -> Entry:
    return Entry(
        id=f"entry-{number}",
        spiffe_id=SpiffeId.parse(f"spiffe://example.org/workload/{number}"),
        parent_id=SpiffeId.parse("spiffe://example.org/spire/agent/a"),
        selectors=(Selector("unix", "uid:1"),),
    )


async def take(client: ServerClient, position: Position | None = None, count: int = 1) -> list[WatchUpdate]:
    async with aclosing(client.watch(position)) as updates:
        return [await anext(updates) for _ in range(count)]


async def test_an_entry_has_its_binding(server: ScriptedServer, client: ServerClient) -> None:
    async def watch(_: object, __: object) -> Responses:
        yield sync_pb2.WatchResponse(
            snapshot=True,
            position=AT,
            entries=[entry_wire.to_proto(entry(1)), entry_wire.to_proto(entry(2))],
            bindings=[
                sync_pb2.Binding(entry_id="entry-2", principal="bot", instance_from="unix:process"),
                sync_pb2.Binding(entry_id="entry-3", principal="nobody"),
            ],
        )
        await asyncio.Event().wait()

    server.on("Watch", watch)
    await server.start()
    (update,) = await take(client)
    assert [(one.principal, one.instance_from) for one in update.entries] == [("", ""), ("bot", "unix:process")]


async def test_parts_are_gathered_into_one_update(server: ScriptedServer, client: ServerClient) -> None:
    own, other = Authority("example.org").bundle, Authority("other.example").bundle

    async def watch(_: object, __: object) -> Responses:
        yield sync_pb2.WatchResponse(snapshot=True, more=True, entries=[entry_wire.to_proto(entry(1))])
        yield sync_pb2.WatchResponse(snapshot=True, more=True, bundle=bundle_wire.to_proto(own))
        yield sync_pb2.WatchResponse(
            snapshot=True,
            position=AT,
            entries=[entry_wire.to_proto(entry(2))],
            federated_bundles=[bundle_wire.to_proto(other)],
        )
        yield sync_pb2.WatchResponse(
            position=sync_pb2.Position(incarnation="i", sequence=8),
            removed_entry_ids=["entry-1"],
            removed_federated_bundles=["other.example"],
        )
        await asyncio.Event().wait()

    server.on("Watch", watch)
    await server.start()
    snapshot, delta = await take(client, count=2)
    assert snapshot == WatchUpdate(
        position=Position("i", 7), snapshot=True, entries=(entry(1), entry(2)), bundle=own, federated=(other,)
    )
    assert delta == WatchUpdate(
        position=Position("i", 8), removed=("entry-1",), removed_federated=(TrustDomain("other.example"),)
    )


@pytest.mark.parametrize("position", [None, Position("i", 5), Position("", 0)])
async def test_the_position_is_sent(position: Position | None, server: ScriptedServer, client: ServerClient) -> None:
    heard: list[sync_pb2.WatchRequest] = []

    async def watch(request: sync_pb2.WatchRequest, _: object) -> Responses:
        heard.append(request)
        yield sync_pb2.WatchResponse(position=AT)

    server.on("Watch", watch)
    await server.start()
    await take(client, position)
    assert heard[0].HasField("position") == (position is not None)
    if position is not None:
        assert (heard[0].position.incarnation, heard[0].position.sequence) == (position.incarnation, position.sequence)


async def test_a_server_without_watch_says_so(server: ScriptedServer, client: ServerClient) -> None:
    await server.start()
    with pytest.raises(UnimplementedError):
        await take(client)


async def test_a_right_that_ends_ends_the_stream_with_the_reason(server: ScriptedServer, client: ServerClient) -> None:
    async def watch(_: object, context: Context) -> Responses:
        yield sync_pb2.WatchResponse(position=AT)
        await refuse(context, PermissionDeniedError("agent is banned", reason=DenialReason.AGENT_BANNED))

    server.on("Watch", watch)
    await server.start()
    with pytest.raises(PermissionDeniedError) as refusal:
        await take(client, count=2)
    assert refusal.value.reason is DenialReason.AGENT_BANNED


async def test_a_stream_that_just_ends_is_a_failure(server: ScriptedServer, client: ServerClient) -> None:
    async def watch(_: object, __: object) -> Responses:
        yield sync_pb2.WatchResponse(position=AT)

    server.on("Watch", watch)
    await server.start()
    with pytest.raises(UnavailableError, match="ended the stream"):
        await take(client, count=2)


async def test_renewed_credentials_end_the_stream_quietly_and_the_next_one_dials_anew(
    server: ScriptedServer, client: ServerClient, dialled: list[Channel]
) -> None:
    async def watch(_: object, __: object) -> Responses:
        yield sync_pb2.WatchResponse(position=AT)
        await asyncio.Event().wait()

    server.on("Watch", watch)
    await server.start()
    async with aclosing(client.watch(None)) as updates:
        await anext(updates)
        _, end = await asyncio.gather(client.renewed(), anext(updates, None))
    assert end is None
    await take(client)
    assert len(dialled) == 2


async def test_cancelling_the_reader_is_no_end_of_the_stream(server: ScriptedServer, client: ServerClient) -> None:
    reading = asyncio.Event()

    async def watch(_: object, __: object) -> Responses:
        reading.set()
        await asyncio.Event().wait()
        yield sync_pb2.WatchResponse()

    async def read() -> None:
        await take(client)

    server.on("Watch", watch)
    await server.start()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(read())
        await reading.wait()
        task.cancel()
    assert task.cancelled()


async def test_a_bundle_that_cannot_be_understood_is_left_out(
    server: ScriptedServer, client: ServerClient, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = BundleMessage(trust_domain="other.example", x509_authorities=[X509Certificate(asn1=b"no certificate")])

    async def watch(_: object, __: object) -> Responses:
        yield sync_pb2.WatchResponse(position=AT, bundle=bad, federated_bundles=[bad])

    server.on("Watch", watch)
    await server.start()
    (update,) = await take(client)
    assert (update.bundle, update.federated) == (None, ())
    assert "Received malformed bundle" in capsys.readouterr().out


async def test_the_newest_of_several_bundles_in_one_update_counts(server: ScriptedServer, client: ServerClient) -> None:
    older, newer = (Bundle(TrustDomain("example.org"), sequence=number) for number in (1, 2))

    async def watch(_: object, __: object) -> Responses:
        yield sync_pb2.WatchResponse(more=True, bundle=bundle_wire.to_proto(older))
        yield sync_pb2.WatchResponse(position=AT, bundle=bundle_wire.to_proto(newer))

    server.on("Watch", watch)
    await server.start()
    assert (await take(client))[0].bundle == newer
