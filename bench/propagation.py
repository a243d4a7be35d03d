"""From the call that creates an entry to the workload's open stream: server, push, signature and stream in one."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TypeAlias

import grpc.aio
import uvloop

from assay.spiffeid import SpiffeId
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.transport.dial import dial_unix
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_proto.workloadapi import workloadapi_pb2 as workload
from bench.figure import Figure, cpu_of

Stream: TypeAlias = "grpc.aio.UnaryStreamCall[workload.X509SVIDRequest, workload.X509SVIDResponse]"

ENTRIES = 50


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name, closing(Deployment(Path(name))) as house:
        house.start()
        house.register("/first")
        pids = [house.processes[daemon].pid for daemon in ("server", "agent")]
        cpu = sum(map(cpu_of, pids))
        times = uvloop.run(create_and_see(house))
        cpu = 1e6 * (sum(map(cpu_of, pids)) - cpu) / ENTRIES
        middle, worst = 1000 * median(times), 1000 * max(times)
        yield Figure(f"entry on an open stream: {middle:.1f} ms, at most {worst:.1f}", 1 / median(times), cpu)


async def create_and_see(house: Deployment) -> list[float]:
    """Seconds from each call to its message."""
    parent = spiffeid_wire.to_proto(SpiffeId.parse(house.agent_id()))
    times: list[float] = []
    async with dial_unix(house.api) as api, dial_unix(house.admin) as admin:
        stream = Stub(api).fetch_x509_svid(workload.X509SVIDRequest(), metadata=METADATA)
        await stream.read()
        for number in range(ENTRIES):
            start = time.perf_counter()
            await EntryStub(admin).BatchCreateEntry(
                entry_pb2.BatchCreateEntryRequest(entries=[entry(f"/next/{number}", parent)])
            )
            while not await seen(stream, f"spiffe://{TRUST_DOMAIN}/next/{number}"):
                pass
            times.append(time.perf_counter() - start)
    return times


async def seen(stream: Stream, spiffe_id: str) -> bool:
    response = await stream.read()
    assert isinstance(response, workload.X509SVIDResponse)
    return spiffe_id in {svid.spiffe_id for svid in response.svids}


def entry(path: str, parent: SPIFFEID) -> types.Entry:
    """One for processes of this user."""
    return types.Entry(
        spiffe_id=SPIFFEID(trust_domain=TRUST_DOMAIN, path=path),
        parent_id=parent,
        selectors=[Selector(type="unix", value=f"uid:{os.getuid()}")],
    )
