"""Workloads and operators of a running deployment."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import pytest

from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.transport.dial import dial_unix
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay.workloadapi.values import X509Context
from assay_proto.spire.api.server.entry.v1 import entry_pb2, entry_pb2_grpc
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.selector_pb2 import Selector

Workload = Callable[[Deployment], AbstractAsyncContextManager[AsyncGenerator[X509Context]]]
Register = Callable[[str], Awaitable[str]]


@pytest.fixture
def workload() -> Workload:
    """A workload's open stream of X.509-SVIDs."""

    @asynccontextmanager
    async def opened(deployment: Deployment) -> AsyncIterator[AsyncGenerator[X509Context]]:
        async with (
            WorkloadApiClient(Endpoint.of_path(deployment.api)) as client,
            aclosing(client.watch_x509()) as updates,
        ):
            yield updates

    return opened


@pytest.fixture
async def register(deployment: Deployment) -> AsyncIterator[Register]:
    """Makes an entry for this process, by path, over the API: without a command's start-up time."""
    parent = spiffeid_wire.to_proto(SpiffeId.parse(deployment.agent_id()))
    channel = dial_unix(deployment.admin)
    stub = entry_pb2_grpc.EntryStub(channel)

    async def make(path: str) -> str:
        entry = Entry(
            spiffe_id=spiffeid_wire.to_proto(SpiffeId(TrustDomain(TRUST_DOMAIN), path)),
            parent_id=parent,
            selectors=[Selector(type="unix", value=f"uid:{os.getuid()}")],
        )
        response = await stub.BatchCreateEntry(entry_pb2.BatchCreateEntryRequest(entries=[entry]))
        return str(response.results[0].entry.id)

    yield make
    await channel.close()
