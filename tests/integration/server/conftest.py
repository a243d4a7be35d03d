"""A real server process, and the callers a test needs of it."""

import asyncio
import signal
import subprocess
import textwrap
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import grpc
import pytest

from assay.clock import SystemClock
from assay.crypto import csr, keys
from assay.keymanager.base import KeyType, SigningKey
from assay.spiffeid import SpiffeId
from assay.testing.deployment import ASSAY, free_port
from assay.transport.dial import SpiffeDialer, dial_unix
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import GetBundleRequest
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.types import attestation_pb2, x509svid_pb2

if TYPE_CHECKING:
    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub

DEADLINE = 20.0
SERVER_ID = SpiffeId.parse("spiffe://example.test/spire/server")
CONFIG = """
    server {{
        bind_address = "127.0.0.1"
        bind_port = "{port}"
        socket_path = "{dir}/private/admin.sock"
        trust_domain = "example.test"
        data_dir = "{dir}/data"
        log_level = "DEBUG"
        ratelimit {{ attestation = false }}
        {settings}
    }}
    plugins {{
        DataStore "sql" {{ plugin_data {{ database_type = "sqlite3" connection_string = "{dir}/data/store.sqlite3" }} }}
        KeyManager "disk" {{ plugin_data {{ keys_path = "{dir}/data/keys.json" }} }}
        NodeAttestor "join_token" {{ plugin_data {{}} }}
        {plugins}
    }}
"""


@dataclass
class Identity:
    """An agent's SVID as AttestAgent or RenewAgent gave it."""

    svid: x509svid_pb2.X509SVID
    key: SigningKey
    reattestable: bool = False


@dataclass
class ServerProcess:
    """`assay server run` with its files in one folder; callers dial it as agents and operators do."""

    folder: Path
    plugins: str = ""
    settings: str = ""
    prefix: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    roots: list[bytes] = field(default_factory=list)

    @property
    def admin_socket(self) -> Path:
        return self.folder / "private" / "admin.sock"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def spawn(self) -> None:
        config = textwrap.dedent(CONFIG).format(
            port=self.port, dir=self.folder, plugins=self.plugins, settings=self.settings
        )
        (self.folder / "server.conf").write_text(config)
        command = [*self.prefix, ASSAY, "server", "run", "--config", str(self.folder / "server.conf")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")

    async def start(self) -> "ServerProcess":
        """Spawn it and wait for its first answer."""
        self.spawn()
        async with asyncio.timeout(DEADLINE), dial_unix(self.admin_socket) as channel:
            bundles: BundleAsyncStub = BundleStub(channel)
            bundle = await bundles.GetBundle(GetBundleRequest(), wait_for_ready=True)
        self.roots = [authority.asn1 for authority in bundle.x509_authorities]
        return self

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit status."""
        if self.process is None:
            raise RuntimeError("not started")
        self.process.send_signal(how)
        return await asyncio.to_thread(self.process.wait, DEADLINE)

    def admin(self) -> grpc.aio.Channel:
        return dial_unix(self.admin_socket)

    def dial(self, identity: Identity | None = None) -> SpiffeDialer:
        return SpiffeDialer(
            "127.0.0.1",
            self.port,
            expected=SERVER_ID,
            roots=lambda: self.roots,
            identity=lambda: (identity.svid.cert_chain, identity.key) if identity else None,
            clock=SystemClock(),
        )

    async def token(self) -> str:
        async with self.admin() as channel:
            agents: AgentAsyncStub = AgentStub(channel)
            return (await agents.CreateJoinToken(agent_pb2.CreateJoinTokenRequest(ttl=60))).value

    async def attest(
        self, kind: str, payload: bytes, answer: Callable[[bytes], Awaitable[bytes]] | None = None
    ) -> Identity:
        """Attest as an agent would, on a new anonymous connection."""
        key = keys.generate(KeyType.EC_P256)
        params = agent_pb2.AttestAgentRequest.Params(
            data=attestation_pb2.AttestationData(type=kind, payload=payload),
            params=agent_pb2.AgentX509SVIDParams(csr=csr.create(key)),
        )
        async with asyncio.timeout(DEADLINE), self.dial() as channel:
            agents: AgentAsyncStub = AgentStub(channel)
            call = agents.AttestAgent()
            await call.write(agent_pb2.AttestAgentRequest(params=params))
            while isinstance(response := await call.read(), agent_pb2.AttestAgentResponse):
                if response.WhichOneof("step") == "result":
                    return Identity(response.result.svid, key, response.result.reattestable)
                if answer is None:
                    raise AssertionError("nothing was to be asked")
                reply = await answer(response.challenge)
                await call.write(agent_pb2.AttestAgentRequest(challenge_response=reply))
        raise AssertionError("the conversation ended without a result")

    async def attested(self) -> Identity:
        """An agent admitted by a fresh join token."""
        return await self.attest("join_token", (await self.token()).encode())


Servers = Callable[..., ServerProcess]


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Makes servers, not started; ends those that still run."""
    with _servers() as make:
        yield make


@pytest.fixture
async def server(servers: Servers) -> ServerProcess:
    """A server that answers."""
    return await servers().start()


@pytest.fixture(scope="module")
def shared() -> Iterator[ServerProcess]:
    """A server that answers, for tests that do with agents of their own."""
    with _servers() as make:
        server = make()
        asyncio.run(server.start())
        yield server


@contextmanager
def _servers() -> Generator[Servers]:
    made: list[ServerProcess] = []
    with TemporaryDirectory(prefix="assay-") as folder:

        def make(plugins: str = "") -> ServerProcess:
            place = Path(folder) / str(len(made))
            place.mkdir()
            made.append(ServerProcess(place, plugins))
            return made[-1]

        yield make
        for server in made:
            if server.process is not None and server.process.poll() is None:
                server.process.kill()
                server.process.wait(DEADLINE)
