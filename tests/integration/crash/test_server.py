# ruff: noqa: ANN401 - classes of conftest.py cannot be named here
"""Kill -9 of the server under writes: what was acknowledged is there, and agents and workloads do not notice."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
from typing import Any

import pytest

from assay.errors import UnavailableError
from assay.testing.deployment import Deployment
from assay.testing.operator import PATIENCE
from assay.workloadapi import Endpoint, WorkloadApiClient

KILLS = int(os.environ.get("ASSAY_KILLS", "3"))
ROUND = 0.5
"""Seconds in which the kill comes, if not while the server starts."""

START = 1.0


@pytest.mark.timeout(240 + 10 * KILLS)
async def test_every_acknowledged_entry_survives_every_kill(deployment: Deployment, writers: Any, stream: Any) -> None:
    rng = random.Random(KILLS)  # noqa: S311 - when to kill
    for kill in range(KILLS):
        if kill % 4 == 3:
            await asyncio.to_thread(kill_while_starting, deployment, rng.uniform(0, START))
        await kill_under_writes(deployment, writers, rng.uniform(0, ROUND))
        assert writers.told <= await writers.there()
    assert writers.told
    await asyncio.to_thread(deployment.register, "/later")
    await stream.until("/later")
    assert not stream.ended


async def kill_under_writes(deployment: Deployment, writers: Any, delay: float) -> None:
    """Kill the server that long after the first acknowledgement of this round, and start it again."""
    before = len(writers.told)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(writers.write())
        while len(writers.told) == before and not writing.done():
            await asyncio.wait([writing], timeout=0.01)
        await asyncio.wait([writing], timeout=delay)
        deployment.stop("server", signal.SIGKILL)
    await asyncio.to_thread(deployment.start_server)


def kill_while_starting(deployment: Deployment, delay: float) -> None:
    deployment.stop("server", signal.SIGKILL)
    deployment.spawn("server", "server", "run", "--config", str(deployment.dir / "server.conf"))
    with contextlib.suppress(subprocess.TimeoutExpired):
        deployment.processes["server"].wait(delay)
    deployment.stop("server", signal.SIGKILL)
    deployment.start_server()


async def test_both_killed_at_once_come_back_in_either_order(deployment: Deployment) -> None:
    await asyncio.to_thread(deployment.register, "/first")
    for name in ("server", "agent"):
        deployment.processes[name].send_signal(signal.SIGKILL)
    for name in ("server", "agent"):
        deployment.stop(name, signal.SIGKILL)
    await asyncio.to_thread(restart_agent_first, deployment)
    # Only the agent that has its server back gets to know of this one.
    await asyncio.to_thread(deployment.register, "/second")
    assert deployment.log("agent").count("Node attestation was successful") == 1


def restart_agent_first(deployment: Deployment) -> None:
    deployment.spawn("agent", "agent", "run", "--config", str(deployment.dir / "agent.conf"))
    deployment.until("agent", lambda: "SVID loaded" in deployment.log("agent"))
    deployment.start_server()


async def test_while_the_server_is_away_the_agent_serves_what_it_has(deployment: Deployment) -> None:
    await asyncio.to_thread(deployment.register, "/first")
    async with WorkloadApiClient(Endpoint.of_path(deployment.api)) as client:
        before = await client.fetch_x509(within=PATIENCE)
        (token,) = await client.fetch_jwt(["billing"], within=PATIENCE)
        deployment.stop("server", signal.SIGKILL)
        assert await client.fetch_x509(within=PATIENCE) == before
        assert await client.fetch_jwt(["billing"], within=PATIENCE) == (token,)
        with pytest.raises(UnavailableError):
            await client.fetch_jwt(["audit"], within=PATIENCE)
        await asyncio.to_thread(deployment.start_server)
        (other,) = await client.fetch_jwt(["audit"], within=PATIENCE)
    assert other.spiffe_id == token.spiffe_id
