"""The whole server as app.py puts it together, on its real sockets, with a clock of the test's own; and its callers."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import UniformResourceIdentifier

from assay.clock import SystemClock
from assay.config.plugin import Plugin
from assay.crypto import csr, keys
from assay.errors import DenialReason
from assay.keymanager.base import KeyType, SigningKey
from assay.loglevel import LiveLevel
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority, Ca, leaf_extensions
from assay.testing.clock import FakeClock
from assay.testing.deployment import free_port
from assay.transport.dial import SpiffeDialer, dial_unix
from assay.wire import bundle as bundle_wire
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.status import denial_reason
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_proto.spire.api.types import attestation_pb2
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_server.app import serve
from assay_server.config import ServerConfig
from assay_server.model.rates import Rates

if TYPE_CHECKING:
    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub

TRUST_DOMAIN = TrustDomain("example.org")
LONG = 12 * 3600
PATIENCE = 30.0


class Identity(NamedTuple):
    """What a caller shows: its chain (DER, leaf first) and key."""

    chain: Sequence[bytes]
    key: SigningKey


class Outcome(NamedTuple):
    """How a call ended, and the reason beside a refusal. A call that was answered is OK, whether or not it ended."""

    code: grpc.StatusCode
    words: str = ""
    reason: DenialReason | None = None


@dataclass
class House:
    """A server that answers. `clock` is its time; the IDs are administrators by `admin_ids`."""

    ADMIN: ClassVar = SpiffeId(TRUST_DOMAIN, "/configured-admin")
    FOREIGN_ADMIN: ClassVar = SpiffeId(TrustDomain("foreign.test"), "/admin")
    AGENT_ADMIN: ClassVar = SpiffeId(TRUST_DOMAIN, "/spire/agent/join_token/chief")

    folder: Path
    port: int
    clock: FakeClock
    foreign: Authority
    nodes: Ca
    admin: grpc.aio.Channel
    roots: list[bytes] = field(default_factory=list[bytes])

    @property
    def agents(self) -> "AgentAsyncStub":
        return AgentStub(self.admin)

    @property
    def bundles(self) -> "BundleAsyncStub":
        return BundleStub(self.admin)

    @property
    def entries(self) -> "EntryAsyncStub":
        return EntryStub(self.admin)

    def dial(self, identity: Identity | None = None) -> SpiffeDialer:
        """Over TLS, with what is shown."""
        return SpiffeDialer(
            "127.0.0.1",
            self.port,
            expected=SpiffeId(TRUST_DOMAIN, "/spire/server"),
            roots=lambda: self.roots,
            identity=lambda: identity,
            clock=self.clock,
        )

    async def mint(self, spiffe_id: SpiffeId) -> Identity:
        """An X509-SVID for any workload's ID."""
        key = keys.generate(KeyType.EC_P256)
        request = svid_pb2.MintX509SVIDRequest(
            csr=csr.create(key, None, UniformResourceIdentifier(str(spiffe_id))), ttl=LONG
        )
        svids: SVIDAsyncStub = SVIDStub(self.admin)
        return Identity((await svids.MintX509SVID(request)).svid.cert_chain, key)

    def forged(self, spiffe_id: SpiffeId) -> Identity:
        """The foreign trust domain's word for any ID."""
        der, key = self.foreign.root.issue(leaf_extensions(str(spiffe_id)), now=self.clock.now())
        return Identity([der], key)

    async def attest(self, token: str = "") -> tuple[SpiffeId, Identity]:
        """A new agent, admitted by a join token: this one, or one that the server thinks of."""
        key = keys.generate(KeyType.EC_P256)
        made = await self.agents.CreateJoinToken(agent_pb2.CreateJoinTokenRequest(ttl=60, token=token))
        params = agent_pb2.AttestAgentRequest.Params(
            data=attestation_pb2.AttestationData(type="join_token", payload=made.value.encode()),
            params=agent_pb2.AgentX509SVIDParams(csr=csr.create(key)),
        )
        async with self.dial() as channel:
            stub: AgentAsyncStub = AgentStub(channel)
            call = stub.AttestAgent()
            await call.write(agent_pb2.AttestAgentRequest(params=params))
            response = await call.read()
            assert isinstance(response, agent_pb2.AttestAgentResponse)
        return spiffeid_wire.from_proto(response.result.svid.id), Identity(response.result.svid.cert_chain, key)

    async def renew(self, identity: Identity) -> Identity:
        """The agent's next SVID."""
        key = keys.generate(KeyType.EC_P256)
        request = agent_pb2.RenewAgentRequest(params=agent_pb2.AgentX509SVIDParams(csr=csr.create(key)))
        async with self.dial(identity) as channel:
            stub: AgentAsyncStub = AgentStub(channel)
            return Identity((await stub.RenewAgent(request)).svid.cert_chain, key)

    async def ban(self, agent: SpiffeId) -> None:
        await self.agents.BanAgent(agent_pb2.BanAgentRequest(id=spiffeid_wire.to_proto(agent)))

    async def evict(self, agent: SpiffeId) -> None:
        await self.agents.DeleteAgent(agent_pb2.DeleteAgentRequest(id=spiffeid_wire.to_proto(agent)))

    async def register(self, spiffe_id: SpiffeId, parent: SpiffeId, selector: str = "uid:1", **fields: bool) -> str:
        """An entry; its ID."""
        entry = types.Entry(
            spiffe_id=spiffeid_wire.to_proto(spiffe_id),
            parent_id=spiffeid_wire.to_proto(parent),
            selectors=[Selector(type="unix", value=selector)],
            admin=fields.get("admin", False),
            downstream=fields.get("downstream", False),
        )
        response = await self.entries.BatchCreateEntry(entry_pb2.BatchCreateEntryRequest(entries=[entry]))
        (result,) = response.results
        assert result.status.code == 0, result.status
        return result.entry.id

    async def forget(self, entry_id: str) -> None:
        """Delete that entry."""
        await self.entries.BatchDeleteEntry(entry_pb2.BatchDeleteEntryRequest(ids=[entry_id]))

    async def federate(self) -> None:
        """Trust the foreign trust domain's authorities for its own IDs."""
        bundle = bundle_wire.to_proto(self.foreign.bundle)
        await self.bundles.BatchSetFederatedBundle(bundle_pb2.BatchSetFederatedBundleRequest(bundle=[bundle]))

    async def outcome(self, channel: grpc.aio.Channel, rpc: str, request: bytes = b"") -> Outcome:
        """Call any kind of RPC with one message and nothing after it, up to its first answer.

        On the wire a call is the same whatever kind of RPC the caller takes it for.
        """
        # Without a codec its types say that there are no messages.
        call = cast("Any", channel).unary_stream(rpc)(request, timeout=PATIENCE)
        try:
            await call.read()
            return Outcome(grpc.StatusCode.OK)
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code(), error.details() or "", denial_reason(error.trailing_metadata() or ()))
        finally:
            call.cancel()

    def content(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of all tables."""
        with closing(sqlite3.connect(f"file:{self.folder}/data/store.sqlite3?mode=ro", uri=True)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: sorted(database.execute(f"SELECT * FROM {name}"), key=repr) for name in names}  # noqa: S608 - our own names


Running = Callable[[FakeClock], AbstractAsyncContextManager[House]]


@asynccontextmanager
async def _running(clock: FakeClock) -> AsyncGenerator[House]:
    with TemporaryDirectory(prefix="assay-") as folder:
        nodes = Ca.create("nodes", now=clock.now())
        config = _config(Path(folder), nodes)
        async with asyncio.TaskGroup() as tasks, dial_unix(config.socket_path) as admin:
            server = tasks.create_task(serve(config, clock=clock, level=LiveLevel("info"), reread=lambda: config))
            house = House(
                Path(folder), config.bind_port, clock, Authority("foreign.test", now=clock.now()), nodes, admin
            )
            async with asyncio.timeout(PATIENCE):
                bundle = await house.bundles.GetBundle(bundle_pb2.GetBundleRequest(), wait_for_ready=True)
            house.roots = [authority.asn1 for authority in bundle.x509_authorities]
            yield house
            server.cancel()


def _config(folder: Path, nodes: Ca) -> ServerConfig:
    """Everything on that could break a call, the audit trails with it."""
    bundle = folder / "nodes.pem"
    bundle.write_bytes(nodes.certificate.public_bytes(Encoding.PEM))
    return ServerConfig(
        trust_domain=TRUST_DOMAIN,
        data_dir=folder / "data",
        bind_address="127.0.0.1",
        bind_port=free_port(),
        socket_path=folder / "private" / "api.sock",
        datastore_path=folder / "data" / "store.sqlite3",
        key_manager=Plugin("memory", {}),
        node_attestors=(Plugin("join_token", {}), Plugin("x509pop", {"ca_bundle_path": str(bundle)})),
        audit_log=True,
        audit_log_file=folder / "audit.json",
        admin_ids=frozenset({House.ADMIN, House.FOREIGN_ADMIN, House.AGENT_ADMIN}),
        rates=Rates(attestation=None, x509_signing=None, jwt_signing=None, wit_signing=None),
    )


@pytest.fixture(scope="session")
def running() -> Running:
    """Makes a server in this process with that clock, from its first answer to its end."""
    return _running


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A server of the test's own. Its time begins now: OpenSSL looks at the machine's clock."""
    async with _running(FakeClock(SystemClock().now())) as house:
        yield house
