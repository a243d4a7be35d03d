"""Kill -9 of the agent, at any moment from its first breath: the same command brings it back."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
from functools import partial

import pytest

from assay.testing.deployment import Deployment
from assay.testing.x509pop import use_x509pop

KILLS = int(os.environ.get("ASSAY_KILLS", "3"))
LIFE = 4.0
"""Seconds an agent has at most, from its start; renewal, which is always due, comes in them."""

# An SVID of which more than half has passed when the agent starts again is renewed at once.
TTL = 'agent_ttl = "60s"'


@pytest.mark.timeout(240 + 15 * KILLS)
def test_once_attested_no_kill_costs_a_new_join_token(deployments: object) -> None:
    assert callable(deployments)
    deployment: Deployment = deployments(server=TTL).start()
    deployment.register("/first")
    rng = random.Random(KILLS)  # noqa: S311 - when to kill
    deployment.stop("agent", signal.SIGKILL)
    renewing = 0
    for _ in range(KILLS):
        renewing += kill_after(deployment, rng.uniform(0, LIFE), rng.uniform(0, 0.05), catch=renewing < KILLS // 2)
    deployment.start_agent()
    deployment.register("/second")
    assert deployment.log("agent").count("Node attestation was successful") == 1


@pytest.mark.timeout(240 + 15 * KILLS)
def test_a_kill_while_it_attests_costs_nothing(deployments: object) -> None:
    assert callable(deployments)
    deployment: Deployment = deployments()
    use_x509pop(deployment.dir)
    deployment.start_server()
    deployment.write_bundle()
    rng = random.Random(KILLS)  # noqa: S311 - when to kill
    for _ in range(KILLS):
        shutil.rmtree(deployment.dir / "agent", ignore_errors=True)
        seen = len(deployment.log("agent")) if (deployment.dir / "agent.log").exists() else 0
        start(deployment)
        deployment.until("agent", partial(attesting, deployment, seen))
        wait(deployment, rng.uniform(0, 0.1))
        deployment.stop("agent", signal.SIGKILL)
        deployment.start_agent()
        deployment.stop("agent", signal.SIGKILL)
    deployment.start_agent()
    deployment.register("/first")


def kill_after(deployment: Deployment, delay: float, moment: float, *, catch: bool) -> bool:
    """Kill the agent that long after its start, or with `catch` in the midst of its renewal; whether it was that."""
    seen = len(deployment.log("agent"))
    start(deployment)
    process = deployment.processes["agent"]
    for _ in range(int(delay / 0.01) + 1):
        if catch and "Rotating agent SVID" in deployment.log("agent")[seen:]:
            wait(deployment, moment)
            break
        wait(deployment, 0.01)
    assert process.poll() is None, deployment.log("agent")[-4000:]
    deployment.stop("agent", signal.SIGKILL)
    return "Rotating agent SVID" in deployment.log("agent")[seen:]


def attesting(deployment: Deployment, seen: int) -> bool:
    return "Starting node attestation" in deployment.log("agent")[seen:]


def start(deployment: Deployment) -> None:
    deployment.spawn("agent", "agent", "run", "--config", str(deployment.dir / "agent.conf"))


def wait(deployment: Deployment, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        deployment.processes["agent"].wait(seconds)
