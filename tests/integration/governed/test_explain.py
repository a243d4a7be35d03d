"""A task's story on the command line, and one ID that finds everything of it, with real processes."""

import json
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.integration.governed.test_tasks import surely

from assay.governed.authority import Access
from assay.spiffeid import SpiffeId
from assay.testing.deployment import ASSAY, Deployment
from assay.workloadapi.tasks import TaskClient
from assay_server.datastore.base import Page, Transaction
from assay_server.governance.reports import take
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.report import Report

Written = Callable[[Deployment, Callable[[Transaction], None]], Awaitable[None]]

CRM = "https://crm/mcp"
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
BRIEF = """@id("brief") @max_ttl("40s")
permit (principal, action == Assay::Action::"credential:issue", resource)
when {
  principal.name == "bot" && principal.active && principal.tools.contains(resource.name) && context.task.active &&
  context.task.permits && resource.actionClass == "consequential_read"
};
"""


def explained(deployment: Deployment, task_id: str, *flags: str) -> subprocess.CompletedProcess[str]:
    arguments = ("ledger", "explain", task_id, "--socket-path", str(deployment.admin), *flags)
    return subprocess.run([ASSAY, *arguments], capture_output=True, text=True, timeout=60, check=False)


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    said: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return said


async def test_a_person_reads_what_was_authorised_and_what_came_of_it(
    governed: Deployment, written: Written, tmp_path: Path
) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", [Access(CRM, ("crm.read",))], lasting=600))
        token = await client.credential(task.id, CRM, jkt=THUMBPRINT)
        assert (await client.decide("crm.read", task_id=task.id, parameters={"card": "4111"})).allowed
        folder = tmp_path / "policies"
        governed.run("policy", "init", str(folder))
        (folder / "own.cedar").write_text(BRIEF)
        governed.run("policy", "push", str(folder), "--socket-path", str(governed.admin))
        again = await client.credential(task.id, CRM, jkt=THUMBPRINT)
        await client.narrow(task.id, ends_at=task.ends_at - 60)
    used = claims(token.token)
    report = Report("tool.use", used["iat"], used["jti"], task.id, audience=CRM, action="crm.read", outcome="allowed")
    verifier = SpiffeId.parse("spiffe://example.test/crm")

    def reported(tx: Transaction) -> None:
        take(tx, "r1", verifier, 1, [report], used["iat"])

    await written(governed, reported)
    governed.run("task", "revoke", "--id", task.id, "--reason", "enough", "--socket-path", str(governed.admin))

    told = explained(governed, task.id)
    assert told.returncode == 0, told.stderr
    lines = told.stdout
    for said in (
        "answer ticket 7", "task:open crm.read: allow 300 s by within-the-task, policy v0; replayed: same answer",
        "tool:call crm.read: allow ",
        "credential:issue crm.read: allow 40 s by brief, within-the-task, policy v1; replayed: same answer",
        "allowed: crm.read on https://crm/mcp", f"by {verifier}, about {used['jti']}", "narrowed to sha-256:",
        "revoked: enough; ", "4 decisions were decided again by the policy and of the inputs of then: the same answer.",
    ):  # fmt: skip
        assert said in lines, lines
    assert "4111" not in lines
    assert token.token not in lines
    assert again.token not in lines

    story = json.loads(explained(governed, task.id, "--output", "json").stdout)
    assert (story["same"], story["faults"], story["decisions"]) == (True, [], 4)
    types = [one["type"] for one in story["steps"]]
    assert types[0:2] == ["decision", "task.opened"]
    assert types[-1] == "task.ended"
    assert {"identity.issued", "task.changed", "revocation", "tool.use"} < set(types)


async def test_what_was_altered_is_loud_and_what_never_was_is_said(governed: Deployment, written: Written) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", [Access(CRM, ("crm.read",))], lasting=600))
    assert explained(governed, task.id).returncode == 0

    def alter(tx: Transaction) -> None:
        first, _ = tx.governed.find(DECISION, [("task", task.id)], Page(1))
        tx.governed.put(DECISION, replace(first[0], ttl=86400))

    await written(governed, alter)
    loud = explained(governed, task.id)
    assert loud.returncode == 1
    assert "was altered: its record has ttl '86400', the event '300'" in loud.stderr
    assert "is ANOTHER ANSWER: ttl was '86400' and is '300' now" in loud.stderr
    assert json.loads(explained(governed, task.id, "--output", "json").stdout)["same"] is False
    unknown = explained(governed, "tsk_none")
    assert unknown.returncode == 1
    assert "no task tsk_none" in unknown.stderr
