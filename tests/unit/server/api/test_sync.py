import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import DenialReason
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import SYNC, served
from assay.wire.status import denial_reason
from assay_proto.sync.v1 import sync_pb2
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub
from assay_server.api.sync import SyncApi
from assay_server.api.sync_parts import MAX_BYTES, MAX_OBJECTS, parts
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.view import Position, ViewUpdate
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

if TYPE_CHECKING:
    from assay_proto.sync.v1.sync_pb2_grpc import SyncAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

Call: TypeAlias = "grpc.aio.UnaryStreamCall[sync_pb2.WatchRequest, sync_pb2.WatchResponse]"

TD = TrustDomain("example.org")
NORTH = TrustDomain("north.test")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
LIFETIME = 3600
SELECTORS = (Selector("unix", "uid:1"),)


def entry(number: int) -> Entry:
    return Entry(f"e{number}", SpiffeId(TD, f"/w{number}"), AGENT, SELECTORS)


@dataclass
class House:
    stub: "SyncAsyncStub"
    store: SqlStore
    clock: FakeClock
    node: Node

    def watch(self, position: sync_pb2.Position | None = None) -> Call:
        return self.stub.Watch(sync_pb2.WatchRequest(position=position))

    async def write(self, *works: Callable[[Transaction], object]) -> None:
        await self.store.write(lambda tx: [work(tx) for work in works])

    async def create(self, *entries: Entry) -> None:
        await self.write(*(lambda tx, each=each: tx.entries.create(each) for each in entries))

    async def put_node(self, **fields: str) -> None:
        node = replace(self.node, **fields)  # type: ignore[arg-type]
        await self.write(lambda tx: tx.nodes.put(node))


@pytest.fixture
async def house(serve: Serve, store: SqlStore, clock: FakeClock) -> AsyncIterator[House]:
    expires_at = int(clock.now().timestamp()) + LIFETIME
    node = Node(AGENT, "join_token", serial="7", expires_at=expires_at)
    await store.write(lambda tx: tx.nodes.put(node))
    caller = Caller(CallerKind.AGENT, Credential(AGENT, "7", expires_at), node)
    index = AuthorizedEntries(store, TD, clock)
    api = SyncApi(index, clock)
    channel = await serve(served(SYNC, api), caller)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(index.run())
        yield House(SyncStub(channel), store, clock, node)
        running.cancel()


async def read(call: Call) -> sync_pb2.WatchResponse:
    response = await call.read()
    assert isinstance(response, sync_pb2.WatchResponse)
    return response


async def test_the_first_answer_is_a_snapshot_and_pushes_follow(house: House) -> None:
    await house.write(lambda tx: tx.bundles.put(Bundle(TD, sequence=1)), lambda tx: tx.bundles.put(Bundle(NORTH)))
    await house.create(replace(entry(1), hint="h", dns_names=("a",), federates_with=(NORTH,)))
    call = house.watch()
    first = await read(call)
    assert (first.snapshot, first.more, [each.id for each in first.entries]) == (True, False, ["e1"])
    assert (first.entries[0].hint, list(first.entries[0].dns_names)) == ("h", ["a"])
    assert first.bundle.sequence_number == 1
    assert [each.trust_domain for each in first.federated_bundles] == ["north.test"]
    assert first.position.incarnation == house.store.incarnation
    await house.create(entry(2))
    second = await read(call)
    assert (second.snapshot, [each.id for each in second.entries]) == (False, ["e2"])
    assert not second.HasField("bundle")
    assert second.position.sequence > first.position.sequence
    await house.write(lambda tx: tx.entries.delete("e1"), lambda tx: tx.bundles.put(Bundle(TD, sequence=2)))
    third = await read(call)
    assert (list(third.removed_entry_ids), list(third.removed_federated_bundles)) == (["e1"], ["north.test"])
    assert third.bundle.sequence_number == 2
    call.cancel()


async def test_bindings_come_with_their_entries_and_go_when_they_are_withheld(house: House) -> None:
    bound = replace(entry(1), principal="bot", instance_from="unix:process")
    await house.create(bound, entry(2))
    call = house.watch()
    first = await read(call)
    assert {each.id for each in first.entries} == {"e1", "e2"}
    (binding,) = first.bindings
    assert (binding.entry_id, binding.principal, binding.instance_from) == ("e1", "bot", "unix:process")
    await house.write(lambda tx: tx.entries.update(replace(bound, withheld=True, revision=1)))
    assert list((await read(call)).removed_entry_ids) == ["e1"]
    await house.write(lambda tx: tx.entries.update(replace(bound, revision=2)))
    back = await read(call)
    assert ([each.id for each in back.entries], [each.principal for each in back.bindings]) == (["e1"], ["bot"])
    call.cancel()


async def test_an_agent_that_comes_back_gets_what_it_missed(house: House) -> None:
    await house.create(entry(1))
    call = house.watch()
    position = (await read(call)).position
    call.cancel()
    await house.create(entry(2))
    call = house.watch(position)
    update = await read(call)
    assert (update.snapshot, [each.id for each in update.entries]) == (False, ["e2"])
    call.cancel()
    call = house.watch(update.position)
    nothing = await read(call)
    assert (nothing.snapshot, len(nothing.entries), nothing.position) == (False, 0, update.position)
    call.cancel()
    call = house.watch(sync_pb2.Position(incarnation="restored", sequence=update.position.sequence))
    assert (await read(call)).snapshot
    call.cancel()


async def test_a_large_snapshot_comes_in_parts_of_which_the_last_has_the_position(house: House) -> None:
    await house.create(*(entry(number) for number in range(2 * MAX_OBJECTS + 1)))
    call = house.watch()
    found = [await read(call) for _ in range(3)]
    assert [(len(each.entries), each.more, each.snapshot) for each in found] == [
        (MAX_OBJECTS, True, True), (MAX_OBJECTS, True, True), (1, False, True)
    ]  # fmt: skip
    assert [each.HasField("position") for each in found] == [False, False, True]
    assert len({one.id for each in found for one in each.entries}) == 2 * MAX_OBJECTS + 1
    call.cancel()


def test_parts_are_bounded_by_bytes_too() -> None:
    long = tuple(Selector("t", f"{number:0>1000}") for number in range(100))
    update = ViewUpdate(
        Position("i", 3),
        entries=tuple(replace(entry(number), selectors=long) for number in range(30)),
        removed=("a", "b"),
    )
    found = list(parts(update))
    assert len(found) > 2
    assert max(each.ByteSize() for each in found) < MAX_BYTES + 110_000
    assert [one.id for each in found for one in each.entries] == [f"e{number}" for number in range(30)]
    assert [one for each in found for one in each.removed_entry_ids] == ["a", "b"]
    assert [each.more for each in found] == [True] * (len(found) - 1) + [False]


def test_an_update_with_nothing_in_it_still_tells_the_position() -> None:
    assert list(parts(ViewUpdate(Position("i", 3)))) == [
        sync_pb2.WatchResponse(position=sync_pb2.Position(incarnation="i", sequence=3))
    ]


async def ended(call: Call) -> DenialReason | None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        while await call.read() is not grpc.aio.EOF:
            pass
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refusal.value.details() == "authorization denied for method /assay.sync.v1.Sync/Watch"
    return denial_reason(refusal.value.trailing_metadata())


async def test_a_ban_ends_the_stream(house: House) -> None:
    call = house.watch()
    await read(call)
    await house.put_node(serial="", new_serial="")
    assert await ended(call) is DenialReason.AGENT_BANNED


async def test_an_eviction_ends_the_stream(house: House) -> None:
    call = house.watch()
    await read(call)
    await house.store.write(lambda tx: tx.nodes.delete(AGENT))
    assert await ended(call) is DenialReason.AGENT_NOT_ATTESTED


async def test_a_renewal_ends_the_stream_only_when_the_new_svid_is_used(house: House) -> None:
    call = house.watch()
    await read(call)
    await house.put_node(new_serial="8")
    await read(call)  # the row changed, the right did not
    await house.put_node(serial="8")
    assert await ended(call) is DenialReason.AGENT_NOT_ACTIVE


async def test_the_expiry_of_the_svid_ends_the_stream(house: House) -> None:
    call = house.watch()
    await read(call)
    await house.clock.wait_sleepers(2)  # the sweep of the index, and this stream's alarm
    house.clock.advance(LIFETIME)
    await house.create(entry(1))
    assert [each.id for each in (await read(call)).entries] == ["e1"]  # good to the end of its last second
    await house.clock.wait_sleepers(2)
    house.clock.advance(1.5)
    assert await ended(call) is DenialReason.AGENT_EXPIRED


async def test_what_was_written_after_the_right_ended_is_not_sent(house: House) -> None:
    call = house.watch()
    await read(call)
    await house.write(lambda tx: tx.nodes.put(replace(house.node, serial="")), lambda tx: tx.entries.create(entry(1)))
    assert await ended(call) is DenialReason.AGENT_BANNED


async def test_an_agent_that_is_not_attested_gets_nothing(house: House) -> None:
    await house.store.write(lambda tx: tx.nodes.delete(AGENT))
    assert await ended(house.watch()) is DenialReason.AGENT_NOT_ATTESTED
