"""Kill -9 of the agent, at any moment from its first breath: the same command brings it back."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from functools import partial

import pytest

from assay.testing.deployment import Deployment
from assay.testing.x509pop import use_x509pop

KILLS = int(os.environ.get("ASSAY_KILLS", "3"))
LIFE = 4.0
"""Seconds an agent has at most, from its start."""

# Renewed after about half of it, and at once by an agent that starts later. Many kills are needed to get there.
TTL = 'agent_ttl = "120s"'
LOST = "Generating new keypair"
RENEWED = "Successfully rotated agent SVID"
OLD = 80.0
"""Seconds after which a renewal may finish: an SVID whose renewal is always interrupted ends."""


@pytest.mark.timeout(240 + 15 * KILLS)
def test_once_attested_no_kill_costs_a_new_join_token(deployments: object) -> None:
    assert callable(deployments)
    deployment: Deployment = deployments(server=TTL).start()
    deployment.register("/first")
    rng = random.Random(KILLS)  # noqa: S311 - when to kill
    deployment.stop("agent", signal.SIGKILL)
    renewed, rotations = time.monotonic(), 0
    for _ in range(KILLS):
        if time.monotonic() - renewed < OLD:
            kill_while_renewing(deployment, rng.uniform(0, LIFE), rng.uniform(0, 0.05))
        else:
            kill_once_renewed(deployment)
        assert LOST not in deployment.log("agent")
        if (now := deployment.log("agent").count(RENEWED)) > rotations:
            renewed, rotations = time.monotonic(), now
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


def kill_while_renewing(deployment: Deployment, delay: float, moment: float) -> None:
    """Kill the agent that long after its start, or `moment` after its renewal began."""
    seen = len(deployment.log("agent"))
    start(deployment)
    for _ in range(int(delay / 0.01) + 1):
        if renewing(deployment, seen):
            wait(deployment, moment)
            break
        wait(deployment, 0.01)
    assert deployment.processes["agent"].poll() is None, deployment.log("agent")[-4000:]
    deployment.stop("agent", signal.SIGKILL)


def kill_once_renewed(deployment: Deployment) -> None:
    seen = len(deployment.log("agent"))
    start(deployment)
    deployment.until("agent", lambda: RENEWED in deployment.log("agent")[seen:])
    deployment.stop("agent", signal.SIGKILL)


def renewing(deployment: Deployment, seen: int) -> bool:
    return "Rotating agent SVID" in deployment.log("agent")[seen:]


def attesting(deployment: Deployment, seen: int) -> bool:
    return "Starting node attestation" in deployment.log("agent")[seen:]


def start(deployment: Deployment) -> None:
    deployment.spawn("agent", "agent", "run", "--config", str(deployment.dir / "agent.conf"))


def wait(deployment: Deployment, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        deployment.processes["agent"].wait(seconds)
