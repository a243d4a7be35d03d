"""`assay revoke` and policy drift from outside: a token in hand, what ends it, and what the command line says."""

import asyncio
import json
import subprocess
from contextlib import aclosing
from pathlib import Path

import pytest

from assay.errors import PermissionDeniedError, UnavailableError
from assay.governed.authority import Access
from assay.testing.deployment import Deployment
from assay.workloadapi.tasks import TaskClient

READING = [Access("https://crm/mcp", ("crm.read",))]
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
NO_READS = '@id("no-reads") forbid (principal, action, resource == Assay::Tool::"crm.read");\n'


def said(deployment: Deployment, *args: str) -> str:
    """What `assay revoke` prints."""
    return deployment.run("revoke", *args, "--socket-path", str(deployment.admin)).stdout.strip()


def refused(deployment: Deployment, *args: str) -> str:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        said(deployment, *args)
    error = failed.value
    return f"{error.stdout}{error.stderr}"


async def test_a_human_revokes_all_of_a_principal_and_in_the_end_suspends_it(governed: Deployment) -> None:
    show = ["task", "show", "--socket-path", str(governed.admin)]
    async with TaskClient(governed.api) as client:
        task = await opened(client)
        await client.credential(task, "https://crm/mcp", jkt=JKT)
        assert said(governed, "--principal", "bot", "--reason", "x", "--dry-run") == (
            "1 task, 1 credential would be revoked; nothing has changed"
        )
        assert (await client.get(task)).active
        first, hint = said(governed, "--principal", "bot", "--reason", "recalled").splitlines()
        assert first == "1 task, 1 credential revoked; no verifier is connected"
        assert hint.startswith("Next: while it is active")
        assert (await client.get(task)).state_reason == "revoked: recalled"
        assert "revoked: recalled" in governed.run(*show, "--id", task).stdout
        await opened(client)
        asked = ("--owner", "person:alice@corp", "--reason", "left", "--suspend", "--wait", "0s")
        assert said(governed, *asked) == (
            "1 principal suspended, 1 task, 0 credentials revoked; verifiers were not waited for"
        )
        answer = json.loads(said(governed, "--principal", "bot", "--reason", "x", "--output", "json"))
        assert (answer["tasks"], answer["credentials"], answer["verifiers"]) == (0, 0, 0)


def test_what_is_not_there_or_not_said_is_refused(governed: Deployment) -> None:
    assert 'there is no tool "none"' in refused(governed, "--tool", "none", "--reason", "x")
    assert "there is no owner person:bob@corp" in refused(governed, "--owner", "person:bob@corp", "--reason", "x")
    assert "a tenant cannot be suspended" in refused(governed, "--tenant", "acme", "--reason", "x", "--suspend")
    assert "say why" in refused(governed, "--tenant", "acme")
    assert "give one of" in refused(governed, "--tenant", "acme", "--tool", "crm.read", "--reason", "x")
    assert "give one of" in refused(governed, "--reason", "x")


async def test_a_stricter_policy_ends_the_task_and_the_workload_hears_of_it(
    governed: Deployment, tmp_path: Path
) -> None:
    async with TaskClient(governed.api) as client:
        task = await opened(client)
        governed.run("policy", "init", str(tmp_path / "policies"))
        (tmp_path / "policies" / "own.cedar").write_text(NO_READS)
        async with aclosing(client.watch()) as updates:
            assert (await anext(updates)).id == task
            governed.run("policy", "push", str(tmp_path / "policies"), "--socket-path", str(governed.admin))
            over = await anext(updates)
    assert (over.id, over.state, over.state_reason) == (task, "revoked", "policy_drift: v1 by no-reads")


async def opened(client: TaskClient) -> str:
    """The ID of a new task, once agent and server have found each other again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return (await client.open("answer ticket 7", READING, lasting=600)).id
            except (UnavailableError, PermissionDeniedError):
                await asyncio.sleep(0.1)
