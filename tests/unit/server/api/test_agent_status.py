"""AgentStatus over real RPC: an agent is told, says what its verifiers hold, and speaks only for its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.wire.service import served
from assay_proto.status.v1 import status_pb2 as pb
from assay_proto.status.v1.status_pb2_grpc import AgentStatusStub
from assay_server.api.agent_status import AgentStatusApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node
from assay_server.model.governed.principal import INSTANCE, Instance
from assay_server.status.feed import StatusFeed

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]
Stream = Any  # grpc types those of sync and async channels alike

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/one")
TOOL, BOT = SpiffeId(TD, "/tool"), SpiffeId(TD, "/principal/bot")
COPY = "spiffe://example.org/principal/bot/abc"
HOUR = 3600


@dataclass
class House:
    stub: Any
    feed: StatusFeed
    store: SqlStore
    clock: FakeClock
    node: Node
    taken: list[tuple[str, str, int, list[str]]] = field(default_factory=list)

    async def take(self, reporter: str, verifier: SpiffeId, first: int, reports: Sequence[pb.Report]) -> int:
        if not reporter:
            raise InvalidArgumentError("reporter must be a name")
        self.taken.append((reporter, str(verifier), first, [one.jti for one in reports]))
        return first + len(reports) - 1

    async def open(self, position: int = 0, incarnation: str = "") -> Stream:
        stream = self.stub.Watch()
        await stream.write(pb.AgentMessage(start=pb.Start(position=position, incarnation=incarnation)))
        return stream


@pytest.fixture
async def house(serve: Serve, store: SqlStore, clock: FakeClock) -> AsyncIterator[House]:
    now = int(clock.now().timestamp())
    node = Node(AGENT, "join_token", serial="7", expires_at=now + HOUR)
    selectors = (Selector("unix", "uid:1"),)

    def fill(tx: Transaction) -> None:
        tx.nodes.put(node)
        tx.entries.create(Entry("tool", TOOL, AGENT, selectors))
        tx.entries.create(Entry("bot", BOT, AGENT, selectors, principal="bot", instance_from="unix:process"))
        tx.entries.create(Entry("far", SpiffeId(TD, "/far"), SpiffeId(TD, "/spire/agent/two"), selectors))
        tx.governed.put(INSTANCE, Instance(COPY, "bot", "bot", "42", str(AGENT), now, now))
        tx.governed.put(INSTANCE, replace(Instance(f"{COPY}x", "bot", "bot", "43", f"{AGENT}x", now, now)))

    await store.write(fill)
    index, feed = AuthorizedEntries(store, TD, clock), StatusFeed(store, clock, TD, {})
    house = House(None, feed, store, clock, node)
    api = AgentStatusApi(feed, index, store, clock, house.take)
    caller = Caller(CallerKind.AGENT, Credential(AGENT, "7", now + HOUR), node)
    channel = await serve(served(pb.DESCRIPTOR.services_by_name["AgentStatus"], api), caller)
    house.stub = AgentStatusStub(channel)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(index.run()), tasks.create_task(feed.run())]
        yield house
        for one in running:
            one.cancel()


def reports(entry_id: str, *jtis: str, reporter: str = "r", instance: str = "", first: int = 1) -> pb.AgentMessage:
    said = pb.Reports(reporter=reporter, first=first, reports=[pb.Report(jti=jti) for jti in jtis])
    return pb.AgentMessage(reports=pb.AgentReports(entry_id=entry_id, instance=instance, reports=said))


async def refused(stream: Stream) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        while await stream.read() is not grpc.aio.EOF:
            pass
    return error.value.code(), error.value.details() or ""


async def test_an_agent_is_told_and_what_it_says_of_its_verifiers_counts(house: House) -> None:
    stream = await house.open()
    update = (await stream.read()).update
    assert (update.snapshot, update.position, update.incarnation) == (
        True, house.store.sequence, house.store.incarnation,
    )  # fmt: skip
    await stream.write(pb.AgentMessage(held=pb.AgentHeld(position=update.position, verifiers=3, confirmed=2)))
    while (await house.feed.confirmed(update.position, 0)).verifiers != 3:  # noqa: ASYNC110 - it is under way
        await asyncio.sleep(0)
    found = await house.feed.confirmed(update.position, 0)
    assert (found.verifiers, found.confirmed) == (3, 2)
    assert (await house.feed.confirmed(update.position + 1, 0)).confirmed == 0
    stream.cancel()
    while (await house.feed.confirmed(update.position, 0)).verifiers:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0)


async def test_who_holds_something_is_not_told_it_again(house: House) -> None:
    stream = await house.open(house.store.sequence, house.store.incarnation)
    update = (await stream.read()).update
    assert not update.snapshot


@pytest.mark.parametrize("first", [pb.AgentMessage(), pb.AgentMessage(held=pb.AgentHeld(verifiers=1))])
async def test_an_agent_begins_with_what_it_holds(house: House, first: pb.AgentMessage) -> None:
    stream = house.stub.Watch()
    await stream.write(first)
    assert await refused(stream) == (grpc.StatusCode.INVALID_ARGUMENT, "the first message says what is held")


async def test_a_stream_begins_once(house: House) -> None:
    stream = await house.open()
    await stream.write(pb.AgentMessage(start=pb.Start()))
    assert await refused(stream) == (grpc.StatusCode.INVALID_ARGUMENT, "stream has begun already")


async def test_reports_are_put_down_to_whom_the_server_knows_by_that_entry(house: House) -> None:
    stream = await house.open()
    await stream.read()
    await stream.write(reports("tool", "crd_1", "crd_2", first=4))
    taken = (await stream.read()).taken
    assert (taken.reporter, taken.last) == ("r", 5)
    await stream.write(reports("bot", "crd_3", instance="42"))
    assert (await stream.read()).taken.last == 1
    assert house.taken == [("r", str(TOOL), 4, ["crd_1", "crd_2"]), ("r", COPY, 1, ["crd_3"])]


@pytest.mark.parametrize(
    ("entry_id", "instance"),
    [("far", ""), ("none", ""), ("bot", ""), ("bot", "43"), ("bot", "44")],
    ids=["another agent's entry", "no entry", "no instance", "another host's instance", "unknown instance"],
)
async def test_an_agent_speaks_for_nobody_else(house: House, entry_id: str, instance: str) -> None:
    stream = await house.open()
    await stream.read()
    await stream.write(reports(entry_id, "crd_1", instance=instance))
    assert (await stream.read()).taken.last == 0
    assert house.taken == []


async def test_one_verifiers_fault_does_not_end_what_others_hear(house: House) -> None:
    stream = await house.open()
    await stream.read()
    await stream.write(reports("tool", "crd_1", reporter=""))
    assert (await stream.read()).taken.last == 0
    await stream.write(reports("tool", "crd_1"))
    assert (await stream.read()).taken.last == 1


async def test_a_banned_agent_is_told_no_more(house: House) -> None:
    stream = await house.open()
    await stream.read()
    await house.store.write(lambda tx: tx.nodes.put(replace(house.node, serial="")))
    await house.clock.wait_sleepers()
    house.clock.advance(2)
    code, words = await refused(stream)
    assert (code, "is banned" in words) == (grpc.StatusCode.PERMISSION_DENIED, True)


async def test_an_agent_that_has_said_all_is_done(house: House) -> None:
    stream = await house.open()
    await stream.read()
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
