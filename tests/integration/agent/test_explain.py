"""An operator asks why, pastes what is said, and the SVID arrives: with real daemons."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.testing.deployment import ASSAY, Deployment
from assay.testing.operator import PATIENCE
from assay.testing.workload import svids

ME = f"unix:uid:{os.geteuid()}"
PROGRAM = Path(sys.executable).resolve()
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def workload() -> Iterator[int]:
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def ask(deployment: Deployment, workload: int) -> Ask:
    """`assay explain` about the workload, or as the flags say: the findings."""

    def explained(*flags: str, server: bool = True, status: int = 1) -> list[dict[str, Any]]:
        command = [
            ASSAY, "explain",
            *(flags or ("--pid", str(workload))), "--output", "json",
            "--agent-config", str(deployment.dir / "agent.conf"),
            *(("--server-socket", str(deployment.admin)) if server else ()),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == status, done.stderr
        (case,) = json.loads(done.stdout)["workloads"]
        findings: list[dict[str, Any]] = case["findings"]
        return findings

    return explained


def register(deployment: Deployment, *selectors: str, parent: str = "", more: tuple[str, ...] = ()) -> str:
    """An entry for /web; its ID."""
    named = [part for selector in selectors for part in ("--selector", selector)]
    answer = deployment.cli(
        "entry", "create", "--spiffe-id", "spiffe://example.test/web", "--parent-id", parent or deployment.agent_id(),
        *named, *more,
    )  # fmt: skip
    return str(answer["results"][0]["entry"]["id"])


def paste(deployment: Deployment, finding: dict[str, Any]) -> None:
    for line in finding["commands"]:
        program, *arguments = shlex.split(line)
        assert program == "assay"
        deployment.run(*arguments)


def served(deployment: Deployment) -> Callable[[], bool]:
    """Whether this process, whose user is the workload's, has an SVID."""
    return lambda: bool(svids(deployment.api))


def test_nothing_is_registered(deployment: Deployment, ask: Ask) -> None:
    (found,) = ask()
    assert found["cause"] == "no-entry"
    paste(deployment, found)
    deployment.until("agent", served(deployment))
    (found,) = ask(status=0)
    assert found["cause"] in {"issued", "svid-not-signed-yet"}


def test_another_users_selector_and_a_refusal_that_was_logged(deployment: Deployment, ask: Ask) -> None:
    entry_id = register(deployment, f"unix:uid:{os.geteuid() + 1}", more=("--dns", "web.test"))
    deployment.until("agent", lambda: entry_id in deployment.log("agent"))
    assert not svids(deployment.api)
    assert "No entry fits workload" in deployment.log("agent")
    (found,) = ask("--uid", str(os.geteuid()), server=False)
    assert (found["cause"], found["entry_id"]) == ("selector-has-another-value", entry_id)
    (found,) = ask()
    paste(deployment, found)
    deployment.until("agent", served(deployment))
    (entry,) = deployment.cli("entry", "show")["entries"]
    assert (entry["id"], entry["dns_names"]) == (entry_id, ["web.test"])


def test_the_parent_is_another_agent(deployment: Deployment, ask: Ask) -> None:
    register(deployment, ME, parent="spiffe://example.test/spire/agent/join_token/gone")
    (found,) = ask(server=False)
    assert found["cause"] == "no-entry", "the agent alone cannot know"
    (found,) = ask()
    assert found["cause"] == "wrong-parent"
    paste(deployment, found)
    deployment.until("agent", served(deployment))


def test_the_entry_has_expired_and_its_parent_is_another(deployment: Deployment, ask: Ask) -> None:
    """What is the agent's own it serves until the server prunes it."""
    gone = "spiffe://example.test/spire/agent/join_token/gone"
    register(deployment, ME, parent=gone, more=("--entry-expiry", "1000000000"))
    (found,) = ask()
    assert [one["cause"] for one in found["faults"]] == ["entry-expired", "wrong-parent"]
    paste(deployment, found)
    deployment.until("agent", served(deployment))


def test_the_program_is_not_looked_at(deployment: Deployment, ask: Ask) -> None:
    register(deployment, ME, f"unix:path:{PROGRAM}")
    (found,) = ask()
    assert found["cause"] == "attestor-does-not-look"
    config = deployment.dir / "agent.conf"
    config.write_text(
        config.read_text().replace('WorkloadAttestor "unix" {\n        plugin_data {}', found["settings"][:-2])
    )
    deployment.stop("agent")
    deployment.start_agent()
    deployment.until("agent", served(deployment))


def test_the_agent_is_banned(deployment: Deployment, ask: Ask) -> None:
    register(deployment, ME)
    agent_id = deployment.agent_id()
    deployment.run("node", "ban", "--spiffe-id", agent_id, "--socket-path", str(deployment.admin))
    deployment.processes.pop("agent").wait(PATIENCE)
    first, second = ask()
    assert [first["cause"], second["cause"]] == ["agent-banned", "agent-not-running"]
    assert first["commands"][0].startswith(f"assay node evict --spiffe-id {agent_id} ")


def test_a_process_that_is_gone(ask: Ask) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (found,) = ask("--pid", str(gone.pid))
    assert found["cause"] == "process-gone"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a PID namespace")
def test_the_agent_is_in_a_pid_namespace_of_its_own(deployment: Deployment, ask: Ask, workload: int) -> None:
    deployment.stop("agent")
    command = ["unshare", "--pid", "--fork", "--kill-child", ASSAY, "agent", "run", "--config", "agent.conf"]
    with (deployment.dir / "agent.log").open("ab") as log:
        deployment.processes["agent"] = subprocess.Popen(command, stdout=log, stderr=log, cwd=deployment.dir)
    deployment.until("agent", lambda: deployment.log("agent").count("Starting agent APIs") > 1)
    (found,) = ask("--pid", str(workload))
    assert found["cause"] == "other-pid-namespace"
