"""Agents against a real server process: admitted, renewed, banned, evicted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from assay.clock import SystemClock
from assay.crypto import csr, keys
from assay.errors import DenialReason
from assay.keymanager.base import KeyType
from assay.testing.authority import Ca, key_usage
from assay.testing.pop import Prover, pop_payload
from assay.wire.status import denial_reason
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as entry_api
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_proto.spire.api.types import entry_pb2, selector_pb2, spiffeid_pb2
from assay_proto.sync.v1 import sync_pb2
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub

if TYPE_CHECKING:
    from tests.integration.server.conftest import Identity, ServerProcess

    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub
    from assay_proto.sync.v1.sync_pb2_grpc import SyncAsyncStub
else:
    Identity = ServerProcess = object

Servers = Callable[..., ServerProcess]


async def post_status(server: ServerProcess, identity: Identity | None) -> None:
    async with server.dial(identity) as channel:
        agents: AgentAsyncStub = AgentStub(channel)
        await agents.PostStatus(agent_pb2.PostStatusRequest(agent_version="1"))


async def denied(server: ServerProcess, identity: Identity | None) -> DenialReason | None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await post_status(server, identity)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    return denial_reason(error.value.trailing_metadata() or ())


async def operate(server: ServerProcess, rpc: str, request: Any) -> Any:  # noqa: ANN401 - of one RPC or another
    async with server.admin() as channel:
        return await getattr(AgentStub(channel), rpc)(request)


async def register(server: ServerProcess, path: str, parent: spiffeid_pb2.SPIFFEID) -> str:
    entry = entry_pb2.Entry(
        spiffe_id=spiffeid_pb2.SPIFFEID(trust_domain="example.test", path=path),
        parent_id=parent,
        selectors=[selector_pb2.Selector(type="unix", value="uid:1")],
    )
    async with server.admin() as channel:
        entries: EntryAsyncStub = EntryStub(channel)
        (result,) = (await entries.BatchCreateEntry(entry_api.BatchCreateEntryRequest(entries=[entry]))).results
    assert result.status.code == 0
    return result.entry.id


async def test_a_join_token_admits_an_agent_once(shared: ServerProcess) -> None:
    token = await shared.token()
    identity = await shared.attest("join_token", token.encode())
    assert identity.svid.id.path == f"/spire/agent/join_token/{token}"
    assert not identity.reattestable
    await post_status(shared, identity)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await shared.attest("join_token", token.encode())
    assert (error.value.code(), error.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "failed to attest: join token does not exist or has already been used",
    )


async def test_possession_of_a_certified_key_admits_an_agent(servers: Servers, tmp_path: Path) -> None:
    ca = Ca.create("node root", now=SystemClock().now())
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    section = f'NodeAttestor "x509pop" {{ plugin_data {{ ca_bundle_path = "{tmp_path}/ca.pem" }} }}'
    server = await servers(section).start()
    der, key = ca.issue([(key_usage("digital_signature"), True)], now=SystemClock().now())
    await server.attest("x509pop", pop_payload(der), Prover(key).answer)
    identity = await server.attest("x509pop", pop_payload(der), Prover(key).answer)  # again, as after a lost SVID
    assert identity.svid.id.path.startswith("/spire/agent/x509pop/")
    assert identity.reattestable
    await post_status(server, identity)
    wrong = Prover(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await server.attest("x509pop", pop_payload(der), wrong.answer)
    assert (error.value.code(), error.value.details()) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "nodeattestor(x509pop): challenge response verification failed: ECDSA signature verify failed",
    )
    async with server.dial(identity) as channel:
        agents: AgentAsyncStub = AgentStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await agents.RenewAgent(agent_pb2.RenewAgentRequest(params=agent_pb2.AgentX509SVIDParams(csr=b"x")))
    assert denial_reason(error.value.trailing_metadata() or ()) is DenialReason.AGENT_MUST_REATTEST


async def test_an_attestor_that_is_not_configured(shared: ServerProcess) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await shared.attest("x509pop", b"{}")
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_renewed_svid_takes_over_at_its_first_use(shared: ServerProcess) -> None:
    old = await shared.attested()
    key = keys.generate(KeyType.EC_P256)
    async with shared.dial(old) as channel:
        agents: AgentAsyncStub = AgentStub(channel)
        params = agent_pb2.AgentX509SVIDParams(csr=csr.create(key))
        renewed = await agents.RenewAgent(agent_pb2.RenewAgentRequest(params=params))
    await post_status(shared, old)
    new = type(old)(renewed.svid, key)
    await post_status(shared, new)
    assert await denied(shared, old) is DenialReason.AGENT_NOT_ACTIVE
    await post_status(shared, new)


async def test_ban_and_eviction_reach_the_agent(shared: ServerProcess) -> None:
    identity = await shared.attested()
    await post_status(shared, identity)
    await operate(shared, "BanAgent", agent_pb2.BanAgentRequest(id=identity.svid.id))
    assert await denied(shared, identity) is DenialReason.AGENT_BANNED
    await operate(shared, "DeleteAgent", agent_pb2.DeleteAgentRequest(id=identity.svid.id))
    assert await denied(shared, identity) is DenialReason.AGENT_NOT_ATTESTED
    for words in ("Agent banned", "Agent deleted"):
        assert f'msg="{words}"' in shared.log
    line = next(line for line in shared.log.splitlines() if 'msg="Agent is not attested"' in line)
    assert f'caller_id="spiffe://example.test{identity.svid.id.path}"' in line


async def test_the_anonymous_may_do_nothing_more(shared: ServerProcess) -> None:
    assert await denied(shared, None) is None


async def test_a_watch_gets_entries_as_they_come_and_ends_with_a_ban(shared: ServerProcess) -> None:
    identity = await shared.attested()
    async with asyncio.timeout(20), shared.dial(identity) as channel:
        sync: SyncAsyncStub = SyncStub(channel)
        call = sync.Watch(sync_pb2.WatchRequest())
        first = await call.read()
        assert isinstance(first, sync_pb2.WatchResponse)
        assert first.snapshot
        entry_id = await register(shared, "/workload", identity.svid.id)
        update = await call.read()
        assert isinstance(update, sync_pb2.WatchResponse)
        assert [entry.id for entry in update.entries] == [entry_id]
        svids: SVIDAsyncStub = SVIDStub(channel)
        params = svid_pb2.NewX509SVIDParams(entry_id=entry_id, csr=csr.create(identity.key))
        signed = await svids.BatchNewX509SVID(svid_pb2.BatchNewX509SVIDRequest(params=[params]))
        assert signed.results[0].svid.id.path == "/workload"
        await operate(shared, "BanAgent", agent_pb2.BanAgentRequest(id=identity.svid.id))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
    assert denial_reason(error.value.trailing_metadata() or ()) is DenialReason.AGENT_BANNED
