"""Rights that come and go: what an entry grants holds from the next call on, and a stream ends with its right."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from assay.errors import DenialReason
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.status import denial_reason
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.sync.v1 import sync_pb2
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub

if TYPE_CHECKING:
    from tests.integration.server_api.conftest import House, Identity
else:
    House = Identity = object

COUNT_ENTRIES = "/spire.api.server.entry.v1.Entry/CountEntries"
PUBLISH = "/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority"
SYNC = "/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries"
WATCH = "/assay.sync.v1.Sync/Watch"
# Over 500, the agent is told revisions and asks for what it lacks: a conversation that can last.
MANY = 501

DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(("right", "rpc"), [("admin", COUNT_ENTRIES), ("downstream", PUBLISH)])
async def test_what_an_entry_grants_holds_from_the_next_call_on_and_so_does_its_loss(
    house: House, right: str, rpc: str
) -> None:
    caller = SpiffeId(house.ADMIN.trust_domain, "/caller")
    await house.register(caller, caller, "uid:0")
    async with house.dial(await house.mint(caller)) as channel:
        for selector in ("uid:1", "uid:2"):
            assert (await house.outcome(channel, rpc)).code is DENIED
            entry_id = await house.register(caller, caller, selector, **{right: True})
            assert (await house.outcome(channel, rpc)).code is not DENIED
            await house.forget(entry_id)
        assert (await house.outcome(channel, rpc)).code is DENIED


async def test_an_entry_that_loses_its_flag_grants_nothing_from_the_next_call_on(house: House) -> None:
    caller = SpiffeId(house.ADMIN.trust_domain, "/caller")
    entry_id = await house.register(caller, caller, admin=True)
    async with house.dial(await house.mint(caller)) as channel:
        assert (await house.outcome(channel, COUNT_ENTRIES)).code is grpc.StatusCode.OK
        await house.entries.BatchUpdateEntry(
            entry_pb2.BatchUpdateEntryRequest(
                entries=[types.Entry(id=entry_id, admin=False)], input_mask=types.EntryMask(admin=True)
            )
        )
        assert (await house.outcome(channel, COUNT_ENTRIES)).code is DENIED


@dataclass
class Agent:
    """An agent with a channel of its own."""

    house: House
    spiffe_id: SpiffeId
    identity: Identity
    channel: grpc.aio.Channel

    async def expire(self) -> None:
        self.house.clock.advance(3601)

    async def ban(self) -> None:
        await self.house.ban(self.spiffe_id)

    async def evict(self) -> None:
        await self.house.evict(self.spiffe_id)

    async def renew(self) -> None:
        """Renew, and use the new SVID, which ends the one before."""
        async with self.house.dial(await self.house.renew(self.identity)) as channel:
            assert (await self.house.outcome(channel, WATCH)).code is grpc.StatusCode.OK


@pytest.fixture
async def agent(house: House) -> AsyncIterator[Agent]:
    spiffe_id, identity = await house.attest()
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(house.dial(identity))
        yield Agent(house, spiffe_id, identity, channel)


Loss = Callable[[Agent], Awaitable[None]]
LOSSES: list[tuple[Loss, DenialReason]] = [
    (Agent.ban, DenialReason.AGENT_BANNED),
    (Agent.evict, DenialReason.AGENT_NOT_ATTESTED),
    (Agent.renew, DenialReason.AGENT_NOT_ACTIVE),
    (Agent.expire, DenialReason.AGENT_EXPIRED),
]


async def ended(call: Any, rpc: str) -> DenialReason | None:  # noqa: ANN401 - a call of one RPC or another
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call.read()
    assert (error.value.code(), error.value.details()) == (DENIED, f"authorization denied for method {rpc}")
    return denial_reason(error.value.trailing_metadata() or ())


@pytest.mark.parametrize(("lose", "reason"), LOSSES)
async def test_a_watch_ends_as_soon_as_its_right_does(agent: Agent, lose: Loss, reason: DenialReason) -> None:
    stub: Any = SyncStub(agent.channel)
    call = stub.Watch(sync_pb2.WatchRequest())
    assert (await call.read()).snapshot
    await lose(agent)
    if lose is Agent.renew:  # the new serial number is in the row before it is used, and that ends nothing
        assert not (await call.read()).entries
    assert await ended(call, WATCH) is reason


@pytest.mark.parametrize(("lose", "reason"), LOSSES)
async def test_a_sync_of_many_entries_answers_no_more_when_its_right_has_ended(
    agent: Agent, lose: Loss, reason: DenialReason
) -> None:
    await register_many(agent)
    stub: Any = EntryStub(agent.channel)
    call = stub.SyncAuthorizedEntries()
    await call.write(entry_pb2.SyncAuthorizedEntriesRequest())
    told = [*(await call.read()).entry_revisions, *(await call.read()).entry_revisions]
    assert len(told) == MANY
    wanted = entry_pb2.SyncAuthorizedEntriesRequest(ids=[told[0].id])
    await call.write(wanted)
    assert [entry.id for entry in (await call.read()).entries] == [told[0].id]
    await lose(agent)
    await call.write(wanted)
    assert await ended(call, SYNC) is reason


async def register_many(agent: Agent) -> None:
    parent = spiffeid_wire.to_proto(agent.spiffe_id)
    entries = [
        types.Entry(
            parent_id=parent,
            spiffe_id=spiffeid_wire.to_proto(SpiffeId(agent.spiffe_id.trust_domain, f"/w{number}")),
            selectors=[Selector(type="unix", value="uid:1")],
        )
        for number in range(MANY)
    ]
    await agent.house.entries.BatchCreateEntry(entry_pb2.BatchCreateEntryRequest(entries=entries))
