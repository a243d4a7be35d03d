"""The workloads' socket: its modes, health and life."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from structlog.testing import capture_logs

from assay.errors import FailedPreconditionError, UnavailableError
from assay_agent.endpoints import Endpoints

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

    from assay.workloadapi import WorkloadApiClient

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def check(agent: LocalAgent, service: str = "") -> int:
    """The health that a tool sees which sets no header."""
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
        return int(answer.status)


@pytest.mark.spec("WEP-2-a")
@pytest.mark.spec("WEP-3-c")
def test_every_user_may_connect_and_none_but_the_owner_may_change_the_folder(agent: LocalAgent) -> None:
    assert stat.S_IMODE(agent.path.stat().st_mode) == 0o777
    assert stat.S_ISSOCK(agent.path.stat().st_mode)
    assert stat.S_IMODE(agent.path.parent.stat().st_mode) == 0o755


async def test_the_log_says_where_it_listens_and_when_it_ends(folder: Path) -> None:
    endpoints = Endpoints(folder / "api.sock")
    with capture_logs() as logs:
        await endpoints.start()
        await endpoints.close()
    assert [one["event"] for one in logs if one["log_level"] == "info"] == [
        "Starting agent APIs",
        "Stopping agent APIs",
    ]
    assert (logs[0]["address"], logs[0]["network"]) == (str(folder / "api.sock"), "unix")
    assert not (folder / "api.sock").exists()


async def test_a_second_agent_on_the_same_path_is_refused(agent: LocalAgent) -> None:
    second = Endpoints(agent.path)
    with pytest.raises(FailedPreconditionError, match="listens"):
        await second.start()
    await second.close()
    assert await check(agent) == SERVING


async def test_open_streams_end_when_it_closes(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    contexts = client.watch_x509()
    await anext(contexts)
    await agent.endpoints.close()
    with pytest.raises(UnavailableError):
        await anext(contexts)
    assert not agent.cache.wanted


@pytest.mark.parametrize("registered", [True, False])
async def test_healthy_is_an_api_that_answers_with_an_identity_or_without(agents: Agents, registered: bool) -> None:
    agent = await agents(own_pid=os.getpid())
    if registered:
        agent.register("a", "/web")
    with capture_logs() as logs:
        assert await check(agent) == SERVING
    assert logs == []


async def test_not_healthy_is_an_api_that_is_not_available(agents: Agents) -> None:
    agent = await agents(synced=False)
    with capture_logs() as logs:
        assert await check(agent) == NOT_SERVING
    (line,) = [one for one in logs if one["event"] == "Health check failed"]
    assert line["reason"] == "unable to fetch X.509 context from Workload API"


async def test_the_health_of_single_services_is_not_served(agent: LocalAgent) -> None:
    with pytest.raises(aio.AioRpcError) as refusal:
        await check(agent, "SpiffeWorkloadAPI")
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == "per-service health is not supported"


async def test_watching_health_is_unimplemented(agent: LocalAgent) -> None:
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        with pytest.raises(aio.AioRpcError) as refusal:
            await anext(aiter(HealthStub(channel).Watch(health_pb2.HealthCheckRequest())))
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
