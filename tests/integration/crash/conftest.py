"""Writers on the admin socket that remember what they were told, and streams of a workload."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from grpc import aio

from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.transport.dial import dial_unix
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.selector_pb2 import Selector

CLIENTS = 8
BATCH = 3
PAGE = 500


@dataclass
class Writers:
    """Many clients that create entries until the server is gone. Each round's entries have a parent of their own."""

    admin: Path
    told: set[str] = field(default_factory=set[str])
    rounds: int = 0

    async def write(self) -> None:
        """One round; it returns when every client has lost the server."""
        self.rounds += 1
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(self._write_until_gone(f"/round-{self.rounds}", client))

    async def there(self) -> set[str]:
        """The IDs of all entries."""
        found: set[str] = set()
        token = ""
        async with dial_unix(self.admin) as channel:
            while True:
                request = entry_pb2.ListEntriesRequest(page_size=PAGE, page_token=token)
                response = await EntryStub(channel).ListEntries(request)
                found |= {entry.id for entry in response.entries}
                if not (token := response.next_page_token):
                    return found

    async def _write_until_gone(self, parent: str, client: int) -> None:
        async with dial_unix(self.admin) as channel:
            stub = EntryStub(channel)
            with contextlib.suppress(aio.AioRpcError):
                for number in count():
                    paths = [f"{parent}/{client}-{number}-{one}" for one in range(BATCH)]
                    request = entry_pb2.BatchCreateEntryRequest(entries=[entry(parent, path) for path in paths])
                    response = await stub.BatchCreateEntry(request)
                    self.told |= {result.entry.id for result in response.results if not result.status.code}


def entry(parent: str, path: str) -> Entry:
    trust_domain = TrustDomain(TRUST_DOMAIN)
    return Entry(
        spiffe_id=spiffeid_wire.to_proto(SpiffeId(trust_domain, path)),
        parent_id=spiffeid_wire.to_proto(SpiffeId(trust_domain, parent)),
        selectors=[Selector(type="unix", value="uid:4000000")],
    )


@dataclass
class Stream:
    """A workload's open stream of X.509-SVIDs; `paths` is what it was sent last."""

    deployment: Deployment
    paths: set[str] = field(default_factory=set[str])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def follow(self) -> None:
        """Read until the stream ends, which only the end of the agent makes it do."""
        async with WorkloadApiClient(Endpoint.of_path(self.deployment.api)) as client:
            async for context in client.watch_x509():
                self.paths = {one.svid.spiffe_id.path for one in context.svids}
                self.changed.set()
        self.ended = True

    async def until(self, path: str) -> None:
        """Return once there is an SVID with that path."""
        while path not in self.paths:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
def writers(deployment: Deployment) -> Writers:
    return Writers(deployment.admin)


@pytest.fixture
async def stream(deployment: Deployment) -> AsyncIterator[Stream]:
    """An open stream that has its first SVID, /first."""
    deployment.register("/first")
    stream = Stream(deployment)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(stream.follow())
        await stream.until("/first")
        yield stream
        reading.cancel()
