# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""What a host and its server can do to an agent, and where each ends: the table of docs/agent-life.md."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.spiffeid import TrustDomain
from assay.svid.x509 import verify_roots
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.webproxy import CA_FILE, WebProxy, certificate, website
from assay.testing.workload import svids
from assay.testing.x509pop import use_x509pop

PATIENCE = 120.0
NEVER = "0001-01-01T00:00:00Z"
AUTO = 'rebootstrap_mode = "auto"\n    rebootstrap_delay = "1s"'
# With the 10 s that it is dated back, renewed after four seconds; gone after eight.
SHORT = 'agent_ttl = "8s"'
TMPFS_KIB = 64


def log(deployment: Deployment) -> str:
    return deployment.log("agent")


def data(deployment: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((deployment.dir / "agent" / "agent-data.json").read_bytes())
    return found


def edit(deployment: Deployment, old: str, new: str) -> None:
    """Change the agent's configuration."""
    conf = deployment.dir / "agent.conf"
    assert old in conf.read_text()
    conf.write_text(conf.read_text().replace(old, new))


def source(deployment: Deployment, line: str) -> None:
    """Have the agent take the first bundle from there."""
    edit(deployment, f'trust_bundle_path = "{deployment.dir}/bundle.pem"', line)


def start_by_certificate(deployment: Deployment) -> Deployment:
    """Server and agent, whose node can attest again."""
    use_x509pop(deployment.dir)
    deployment.start_server()
    deployment.write_bundle()
    deployment.start_agent()
    return deployment


def replace_server(deployment: Deployment) -> None:
    """Another server of the same trust domain at the same address, which knows nothing of the first."""
    deployment.stop("server")
    shutil.rmtree(deployment.dir / "server")
    deployment.start_server()


async def ended(deployment: Deployment) -> int:
    """The status the agent ends with, all by itself."""
    return await asyncio.to_thread(deployment.processes.pop("agent").wait, PATIENCE)


async def until(updates: Any, *wanted: str) -> Any:
    """The first context that has exactly those paths."""
    async with asyncio.timeout(PATIENCE):
        async for context in updates:
            if sorted(one.svid.spiffe_id.path for one in context.svids) == sorted(wanted):
                return context
    raise AssertionError("the stream ended")


# The server changes.


@pytest.mark.parametrize("lost", ["everything", "keys"])
async def test_a_server_of_other_keys_is_met_anew_and_workloads_stay_served(
    lost: str, deployments: Any, workload: Any
) -> None:
    deployment = start_by_certificate(deployments(agent=AUTO))
    deployment.register("/first")
    process = deployment.processes["agent"]
    async with workload(deployment) as updates:
        await until(updates, "/first")
        if lost == "everything":
            replace_server(deployment)
        else:
            deployment.stop("server")
            (deployment.dir / "server" / "keys.json").unlink()
            deployment.start_server()
        deployment.until("agent", lambda: "Trust Bundle and Server don't agree, rebootstrapping" in log(deployment))
        assert svids(deployment.api) == {f"spiffe://{TRUST_DOMAIN}/first"}
        deployment.write_bundle()
        deployment.until("agent", lambda: "Successfully reattested node" in log(deployment))
        deployment.register("/second")
        context = await until(updates, "/second", *(["/first"] if lost == "keys" else []))
    bundle = {TrustDomain(TRUST_DOMAIN): context.bundles[TrustDomain(TRUST_DOMAIN)]}
    for one in context.svids:
        verify_roots(one.svid.chain, bundle, SystemClock().now())
    assert deployment.processes["agent"] is process
    assert process.poll() is None
    assert (data(deployment)["bootstrap_use"], data(deployment)["bootstrap_start_time"]) == (2, NEVER)
    assert deployment.stop("agent") == 0


def test_without_leave_the_agent_goes_on_with_what_it_has_and_believes_no_other(deployment: Deployment) -> None:
    deployment.register("/first")
    before = data(deployment)
    replace_server(deployment)
    deployment.until("agent", lambda: "no authority of the trust domain's bundle vouches for it" in log(deployment))
    assert svids(deployment.api) == {f"spiffe://{TRUST_DOMAIN}/first"}
    assert data(deployment) == before
    assert deployment.stop("agent") == 0

    shutil.rmtree(deployment.dir / "agent")
    deployment.write_bundle()
    deployment.start_agent("--join-token", deployment.operator.join_token())
    deployment.register("/second")


async def test_who_insists_on_starting_over_needs_a_node_that_can(deployments: Any) -> None:
    deployment: Deployment = deployments(agent='rebootstrap_mode = "always"')
    deployment.start_server()
    deployment.write_bundle()
    token = deployment.operator.join_token()
    deployment.spawn("agent", "agent", "run", "--config", str(deployment.dir / "agent.conf"), "--join-token", token)
    assert await ended(deployment) == 1
    assert "you have requested rebootstrap support but" in log(deployment)
    edit(deployment, '"always"', '"auto"')
    deployment.start_agent()
    assert "is not allowing it. Disabling" in log(deployment)
    deployment.register("/first")


# The SVID ends.


async def test_an_svid_that_ended_while_the_server_was_away_ends_a_node_that_cannot_attest_again(
    deployments: Any,
) -> None:
    deployment: Deployment = deployments(server=SHORT).start()
    deployment.stop("server", signal.SIGKILL)
    assert await ended(deployment) == 1
    assert "current SVID has already expired and rotate agent SVID failed" in log(deployment)
    assert data(deployment)["svid"]

    deployment.start_server()
    deployment.start_agent("--join-token", deployment.operator.join_token())
    assert "SVID key recovered, but SVID is expired. Generating new keypair" in log(deployment)
    assert log(deployment).count("Node attestation was successful") == 2


async def test_an_svid_that_ended_while_the_server_was_away_is_replaced_where_the_node_can_attest_again(
    deployments: Any,
) -> None:
    deployment = start_by_certificate(deployments(server=SHORT))
    deployment.register("/first")
    seen = log(deployment).count("Could not reattest agent")
    deployment.stop("server", signal.SIGKILL)
    deployment.until("agent", lambda: log(deployment).count("Could not reattest agent") >= seen + 2)
    assert svids(deployment.api) == {f"spiffe://{TRUST_DOMAIN}/first"}
    seen = log(deployment).count("Successfully reattested node")
    deployment.start_server()
    deployment.until("agent", lambda: log(deployment).count("Successfully reattested node") > seen)
    deployment.register("/second")


# The host.


async def test_a_lost_data_dir_costs_a_node_that_can_attest_again_nothing(deployments: Any) -> None:
    deployment = start_by_certificate(deployments())
    deployment.register("/first")
    agent_id = deployment.agent_id()
    deployment.stop("agent", signal.SIGKILL)
    shutil.rmtree(deployment.dir / "agent")
    deployment.start_agent()
    deployment.until("agent", lambda: svids(deployment.api) == {f"spiffe://{TRUST_DOMAIN}/first"})
    assert deployment.agent_id() == agent_id


async def test_a_lost_data_dir_costs_another_node_a_new_token(deployment: Deployment) -> None:
    token = deployment.operator.join_token()
    deployment.stop("agent", signal.SIGKILL)
    shutil.rmtree(deployment.dir / "agent")
    deployment.spawn("agent", "agent", "run", "--config", str(deployment.dir / "agent.conf"))
    deployment.until("agent", lambda: "join token was not provided" in log(deployment))
    deployment.stop("agent")
    (deployment.dir / "token").write_text(f"{token}\n")
    deployment.start_agent("--join-token-file", str(deployment.dir / "token"))


def test_a_spire_agents_data_dir_is_gone_on_with_where_it_was(deployments: Any) -> None:
    deployment = start_by_certificate(deployments(agent='rebootstrap_mode = "auto"\n    rebootstrap_delay = "2h"'))
    deployment.stop("agent")
    replace_server(deployment)
    deployment.write_bundle()
    # As Go writes it: null for nothing, the local zone, nanoseconds; SPIRE's agent has waited for more than two hours.
    waiting = {"bootstrap_start_time": "2026-01-01T01:02:03.123456789+01:00", "connection_attempts": 3}
    spire = json.dumps({**data(deployment), **waiting}, separators=(",", ":"))
    (deployment.dir / "agent" / "agent-data.json").write_text(spire)
    seen = len(log(deployment))
    deployment.start_agent()
    said = log(deployment)[seen:]
    assert "SVID loaded" in said
    assert "ignoring for now" not in said
    assert "Successfully reattested node" in said
    assert data(deployment)["bootstrap_start_time"] == NEVER
    deployment.register("/first")


def test_a_socket_that_a_crash_left_behind_is_replaced_and_a_file_is_not(deployments: Any) -> None:
    deployment: Deployment = deployments()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(deployment.api))
    deployment.start()
    deployment.stop("agent")
    deployment.api.unlink(missing_ok=True)
    deployment.api.write_text("precious")
    deployment.spawn("agent", "agent", "run", "--config", str(deployment.dir / "agent.conf"))
    assert deployment.processes["agent"].wait(PATIENCE) == 1
    assert deployment.api.read_text() == "precious"
    assert str(deployment.api) in log(deployment)


@pytest.fixture
def small_disk(deployments: Any) -> Iterator[Deployment]:
    """A deployment whose agent has a file system of its own."""
    deployment: Deployment = deployments(server='agent_ttl = "30s"')
    place = deployment.dir / "agent"
    place.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_KIB}k", "tmpfs", str(place)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield deployment
    deployment.close()
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_costs_renewals_and_nothing_that_is_stored(small_disk: Deployment) -> None:
    deployment = small_disk.start()
    deployment.register("/first")
    filler = deployment.dir / "agent" / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    deployment.until("agent", lambda: "No space left on device" in log(deployment))
    before = data(deployment)
    assert svids(deployment.api) == {f"spiffe://{TRUST_DOMAIN}/first"}
    filler.unlink()
    seen = log(deployment).count("Successfully rotated agent SVID")
    deployment.until("agent", lambda: log(deployment).count("Successfully rotated agent SVID") > seen)
    deployment.until("agent", lambda: data(deployment)["svid"] != before["svid"])
    deployment.stop("agent", signal.SIGKILL)
    deployment.start_agent()
    assert log(deployment).count("Node attestation was successful") == 1


# Bootstrap.


@contextlib.asynccontextmanager
async def program(path: Path, deployment: Deployment) -> AsyncIterator[list[str]]:
    """A program of the site's that knows the server's bundle; what it was asked for."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        body = await asyncio.to_thread(deployment.operator.bundle)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_unix_server(answer, path):
        yield asked


async def test_a_program_on_a_socket_vouches_for_the_server_and_for_the_next(deployments: Any) -> None:
    deployment: Deployment = deployments(agent=AUTO)
    use_x509pop(deployment.dir)
    place = deployment.dir / "p.sock"
    source(deployment, f'trust_bundle_url = "http://localhost/b"\ntrust_bundle_unix_socket = "{place}"')
    deployment.start_server()
    async with program(place, deployment) as asked:
        await asyncio.to_thread(deployment.start_agent)
        await asyncio.to_thread(replace_server, deployment)
        reattested = "Successfully reattested node"
        await asyncio.to_thread(deployment.until, "agent", lambda: reattested in log(deployment))
    assert "spire-attest-mode=bootstrap&" in asked[0]
    assert "spire-attest-mode=rebootstrap&" in asked[-1]
    assert f"spire-server-port={deployment.port}" in asked[0]


async def test_a_site_behind_a_proxy_vouches_for_the_server(deployments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No resolver knows the site's name: only the proxy leads there."""
    deployment: Deployment = deployments()
    source(deployment, 'trust_bundle_url = "https://pki.test/bundle.pem"')
    monkeypatch.setenv("SSL_CERT_FILE", str(deployment.dir / CA_FILE))
    await asyncio.to_thread(deployment.start_server)
    token = deployment.operator.join_token()
    async with (
        website(certificate(deployment.dir, "pki.test"), deployment.operator.bundle) as port,
        WebProxy(port).serving() as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        await asyncio.to_thread(deployment.start_agent, "--join-token", token)
    assert [head.split("\r\n")[0] for head in proxy.asked] == ["CONNECT pki.test:443 HTTP/1.1"]
    await asyncio.to_thread(deployment.register, "/first")


def test_another_agent_on_the_machine_vouches_for_the_server(deployments: Any) -> None:
    upstream: Deployment = deployments(agent="allow_unauthenticated_verifiers = true").start()
    deployment: Deployment = deployments()
    source(deployment, f'trust_bundle_spiffe_workload_api = "unix://{upstream.api}"')
    edit(deployment, f'server_port = "{deployment.port}"', f'server_port = "{upstream.port}"')
    deployment.start_agent("--join-token", upstream.operator.join_token())
    assert len(upstream.operator.agents()) == 2
    assert "Server attestation attempt" in log(deployment)


def test_who_trusts_whoever_answers_is_told_so_and_only_once(deployments: Any) -> None:
    deployment: Deployment = deployments()
    source(deployment, "insecure_bootstrap = true")
    deployment.start_server()
    deployment.start_agent("--join-token", deployment.operator.join_token())
    warning = "Insecure bootstrap enabled; skipping server certificate verification"
    assert "level=warning" in next(line for line in log(deployment).splitlines() if warning in line)
    deployment.stop("agent")
    deployment.start_agent()
    assert log(deployment).count(warning) == 1


# The configuration is read again.


def test_the_level_of_the_log_changes_at_once_and_what_does_not_is_named(deployment: Deployment) -> None:
    edit(deployment, '"DEBUG"', '"INFO"')
    edit(deployment, "server_address =", 'rebootstrap_mode = "auto"\n    server_address =')
    deployment.processes["agent"].send_signal(signal.SIGHUP)
    deployment.until("agent", lambda: "Changes of the configuration need a restart" in log(deployment))
    assert "changed=log_level" in log(deployment)
    assert "settings=rebootstrap_mode" in log(deployment)
    edit(
        deployment,
        'WorkloadAttestor "unix" {\n        plugin_data {}',
        'WorkloadAttestor "unix" {\n  plugin_data { discover_workload_path = true }',
    )
    edit(deployment, "server_address =", 'log_selectors = ["unix:path"]\n    server_address =')
    deployment.processes["agent"].send_signal(signal.SIGHUP)
    deployment.until("agent", lambda: "plugins.WorkloadAttestor" in log(deployment))
    assert "log_selectors" in next(one for one in log(deployment).splitlines() if "plugins.WorkloadAttestor" in one)
    assert not svids(deployment.api)
    refused = [one for one in log(deployment).splitlines() if "No identity issued" in one][-1]
    assert f'selectors="unix:path:{os.path.realpath(sys.executable)}"' in refused
    (deployment.dir / "agent.conf").write_text("agent {")
    deployment.processes["agent"].send_signal(signal.SIGUSR1)
    deployment.until("agent", lambda: "Configuration cannot be reloaded; everything stays as it was" in log(deployment))
    assert deployment.stop("agent") == 0
