"""How long an agent waits for its answers, alone and while another agent floods the server.

`python -m bench flood` prints the median and the 99th percentile of each call of the one, for each thing that the
other does at full speed from an address of its own: with SPIRE's rate limits, and without any. Beside the time that
passed it gives the CPU time that the server's loop spent meanwhile, on whomever: that is the wait that turns decide,
and it hardly changes when the machine has other things to do.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.crypto import csr
from assay.crypto.keys import to_pem
from assay.errors import AssayError
from assay.http2.protocol import Http2Protocol
from assay.rpc.client import Channel
from assay.rpc.status import EndError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.operator import PATIENCE, dialled
from assay.transport.tls import client_context, present
from assay.wire import spiffeid as spiffeid_wire
from assay_agent.client.server import ServerClient
from assay_agent.plugins.nodeattestor_join_token import JoinTokenAttestor
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector

PROXIES = 'proxy_protocol_trusted_cidrs = ["127.0.0.1/32"]'
OFF = "ratelimit { attestation = false signing = false }"
QUIET, LOUD = "192.0.2.1", "192.0.2.2"
KEY = ec.generate_private_key(ec.SECP256R1())
NEW_X509 = "/spire.api.server.svid.v1.SVID/BatchNewX509SVID"
NEW_JWT = "/spire.api.server.svid.v1.SVID/NewJWTSVID"
GET_BUNDLE = "/spire.api.server.bundle.v1.Bundle/GetBundle"
GET_ENTRIES = "/spire.api.server.entry.v1.Entry/GetAuthorizedEntries"
MAX_ANSWER = 64 * 1024 * 1024
# Of the flood: connections and calls at a time on each, by what it floods with.
FLOODS = {"batches of 500": (4, 8), "JWT-SVIDs": (4, 100), "lists of entries": (4, 25), "handshakes": (1, 32)}
ENTRIES = 2000
CALLS = 100
PAUSE = 0.005
WARM = 0.5
MOST_SECONDS = 4.0

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Wait:
    """Seconds that calls took, and seconds that the server's loop ran meanwhile."""

    name: str
    taken: list[float]
    spent: list[float]

    def __str__(self) -> str:
        shown = "   ".join(f"{what} {_spread(times)}" for what, times in (("", self.taken), ("CPU", self.spent)))
        return f"{self.name:70}{shown}   of {len(self.taken)}"


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    middle, late = (1000 * ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
    return f"p50 {middle:7.1f} ms  p99 {late:7.1f} ms"


@dataclass(frozen=True)
class Agent:
    """What an agent needs to call."""

    port: int
    address: str
    token: str = ""
    entry_id: str = ""
    svid: tuple[Sequence[bytes], ec.EllipticCurvePrivateKey] | None = None

    def channel(self) -> Channel:
        """To the server, through what it takes for a proxy."""

        async def dial(make: Callable[[], Http2Protocol]) -> tuple[object, Http2Protocol]:
            loop = asyncio.get_running_loop()
            context = client_context()
            if self.svid:
                present(context, *self.svid)
            connection = socket.socket()
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_sendall(connection, f"PROXY TCP4 {self.address} 127.0.0.1 4000 8081\r\n".encode())
            return await loop.create_connection(make, sock=connection, ssl=context, server_hostname="127.0.0.1")

        return Channel(dial, max_message=MAX_ANSWER, scheme="https")

    async def attested(self) -> "Agent":
        """With an SVID of its own."""
        async with ServerClient(self.channel) as client:
            conversation = await JoinTokenAttestor(self.token).begin()
            chain = (await client.attest("join_token", conversation, csr.create(KEY))).chain
        return replace(self, svid=(chain, KEY))

    def batch(self, size: int) -> bytes:
        params = [svid_pb2.NewX509SVIDParams(entry_id=self.entry_id, csr=csr.create(KEY))] * size
        return svid_pb2.BatchNewX509SVIDRequest(params=params).SerializeToString()

    def jwt(self) -> bytes:
        return svid_pb2.NewJWTSVIDRequest(entry_id=self.entry_id, audience=["a"]).SerializeToString()

    def text(self) -> str:
        assert self.svid
        chain, key = self.svid
        svid = [one.hex() for one in chain], to_pem(key).decode()
        return json.dumps([self.port, self.address, self.token, self.entry_id, svid])

    @classmethod
    def of(cls, text: str) -> "Agent":
        *rest, (chain, pem) = json.loads(text)
        key = serialization.load_pem_private_key(pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        port, address, token, entry_id = rest
        return cls(port, address, token, entry_id, ([bytes.fromhex(one) for one in chain], key))


def main() -> None:
    """Print all figures, in some three minutes."""
    for wait in measured():
        print(wait, flush=True)


def measured() -> Iterator[Wait]:
    for limits, label in (("", ""), (OFF, ", no rate limits")):
        with (
            tempfile.TemporaryDirectory(prefix="assay-") as name,
            closing(Deployment(Path(name), server=f"{PROXIES}\n{limits}")) as house,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            # What is logged of each signature would be most of what is measured.
            conf = Path(name) / "server.conf"
            conf.write_text(conf.read_text().replace('"DEBUG"', '"ERROR"'))
            house.start_server()
            quiet = runner.run(admitted(house, QUIET, 1).attested())
            loud = runner.run(admitted(house, LOUD, ENTRIES).attested())
            # The main thread's time on a CPU, in nanoseconds.
            loop = Path(f"/proc/{house.processes['server'].pid}/schedstat")
            if not limits:
                yield from runner.run(waits(quiet, "alone", loop))
            for kind in FLOODS:
                with flooding(loud, kind):
                    yield from runner.run(waits(quiet, f"beside {kind}{label}", loop))


def admitted(house: Deployment, address: str, count: int) -> Agent:
    token = house.operator.join_token()
    parent = SpiffeId(TrustDomain(TRUST_DOMAIN), f"/spire/agent/join_token/{token}")
    entries = [
        types.Entry(
            spiffe_id=spiffeid_wire.to_proto(SpiffeId(parent.trust_domain, f"/{address}/{number}")),
            parent_id=spiffeid_wire.to_proto(parent),
            selectors=[Selector(type="unix", value="uid:1"), Selector(type="unix", value="gid:1")],
        )
        for number in range(count)
    ]
    with dialled(house.admin) as channel:
        request = entry_pb2.BatchCreateEntryRequest(entries=entries)
        made = EntryStub(channel).BatchCreateEntry(request, timeout=PATIENCE).results
    return Agent(house.port, address, token, made[0].entry.id)


async def waits(agent: Agent, beside: str, loop: Path) -> list[Wait]:
    """The figures of each call of the quiet agent."""
    channel = agent.channel()
    one, jwt = agent.batch(1), agent.jwt()

    async def newly() -> None:
        fresh = agent.channel()
        await fresh.unary(GET_BUNDLE, b"", (), timeout=None)
        await fresh.close()

    calls: dict[str, Call] = {
        "GetBundle": lambda: channel.unary(GET_BUNDLE, b"", (), timeout=None),
        "NewJWTSVID": lambda: channel.unary(NEW_JWT, jwt, (), timeout=None),
        "BatchNewX509SVID of 1": lambda: channel.unary(NEW_X509, one, (), timeout=None),
        "GetBundle on a new connection": newly,
    }
    found = [Wait(f"{name}, {beside}", *await timed(call, loop)) for name, call in calls.items()]
    await channel.close()
    return found


async def timed(call: Call, loop: Path) -> tuple[list[float], list[float]]:
    taken: list[float] = []
    spent: list[float] = []
    end = time.monotonic() + MOST_SECONDS
    while len(taken) < CALLS and time.monotonic() < end:
        start, before = time.monotonic(), _running(loop)
        await call()
        taken.append(time.monotonic() - start)
        spent.append(_running(loop) - before)
        await asyncio.sleep(PAUSE)
    return taken, spent


def _running(loop: Path) -> float:
    return int(loop.read_text().split()[0]) / 1e9


@contextmanager
def flooding(agent: Agent, kind: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.flood", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(agent.text().encode())
        process.stdin.close()
        assert process.stdout.readline() == b"ready\n"
        time.sleep(WARM)  # the flood's first burst is over
        yield
    finally:
        process.kill()
        process.wait()


async def flood(agent: Agent, kind: str) -> None:
    """Call at full speed, for ever, whatever the answers are."""
    connections, at_once = FLOODS[kind]
    path, request = {
        "batches of 500": (NEW_X509, agent.batch(500)),
        "JWT-SVIDs": (NEW_JWT, agent.jwt()),
        "lists of entries": (GET_ENTRIES, b""),
        "handshakes": (GET_BUNDLE, b""),
    }[kind]

    async def caller(channel: Channel) -> None:
        while True:
            with suppress(EndError, AssayError, OSError):
                await channel.unary(path, request, (), timeout=None)
            if kind == "handshakes":
                await channel.close()
                channel = replace(agent, svid=None).channel()
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            channel = agent.channel()
            for _ in range(at_once):
                group.create_task(caller(channel if kind != "handshakes" else agent.channel()))
        print("ready", flush=True)


if __name__ == "__main__":
    uvloop.run(flood(Agent.of(sys.stdin.read()), sys.argv[1]))
