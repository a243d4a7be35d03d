"""Calls that are asked about before they are made: by the socket and the command line, with real processes."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.governed.test_tasks import READING, surely

from assay.errors import AssayError, FailedPreconditionError, NotFoundError, PermissionDeniedError
from assay.governed.authority import Access
from assay.testing.deployment import Deployment
from assay.workloadapi.blocking.tasks import TaskClient as BlockingTaskClient
from assay.workloadapi.tasks import Bounds, TaskClient

THUMBPRINT = "A" * 43
NEVER = """
@id("not-today")
@reason("nothing is read today")
@advice("come back tomorrow")
forbid (principal, action == Assay::Action::"tool:call", resource) when { resource.name == "crm.read" };
"""


async def test_budgets_are_exact_when_32_calls_are_asked_about_at_once(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("read", READING, budget=Bounds(calls=10)))
        found = await asyncio.gather(*(client.decide("crm.read", task_id=task.id) for _ in range(32)))
        assert [one.effect for one in found].count("allow") == 10
        # The principal has `budget_spent` among its triggers.
        assert (await client.get(task.id)).state_reason == "budget_spent"


async def test_a_retry_over_a_restarted_server_is_counted_once(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("read", READING, budget=Bounds(calls=5)))
        assert (await client.decide("crm.read", task_id=task.id, call_id="1")).allowed
        governed.stop("server")
        governed.start_server()
        again = await surely(lambda: client.decide("crm.read", task_id=task.id, call_id="1"))
        assert again.allowed
        assert (await client.get(task.id)).message.used.calls == 1


async def test_a_person_tries_calls_doubts_and_policies(governed: Deployment, tmp_path: Path) -> None:
    """Requirements 27 and 29: what changed between issue and call changes the answer, and says why."""
    async with TaskClient(governed.api) as client:
        await surely(client.list)
    api, by_operator = ("--socket-path", str(governed.api)), ("--socket-path", str(governed.admin))
    opening = ("api", "task", "open", "--goal", "read", "--allow", "https://crm/mcp=crm.read", *api)

    def admin(*words: str) -> str:
        return governed.run(*words, *by_operator).stdout

    def opened() -> str:
        return str(json.loads(governed.run(*opening, "--output", "json").stdout)["id"])

    def call(task: str) -> tuple[str, ...]:
        return ("api", "task", "decide", "--id", task, "--action", "crm.read", *api)

    def denied(*words: str) -> str:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            governed.run(*words)
        assert refused.value.returncode == 1
        return str(refused.value.stdout + refused.value.stderr)

    task = opened()
    said = governed.run(*call(task), "--parameters", '{"id":7}', "--call-id", "a", "--output", "json").stdout
    assert json.loads(said)["effect"] == "allow"
    assert "Answer         : allow until" in admin("task", "decide", "--id", task, "--action", "crm.read")
    unlisted = denied("task", "decide", "--id", task, "--action", "crm.drop", *by_operator)
    assert "the task was not approved for crm.drop" in unlisted

    # A task that is open already may be ended by what changes: new ones are asked about.
    assert "risk score 90 (odd)" in admin("principal", "risk", "bot", "--score", "90", "--reason", "odd")
    doubtful = opened()
    assert "needs_approval" in denied(*call(doubtful))
    assert "in quarantine (worse)" in admin("principal", "quarantine", "bot", "--reason", "worse")
    assert "deny" in denied(*call(doubtful))
    assert "the principal is in quarantine" in denied(*opening)
    assert "risk score 90 (odd), in quarantine (worse)" in admin("principal", "show", "bot")
    admin("principal", "release", "bot", "--reason", "fine")
    admin("principal", "risk", "bot", "--score", "0", "--reason", "fine")
    task = opened()
    assert json.loads(governed.run(*call(task), "--output", "json").stdout)["effect"] == "allow"

    folder = str(tmp_path / "policies")
    governed.run("policy", "init", folder)
    (tmp_path / "policies" / "own.cedar").write_text(NEVER)
    admin("policy", "push", folder)
    refused = denied(*call(task))
    assert "denied by not-today: nothing is read today" in refused
    assert "come back tomorrow" in refused
    decision = refused[refused.index("dec_") :].split()[0]
    explained = admin("policy", "explain", decision)
    assert "same answer" in explained


async def test_programs_without_an_event_loop_do_all_of_it(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        await surely(client.list)
    await asyncio.to_thread(_all_of_it, governed)


def _all_of_it(governed: Deployment) -> None:
    with BlockingTaskClient(governed.api) as tasks:
        task = tasks.open("read", READING, lasting=600, budget=Bounds(calls=5))
        assert tasks.get(task.id) == task
        assert tasks.list() == (task,)
        issued = tasks.credential(task.id, "https://crm/mcp", jkt=THUMBPRINT)
        assert issued.expires_at <= task.ends_at
        assert tasks.decide("crm.read", jti=issued.jti, parameters={"id": 7}).allowed
        assert not tasks.decide("crm.drop", jti=issued.jti).allowed
        watching = tasks.watch()
        assert next(watching).id == task.id
        assert tasks.narrow(task.id, ends_at=task.ends_at - 60).ends_at == task.ends_at - 60
        assert next(watching).ends_at == task.ends_at - 60
        watching.close()
        assert tasks.heartbeat(task.id).active
        below = tasks.open("read less", READING, parent=task.id, budget=Bounds(calls=1))
        assert tasks.complete(task.id).state == "completed"
        assert tasks.get(below.id).state_reason == "parent_ended"
        assert not tasks.decide("crm.read", task_id=task.id).allowed
        _refused(tasks, task.id)


def _refused(tasks: BlockingTaskClient, over: str) -> None:
    refusals: list[tuple[type[AssayError], str, Callable[[], Any]]] = [
        (FailedPreconditionError, "completed", lambda: tasks.heartbeat(over)),
        (FailedPreconditionError, "completed", lambda: tasks.narrow(over, ends_at=1)),
        (PermissionDeniedError, "not active", lambda: tasks.credential(over, "https://crm/mcp", jkt=THUMBPRINT)),
        (FailedPreconditionError, "completed", lambda: tasks.open("x", READING, parent=over)),
        (NotFoundError, "no task tsk_none", lambda: tasks.open("x", READING, parent="tsk_none")),
        (NotFoundError, "no task tsk_none", lambda: tasks.get("tsk_none")),
        (NotFoundError, "no token crd_none", lambda: tasks.decide("crm.read", jti="crd_none")),
        (PermissionDeniedError, "no tool", lambda: tasks.open("x", [Access("https://crm/mcp", ("crm.drop",))])),
        (PermissionDeniedError, 'not principal "other"', lambda: tasks.open("x", READING, principal="other")),
    ]
    for kind, said, call in refusals:
        with pytest.raises(kind, match=said):
            call()
