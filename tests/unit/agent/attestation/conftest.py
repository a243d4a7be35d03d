"""A server that attests, as a simulation on a real socket, and what an agent stands on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from assay.bundle import pem
from assay.errors import AssayError
from assay.http2.protocol import Http2Protocol
from assay.keymanager.disk import DiskKeyManager
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay.testing.scripted import Context, ScriptedServer, refuse
from assay.wire import bundle as bundle_wire
from assay.workloadapi import Endpoint
from assay_agent.attestation.bootstrap import BundleFormat, FileSource
from assay_agent.attestation.bootstrapping import Bootstrapping, Rebootstrap
from assay_agent.attestation.identity import AgentIdentity, TrustRoots
from assay_agent.attestation.node import NodeAttestation, NodeParts
from assay_agent.attestation.rotation import NodeRotation
from assay_agent.client.refusal import UntrustedServerError
from assay_agent.client.server import ServerClient
from assay_agent.plugins.nodeattestor_join_token import JoinTokenAttestor
from assay_agent.storage.disk import AgentStorage
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.types.bundle_pb2 import Bundle as BundleMessage
from assay_proto.spire.api.types.x509svid_pb2 import X509SVID

AGENT_PATH = "/spire/agent/test"


@dataclass
class Simulation:
    """The server, whose clock is `behind` the agent's. `refusals` are given out first, one for each request."""

    clock: FakeClock
    server: ScriptedServer
    authority: Authority = field(default_factory=Authority)
    reattestable: bool = False
    lifetime: int = 3600
    behind: float = 0.0
    refusals: list[AssayError] = field(default_factory=list[AssayError])
    attested: int = 0
    renewed: int = 0

    async def start(self) -> None:
        self.server.on("AttestAgent", self._attest)
        self.server.on("RenewAgent", self._renew)
        self.server.on("GetBundle", self._bundle)
        await self.server.start()

    def dial(
        self, roots: Callable[[], Sequence[bytes]], agreed: Callable[[], None] = lambda: None, *, insecure: bool = False
    ) -> Channel:
        """To this server, with what TLS would make of the roots."""

        async def connect(make: Callable[[], Http2Protocol]) -> tuple[asyncio.Transport, Http2Protocol]:
            if not insecure and self.authority.root.der not in roots():
                raise UntrustedServerError("no authority vouches for it")
            agreed()
            return await Endpoint.of_path(self.server.path).connect(make)

        return Channel(connect, max_message=MAX_MESSAGE_BYTES)

    def issue(self, csr: bytes) -> X509SVID:
        now = self.clock.now() - timedelta(seconds=self.behind)
        leaf = self.authority.sign_request(csr, AGENT_PATH, now=now, lifetime=self.lifetime)
        return X509SVID(cert_chain=[leaf])

    async def _attest(
        self, requests: AsyncIterator[agent_pb2.AttestAgentRequest], context: Context
    ) -> AsyncIterator[agent_pb2.AttestAgentResponse]:
        request = await anext(requests)
        await self._refuse(context)
        self.attested += 1
        svid = self.issue(request.params.params.csr)
        result = agent_pb2.AttestAgentResponse.Result(svid=svid, reattestable=self.reattestable)
        yield agent_pb2.AttestAgentResponse(result=result)

    async def _renew(self, request: agent_pb2.RenewAgentRequest, context: Context) -> agent_pb2.RenewAgentResponse:
        await self._refuse(context)
        self.renewed += 1
        return agent_pb2.RenewAgentResponse(svid=self.issue(request.params.csr))

    async def _bundle(self, _: object, __: Context) -> BundleMessage:
        return bundle_wire.to_proto(self.authority.bundle)

    async def _refuse(self, context: Context) -> None:
        if self.refusals:
            await refuse(context, self.refusals.pop(0))


@dataclass
class Agent:
    """One life of an agent; `restart` begins the next with what the disk holds."""

    folder: Path
    sim: Simulation
    rebootstrap: Rebootstrap = field(default_factory=Rebootstrap)
    anonymous_roots: list[Sequence[bytes]] = field(default_factory=list[Sequence[bytes]])

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.storage = AgentStorage(self.folder)
        self.keys = DiskKeyManager(self.folder / "keys.json")
        self.roots = TrustRoots(self.storage)
        self.identity = AgentIdentity()
        source = FileSource(self.folder / "bundle.pem", BundleFormat(self.sim.authority.trust_domain))
        self.bootstrap = Bootstrapping(source, self.storage, self.sim.clock, self.rebootstrap)
        self.client = ServerClient(lambda: self.sim.dial(self.roots, self.bootstrap.agreed))
        self.metrics = Recorded()
        self.parts = NodeParts(
            trust_domain=self.sim.authority.trust_domain,
            storage=self.storage,
            keys=self.keys,
            roots=self.roots,
            attestor=JoinTokenAttestor("token"),
            anonymous=self._anonymous,
            bootstrap=self.bootstrap,
            clock=self.sim.clock,
            draw=lambda: 0.5,
            metrics=self.metrics,
        )
        self.attestation = NodeAttestation(self.parts)
        self.rotation = NodeRotation(self.identity, self.attestation, self.parts, self.client)

    def _anonymous(self, roots: Sequence[bytes]) -> ServerClient:
        self.anonymous_roots.append(roots)
        return ServerClient(lambda: self.sim.dial(lambda: roots, insecure=not roots))

    def write_bundle(self) -> None:
        """Put the server's bundle of now where the configuration names it."""
        (self.folder / "bundle.pem").write_bytes(pem.emit(self.sim.authority.bundle.x509_authorities))


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    server = ScriptedServer(tmp_path / "s")
    simulation = Simulation(FakeClock(), server)
    await simulation.start()
    yield simulation
    await server.stop()


@pytest.fixture
async def agent(tmp_path: Path, sim: Simulation) -> AsyncIterator[Agent]:
    folder = tmp_path / "agent"
    folder.mkdir()
    made = Agent(folder, sim)
    made.write_bundle()
    yield made
    await made.client.close()
