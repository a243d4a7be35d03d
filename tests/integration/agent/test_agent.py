# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
import asyncio
import signal
from typing import Any

from assay.testing.deployment import Deployment
from assay.testing.x509pop import use_x509pop

PATIENCE = 60.0


def paths(context: Any) -> list[str]:
    return sorted(one.svid.spiffe_id.path for one in context.svids)


async def until(updates: Any, wanted: list[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for context in updates:
            if paths(context) == wanted:
                return


async def test_new_entries_reach_an_open_stream_pushed_not_polled(
    deployment: Deployment, workload: Any, register: Any
) -> None:
    deployment.register("/first")
    async with workload(deployment) as updates:
        known = ["/first"]
        await until(updates, known)
        for number in range(10):
            known.append(f"/next-{number}")
            await register(known[-1])
            await until(updates, sorted(known))
    assert "polling for changes" not in deployment.log("agent")


async def test_the_agent_lives_through_the_servers_absence_and_its_own_end(
    deployment: Deployment, workload: Any, register: Any
) -> None:
    deployment.register("/first")
    agent_id = deployment.agent_id()
    async with workload(deployment) as updates:
        await until(updates, ["/first"])
        deployment.stop("server", signal.SIGKILL)
        async with workload(deployment) as others:
            await until(others, ["/first"])
        deployment.start_server()
        await register("/second")
        await until(updates, ["/first", "/second"])

    deployment.stop("agent", signal.SIGKILL)
    deployment.start_agent()
    async with workload(deployment) as updates:
        await until(updates, ["/first", "/second"])
    assert deployment.agent_id() == agent_id
    assert "SVID loaded" in deployment.log("agent")
    assert deployment.log("agent").count("Node attestation was successful") == 1


async def test_a_banned_agent_removes_its_svid_and_ends(deployment: Deployment) -> None:
    agent = deployment.processes.pop("agent")
    deployment.run("node", "ban", "--spiffe-id", deployment.agent_id(), "--socket-path", str(deployment.admin))
    assert await asyncio.to_thread(agent.wait, PATIENCE) == 1
    assert "Agent is banned: removing SVID and shutting down" in deployment.log("agent")
    assert '"svid":null' in (deployment.dir / "agent" / "agent-data.json").read_text()


async def test_an_evicted_agent_that_cannot_attest_again_removes_its_svid_and_ends(deployment: Deployment) -> None:
    agent = deployment.processes.pop("agent")
    deployment.run("node", "evict", "--spiffe-id", deployment.agent_id(), "--socket-path", str(deployment.admin))
    assert await asyncio.to_thread(agent.wait, PATIENCE) == 1
    assert "Agent needs to re-attest: removing SVID and shutting down" in deployment.log("agent")


async def test_an_agent_that_can_attest_again_does_so_when_evicted(deployments: Any, workload: Any) -> None:
    deployment: Deployment = deployments()
    use_x509pop(deployment.dir)
    deployment.start_server()
    deployment.write_bundle()
    deployment.start_agent()
    agent_id = deployment.agent_id()
    deployment.register("/first")
    async with workload(deployment) as updates:
        await until(updates, ["/first"])
        deployment.run("node", "evict", "--spiffe-id", agent_id, "--socket-path", str(deployment.admin))
        deployment.until("agent", lambda: "Successfully reattested node" in deployment.log("agent"))
        deployment.register("/second")
        await until(updates, ["/first", "/second"])
    assert deployment.agent_id() == agent_id
    assert deployment.stop("agent") == 0
