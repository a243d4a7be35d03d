"""From the call that changes something at the server to the workload's open stream: `python -m bench propagation`.

Server, push, signature and stream in one, one change after another: entries to X.509-SVIDs and to Envoy's secrets,
keys of a federated trust domain to JWT bundles. Told are the median, the 99th percentile and the slowest of each.
"""

import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import grpc.aio
import uvloop

from assay.crypto import keys
from assay.spiffeid import SpiffeId
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.transport.dial import dial_unix
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi.wire import METADATA, SERVICE
from assay_agent.sds.secrets import TYPE_URL
from assay_agent.sds.service import NAME as SDS
from assay_proto.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types import bundle_pb2 as bundles
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from bench.daemons import KEY
from bench.figure import Figure, cpu_of

CHANGES = 400
"""Of each kind."""
FOREIGN = "foreign.test"

# The next message, as bytes; something else once the stream has ended.
Read = Callable[[], Coroutine[None, None, object]]
# Makes a change, by its number: which words the next message has, and whether it is those that it must not have.
Change = Callable[[int], Coroutine[None, None, tuple[str, bool]]]


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name, closing(Deployment(Path(name))) as house:
        house.start()
        house.register("/first")
        pids = [house.processes[daemon].pid for daemon in ("server", "agent")]
        for kind, watched in (("X509-SVIDs", svids), ("Envoy's secrets", secrets), ("JWT bundles", jwt_bundles)):
            cpu = sum(map(cpu_of, pids))
            times = sorted(uvloop.run(watched(house)))
            cpu = 1e6 * (sum(map(cpu_of, pids)) - cpu) / len(times)
            middle, late, last = (1000 * one for one in (median(times), times[len(times) * 99 // 100], times[-1]))
            yield Figure(f"{kind}: {middle:.1f} ms, p99 {late:.1f}, max {last:.1f}", 1 / median(times), cpu)


async def svids(house: Deployment) -> list[float]:
    async with dial_unix(house.api) as api, dial_unix(house.admin) as admin:
        return await times(opened(api, "FetchX509SVID"), entries(house, admin))


async def secrets(house: Deployment) -> list[float]:
    """On a stream that asks for all there are, without ACKs, which nothing waits for."""
    async with dial_unix(house.api) as api, dial_unix(house.admin) as admin:
        call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = api.stream_stream(f"/{SDS}/StreamSecrets")
        stream = call()
        await stream.write(DiscoveryRequest(type_url=TYPE_URL).SerializeToString())
        return await times(stream.read, entries(house, admin))


async def jwt_bundles(house: Deployment) -> list[float]:
    async with dial_unix(house.api) as api, dial_unix(house.admin) as admin:
        change = foreign_keys(admin)
        await change(CHANGES)
        house.register("/federated", federates_with=(FOREIGN,))
        return await times(opened(api, "FetchJWTBundles"), change)


def opened(api: grpc.aio.Channel, method: str) -> Read:
    """A stream of the Workload API."""
    call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = api.unary_stream(f"/{SERVICE}/{method}")
    return call(b"", metadata=METADATA).read


async def times(read: Read, change: Change) -> list[float]:
    """Seconds from each call to its message."""
    taken: list[float] = []
    await message(read)
    for number in range(CHANGES):
        start = time.perf_counter()
        words, gone = await change(number)
        while (words.encode() in await message(read)) is gone:
            pass
        taken.append(time.perf_counter() - start)
    return taken


async def message(read: Read) -> bytes:
    """The next one."""
    found = await read()
    assert isinstance(found, bytes), "the stream ended"
    return found


def entries(house: Deployment, admin: grpc.aio.Channel) -> Change:
    """One is made, then deleted, and so on: messages stay as long as they are."""
    parent, stub = spiffeid_wire.to_proto(SpiffeId.parse(house.agent_id())), EntryStub(admin)
    made: list[str] = []

    async def change(number: int) -> tuple[str, bool]:
        path = f"/next/{number // 2}"
        if made:
            await stub.BatchDeleteEntry(entry_pb2.BatchDeleteEntryRequest(ids=[made.pop()]))
            return path, True
        request = entry_pb2.BatchCreateEntryRequest(entries=[entry(path, parent)])
        made.extend(result.entry.id for result in (await stub.BatchCreateEntry(request)).results)
        return path, False

    return change


def foreign_keys(admin: grpc.aio.Channel) -> Change:
    """Another key each time."""
    stub = BundleStub(admin)

    async def change(number: int) -> tuple[str, bool]:
        key = bundles.JWTKey(public_key=keys.to_pkix(KEY.public_key()), key_id=f"key-{number}-")
        bundle = bundles.Bundle(trust_domain=FOREIGN, jwt_authorities=[key])
        answer = await stub.BatchSetFederatedBundle(bundle_pb2.BatchSetFederatedBundleRequest(bundle=[bundle]))
        assert not any(result.status.code for result in answer.results)
        return key.key_id, False

    return change


def entry(path: str, parent: SPIFFEID) -> types.Entry:
    """One for processes of this user."""
    return types.Entry(
        spiffe_id=SPIFFEID(trust_domain=TRUST_DOMAIN, path=path),
        parent_id=parent,
        selectors=[Selector(type="unix", value=f"uid:{os.getuid()}")],
    )
