"""The server as a process: it starts, answers, ends, and comes back with all it had acknowledged."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2

from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.sync.v1 import sync_pb2
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub

if TYPE_CHECKING:
    from tests.integration.server.conftest import ServerProcess

    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.sync.v1.sync_pb2_grpc import SyncAsyncStub
else:
    ServerProcess = object

Servers = Callable[..., ServerProcess]

# A PID namespace of its own, as a container has; the tests' own processes cannot be seen from it.
CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


async def listed(server: ServerProcess) -> set[str]:
    async with server.admin() as channel:
        agents: AgentAsyncStub = AgentStub(channel)
        found = await agents.ListAgents(agent_pb2.ListAgentsRequest(), wait_for_ready=True)
    return {agent.id.path for agent in found.agents}


async def test_it_makes_its_folders_and_says_that_it_serves(server: ServerProcess) -> None:
    assert server.log.count('msg="Starting Server APIs"') == 2
    assert stat.S_IMODE(server.admin_socket.stat().st_mode) == 0o770
    assert stat.S_IMODE((server.folder / "data" / "keys.json").stat().st_mode) == 0o600
    async with server.admin() as channel:
        answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_watching_agent_does_not_hold_it_up(server: ServerProcess) -> None:
    identity = await server.attested()
    async with server.dial(identity) as channel:
        sync: SyncAsyncStub = SyncStub(channel)
        call = sync.Watch(sync_pb2.WatchRequest())
        assert isinstance(await call.read(), sync_pb2.WatchResponse)
        assert await server.stop() == 0
        with pytest.raises(grpc.aio.AioRpcError) as error:
            while await call.read() is not grpc.aio.EOF:
                pass
    # Sent away with these words, not cut off when the grace for calls under way was over.
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.UNAVAILABLE, "server is shutting down")


async def test_a_caller_who_never_ends_its_call_does_not_hold_it_up(server: ServerProcess) -> None:
    async with server.admin() as channel:
        method = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = method()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services="*"))
        answer = await call.read()
        assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
        assert "spire.api.server.logger.v1.Logger" in {one.name for one in answer.list_services_response.service}
        assert await server.stop() == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
    assert "in time" not in server.log


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_what_it_acknowledged_is_there_after_a_restart(
    server: ServerProcess, how: signal.Signals, status: int
) -> None:
    identity = await server.attested()
    roots = server.roots
    assert await server.stop(how) == status
    if status == 0:
        assert not server.admin_socket.exists()
        assert 'msg="Server stopped gracefully"' in server.log
    await server.start()
    assert await listed(server) == {identity.svid.id.path}
    assert server.roots == roots
    async with server.dial(identity) as channel:  # the CA signs on with the same keys
        agents: AgentAsyncStub = AgentStub(channel)
        await agents.PostStatus(agent_pb2.PostStatusRequest(agent_version="1"))


async def test_a_second_server_on_the_same_data_is_refused(server: ServerProcess, servers: Servers) -> None:
    second = servers()
    second.folder = server.folder
    second.port = server.port + 1
    second.spawn()
    if second.process is None:
        raise RuntimeError("not started")
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    assert "is in use by the process" in server.log
    assert await listed(server) == set()


async def test_a_taken_port_is_said(server: ServerProcess, servers: Servers) -> None:
    second = servers()
    second.port = server.port
    second.spawn()
    if second.process is None:
        raise RuntimeError("not started")
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in second.log


async def test_a_spire_database_is_left_alone(servers: Servers) -> None:
    server = servers()
    store = server.folder / "data" / "store.sqlite3"
    store.parent.mkdir()
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE registered_entries (id integer)")
    connection.close()
    before = store.read_bytes()
    server.spawn()
    if server.process is None:
        raise RuntimeError("not started")
    assert await asyncio.to_thread(server.process.wait, 20) == 1
    assert "SPIRE" in server.log
    assert store.read_bytes() == before


async def test_a_signal_while_it_starts_ends_it(servers: Servers) -> None:
    server = servers()
    server.spawn()
    async with asyncio.timeout(20):
        log = server.log
        while 'msg="Starting server"' not in log:
            await asyncio.sleep(0.005)
            log = server.log
    assert await server.stop() == 0


@pytest.fixture
def container() -> tuple[str, ...]:
    try:
        subprocess.run([*CONTAINER, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no namespaces for us here")
    return CONTAINER


def inner_pid(server: ServerProcess) -> int:
    """The process that `unshare` started."""
    assert server.process
    outer = server.process.pid
    return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])


def number_within(pid: int) -> int:
    """What that process is called in its own namespace."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:"))
    return int(line.split()[-1])


async def test_it_may_be_pid_1_of_a_container_and_serves_others_from_outside(
    servers: Servers, container: tuple[str, ...]
) -> None:
    server = servers()
    server.prefix = container
    await server.start()
    pid = inner_pid(server)
    assert number_within(pid) == 1
    async with server.admin() as channel:
        assert (await HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status
    os.kill(pid, signal.SIGTERM)
    assert server.process
    assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert "Server stopped gracefully" in server.log


async def test_a_trail_that_could_not_name_the_caller_shuts_it_out_and_says_so(
    servers: Servers, container: tuple[str, ...]
) -> None:
    server = servers()
    server.prefix, server.settings = container, "audit_log_enabled = true"
    server.spawn()
    async with asyncio.timeout(20), server.admin() as channel:
        while "Connection failed during accept" not in server.log:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            await asyncio.sleep(0.05)
    assert "caller's process is in another PID namespace" in server.log
    assert "level=warning" in next(line for line in server.log.splitlines() if "during accept" in line)
