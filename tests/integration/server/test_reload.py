"""Signals to a running server: what it takes over from its file without dropping anybody."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from assay.clock import SystemClock
from assay.testing.authority import Ca, key_usage
from assay.testing.pop import Prover, pop_payload
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.sync.v1 import sync_pb2
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub

if TYPE_CHECKING:
    from tests.integration.server.conftest import Identity, ServerProcess

    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.sync.v1.sync_pb2_grpc import SyncAsyncStub
else:
    Identity = ServerProcess = object

Servers = Callable[..., ServerProcess]
REFUSED = 'msg="Configuration cannot be reloaded; everything stays as it was"'


async def signalled(server: ServerProcess, number: signal.Signals, words: str = 'msg="Configuration reloaded"') -> str:
    """Send the signal and wait until the log says so; what it says from there on."""
    before = len(server.log)
    assert server.process is not None
    server.process.send_signal(number)
    async with asyncio.timeout(20):
        said = ""
        while words not in said:
            await asyncio.sleep(0.01)
            said = server.log[before:]
    return said


def edit(server: ServerProcess, old: str, new: str) -> None:
    file = server.folder / "server.conf"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


async def count_agents(server: ServerProcess, identity: Identity) -> int:
    async with server.dial(identity) as channel:
        agents: AgentAsyncStub = AgentStub(channel)
        return (await agents.CountAgents(agent_pb2.CountAgentsRequest())).count


async def test_new_node_authorities_admit_agents_while_streams_go_on(servers: Servers, tmp_path: Path) -> None:
    old, new = (Ca.create(name, now=SystemClock().now()) for name in ("old", "new"))
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(old.certificate.public_bytes(Encoding.PEM))
    server = await servers(f'NodeAttestor "x509pop" {{ plugin_data {{ ca_bundle_path = "{bundle}" }} }}').start()
    der, key = new.issue([(key_usage("digital_signature"), True)], now=SystemClock().now())
    watching = await server.attested()
    async with server.dial(watching) as channel:
        sync: SyncAsyncStub = SyncStub(channel)
        call = sync.Watch(sync_pb2.WatchRequest())
        assert isinstance(await call.read(), sync_pb2.WatchResponse)
        with pytest.raises(grpc.aio.AioRpcError):
            await server.attest("x509pop", pop_payload(der), Prover(key).answer)

        bundle.write_bytes(new.certificate.public_bytes(Encoding.PEM))
        said = await signalled(server, signal.SIGUSR1)
        assert 'msg="Plugin reconfigured" plugin_name=x509pop plugin_type=NodeAttestor' in said
        identity = await server.attest("x509pop", pop_payload(der), Prover(key).answer)
        assert identity.svid.id.path.startswith("/spire/agent/x509pop/")

        bundle.write_text("no certificate")
        assert "x509pop" in await signalled(server, signal.SIGUSR1, REFUSED)
        await server.attest("x509pop", pop_payload(der), Prover(key).answer)
        assert not call.done()


async def test_administrators_come_and_go_with_the_file(server: ServerProcess) -> None:
    admin = await server.attested()
    name = f"spiffe://example.test{admin.svid.id.path}"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await count_agents(server, admin)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED

    edit(server, 'trust_domain = "example.test"', f'trust_domain = "example.test"\nadmin_ids = ["{name}"]')
    assert "changed=admin_ids" in await signalled(server, signal.SIGHUP)
    assert await count_agents(server, admin) == 1

    edit(server, f'"{name}"', "")
    await signalled(server, signal.SIGHUP)
    with pytest.raises(grpc.aio.AioRpcError):
        await count_agents(server, admin)


async def test_a_broken_file_is_told_and_changes_nothing(server: ServerProcess) -> None:
    edit(server, 'log_level = "DEBUG"', 'log_level = "ERROR"\nca_ttl = "-1h"')
    said = await signalled(server, signal.SIGHUP, REFUSED)
    assert "server.ca_ttl" in said
    edit(server, 'ca_ttl = "-1h"', 'ca_ttl = "48h"')
    said = await signalled(server, signal.SIGHUP, "need a restart")
    assert "changed=log_level" in said
    assert "settings=ca_ttl" in said
    assert await server.stop() == 0
    assert "stopped gracefully" not in server.log  # the level is ERROR by now
