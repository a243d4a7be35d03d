"""What agents cost a server that do nothing but watch: python -m bench.idle [--agents N] [--entries N] [--seconds S]

Each agent is a TLS connection of its own with one Watch stream on it; all are held by this process. Measured are the
server's CPU, the bytes on the connections (TLS records, without what TCP adds) and, before that, what it costs when
the agents come: attestation, then the first message of the stream.
"""

import argparse
import asyncio
import os
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import uvloop
from cryptography import x509

from assay.crypto import csr
from assay.spiffeid import SpiffeId
from assay.svid.x509 import leaf_id
from assay.testing.deployment import Deployment
from assay.transport.dial import dial_unix
from assay.wire import spiffeid as spiffeid_wire
from assay_agent.client.dial import dialling
from assay_agent.client.server import ServerClient
from assay_agent.plugins.nodeattestor_join_token import JoinTokenAttestor
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.sync.v1 import sync_pb2
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub
from bench.daemons import ID, KEY, UNLIMITED, dialer, known
from bench.figure import Figure, cpu_of

AGENTS, ENTRIES, SECONDS = 50, 10, 5.0
AT_ONCE = 8

# Of struct tcp_info (linux/tcp.h): tcpi_bytes_acked and tcpi_bytes_received.
_TRAFFIC = struct.Struct("120x2Q")

Chain = Sequence[bytes]
T = TypeVar("T")


@dataclass(frozen=True)
class Idle:
    """Seconds of the server's CPU, a piece or in the time that was watched, and MiB of its memory."""

    attesting: float
    coming: float
    resting: float
    bytes_a_minute: float
    memory: float


async def measure(house: Deployment, agents: int, entries: int, seconds: float) -> Idle:
    pid = house.processes["server"].pid
    before = cpu_of(pid)
    identities = await gather(agents, lambda: attested(house))
    attesting = (cpu_of(pid) - before) / agents
    await register(house, [leaf_id(x509.load_der_x509_certificate(chain[0])) for chain in identities], entries)
    async with AsyncExitStack() as stack:
        before = cpu_of(pid)
        waiting = iter(identities)
        await gather(agents, lambda: stack.enter_async_context(watching(house, next(waiting), entries)))
        coming = (cpu_of(pid) - before) / agents
        await asyncio.sleep(2)
        before, sent = cpu_of(pid), traffic()
        await asyncio.sleep(seconds)
        resting, sent = cpu_of(pid) - before, traffic() - sent
        return Idle(attesting, coming, resting, 60 * sent / seconds / agents, resident(pid))


async def gather(count: int, work: Callable[[], Awaitable[T]]) -> list[T]:
    """What so many calls return, a few of them at a time."""
    left = iter(range(count))

    async def some() -> list[T]:
        return [await work() for _ in left]

    return [each for found in await asyncio.gather(*[some() for _ in range(AT_ONCE)]) for each in found]


async def attested(house: Deployment) -> Chain:
    token = await asyncio.to_thread(house.operator.join_token)
    async with ServerClient(dialling(known(house))) as client:
        return (await client.attest("join_token", await JoinTokenAttestor(token).begin(), csr.create(KEY))).chain


async def register(house: Deployment, parents: Sequence[SpiffeId], count: int) -> None:
    async with dial_unix(house.admin) as channel:
        for parent in parents:
            entries = [
                types.Entry(
                    spiffe_id=spiffeid_wire.to_proto(SpiffeId(ID.trust_domain, f"/idle/{number}")),
                    parent_id=spiffeid_wire.to_proto(parent),
                    selectors=[Selector(type="unix", value=f"uid:{number}")],
                )
                for number in range(count)
            ]
            await EntryStub(channel).BatchCreateEntry(entry_pb2.BatchCreateEntryRequest(entries=entries))


@asynccontextmanager
async def watching(house: Deployment, chain: Chain, entries: int) -> AsyncIterator[None]:
    """Within it the agent has all its entries and waits for more."""
    async with dialer(house, lambda: (chain, KEY)) as channel:
        stream = SyncStub(channel).Watch(sync_pb2.WatchRequest())
        first = await stream.read()
        if not isinstance(first, sync_pb2.WatchResponse) or len(first.entries) != entries:
            raise SystemExit(f"the first message has not the {entries} entries: {first}")
        yield
        stream.cancel()


def traffic() -> int:
    """Bytes sent and received so far on this process's TCP connections."""
    return sum(map(_traffic, Path("/proc/self/fd").iterdir()))


def _traffic(file: Path) -> int:
    try:
        if not str(file.readlink()).startswith("socket:"):
            return 0
        with socket.socket(fileno=os.dup(int(file.name))) as connection:
            return sum(_TRAFFIC.unpack_from(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)))
    except OSError:  # gone meanwhile, or not TCP
        return 0


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def idle(agents: int, entries: int, seconds: float) -> Idle:
    with (
        tempfile.TemporaryDirectory(prefix="assay-") as name,
        closing(Deployment(Path(name), server=UNLIMITED)) as house,
    ):
        house.start_server()
        house.write_bundle()
        return uvloop.run(measure(house, agents, entries, seconds))


def figures() -> Iterator[Figure]:
    found = idle(AGENTS, ENTRIES, SECONDS)
    yield Figure("attestation by join token, new connection", 0, 1e6 * found.attesting)
    yield Figure(f"an agent's Watch until it has {ENTRIES} entries", 0, 1e6 * found.coming)
    yield Figure(f"{AGENTS} idle agents, a second", 0, 1e6 * found.resting / SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    found = idle(args.agents, args.entries, args.seconds)
    print(f"{args.agents} agents x {args.entries} entries: {found.resting / args.seconds:.4f} cores,")
    print(f"{found.bytes_a_minute:.0f} bytes a minute for each, {found.memory:.0f} MiB resident;")
    print(f"before that {1000 * found.attesting:.2f} ms an attestation, {1000 * found.coming:.2f} ms a first message")


if __name__ == "__main__":
    main()
