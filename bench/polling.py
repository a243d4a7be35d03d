"""Agents that poll a server as SPIRE's do; each on a connection of its own, and one after another."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import grpc.aio
from cryptography import x509

from assay.svid.x509 import leaf_id
from assay.transport.dial import SpiffeDialer
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import EntryMask
from bench.daemons import KEY, dialer
from bench.figure import Figure
from bench.idle import Chain, attested, gather, register
from bench.running import Running

FEW, MANY = 10, 1000
"""Entries of each agent, and of the first one."""

# What SPIRE's agents ask of each entry.
MASK = EntryMask(
    spiffe_id=True,
    selectors=True,
    federates_with=True,
    admin=True,
    downstream=True,
    revision_number=True,
    store_svid=True,
    hint=True,
    additional_attributes=True,
    created_at=True,
)

Poll = Callable[[grpc.aio.Channel], Awaitable[None]]


async def polled(server: Running, agents: int) -> AsyncIterator[Figure]:
    """What a poll costs, of agents that have been told everything already."""
    server.house.write_bundle()
    chains = await gather(agents, lambda: attested(server.house))
    ids = [leaf_id(x509.load_der_x509_certificate(chain[0])) for chain in chains]
    await register(server.house, ids[1:], FEW)
    await register(server.house, ids[:1], MANY)
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(_as_agent(server, chain)) for chain in chains]
        unary, stream = ("bare echo", server.floor.unary), ("bare echo, stream", server.floor.stream)
        yield await _figure(server, "sync, 10 entries", channels[1:], sync, *stream)
        yield await _figure(server, "GetBundle", channels[1:], bundle, *unary)
        yield await _figure(server, "GetAuthorizedEntries, 10 entries", channels[1:], authorized, *unary)
        yield await _figure(server, "sync, 1000 entries, none changed", channels[:1], sync, *stream)


def _as_agent(server: Running, chain: Chain) -> SpiffeDialer:
    return dialer(server.house, lambda: (chain, KEY))


async def _figure(
    server: Running, name: str, channels: list[grpc.aio.Channel], poll: Poll, floor_name: str, floor: float
) -> Figure:
    for channel in channels:
        await poll(channel)
    turns = itertools.cycle(channels)
    rate, cpu = await server.cost(lambda: poll(next(turns)), max(50, 5 * len(channels)))
    return Figure(name, rate, cpu, floor_name, floor)


async def sync(channel: grpc.aio.Channel) -> None:
    stream = EntryStub(channel).SyncAuthorizedEntries()
    await stream.write(pb.SyncAuthorizedEntriesRequest(output_mask=MASK))
    more = True
    while more:
        response = await stream.read()
        if not isinstance(response, pb.SyncAuthorizedEntriesResponse):
            raise SystemExit(f"the sync has ended: {await stream.code()}")
        more = response.more
    stream.cancel()


async def bundle(channel: grpc.aio.Channel) -> None:
    await BundleStub(channel).GetBundle(bundle_pb2.GetBundleRequest())


async def authorized(channel: grpc.aio.Channel) -> None:
    await EntryStub(channel).GetAuthorizedEntries(pb.GetAuthorizedEntriesRequest(output_mask=MASK))
