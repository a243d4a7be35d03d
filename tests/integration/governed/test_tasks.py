"""Tasks of a workload, by the agent's socket, with real processes."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from assay.errors import (
    AssayError,
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from assay.governed.authority import Access
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.status import EndError, StatusCode
from assay.testing.deployment import Deployment
from assay.workloadapi import Endpoint
from assay.workloadapi.tasks import Bounds, OpenedTask, TaskClient
from assay_proto.task.v1 import task_pb2 as pb

T = TypeVar("T")
READING = [Access("https://crm/mcp", ("crm.read",))]


async def surely(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, once agent and server have found each other again."""
    end = time.monotonic() + 60
    while True:
        try:
            return await ask()
        except AssayError as error:
            # The agent may not have heard of the binding yet, either.
            if not isinstance(error, UnavailableError | PermissionDeniedError) or time.monotonic() > end:
                raise
        await asyncio.sleep(0.1)


async def test_a_workload_opens_narrows_and_completes_a_task_by_its_agents_socket(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", READING, lasting=600))
        assert (task.active, task.principal, task.instance) == (True, "bot", "spiffe://example.test/principal/bot")
        assert task.authority == tuple(READING)
        assert [one.id for one in await client.list()] == [task.id]
        with pytest.raises(PermissionDeniedError, match=r"crm\.refund"):
            await client.open("refund", [Access("https://crm/mcp", ("crm.refund",))])
        less = await client.narrow(task.id, ends_at=task.ends_at - 60)
        assert less.ends_at == task.ends_at - 60
        assert (await client.complete(task.id)).state == "completed"
        assert await client.list() == ()
        with pytest.raises(FailedPreconditionError, match="is completed"):
            await client.heartbeat(task.id)
        with pytest.raises(NotFoundError):
            await client.get("tsk_none")


async def test_a_workload_hears_of_what_becomes_of_its_tasks(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", READING))
        async with aclosing(client.watch()) as updates:
            assert (await anext(updates)).id == task.id
            governed.run("task", "revoke", "--id", task.id, "--reason", "wrong", "--socket-path", str(governed.admin))
            over = await anext(updates)
    assert (over.id, over.state, over.state_reason) == (task.id, "revoked", "wrong")


async def test_tasks_outlive_a_server_that_is_killed_and_end_at_their_time(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", READING, lasting=600))
        brief = await client.open("be quick", READING, lasting=2)
        governed.stop("server", signal.SIGKILL)
        governed.start_server()
        assert (await surely(lambda: client.get(task.id))) == task

        async def ended() -> OpenedTask:
            found = await client.get(brief.id)
            if found.active:
                raise UnavailableError("not yet")
            return found

        over = await surely(ended)
        assert (over.state, over.state_reason) == ("expired", "timeout")


async def test_a_budget_is_exact_when_the_server_is_killed_while_it_is_spent(governed: Deployment) -> None:
    calls, told = 200, set[str]()
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", READING, lasting=600, budget=Bounds(calls=calls)))

        async def spend() -> None:
            with suppress(UnavailableError):
                while True:
                    told.add((await client.credential(task.id, "https://crm/mcp", jkt="A" * 43)).jti)

        async with asyncio.TaskGroup() as spenders:
            for _ in range(8):
                spenders.create_task(spend())
            while len(told) < calls // 10:  # noqa: ASYNC110 - some way into it, wherever that is
                await asyncio.sleep(0.01)
            await asyncio.to_thread(governed.stop, "server", signal.SIGKILL)
        governed.start_server()
        await surely(lambda: client.get(task.id))
        record = governed.cli("task", "show", "--id", task.id)
        written = {one["jti"] for one in record["credentials"]}
        # Who had no answer may have spent a call, which is written down then: nothing is counted twice or not at all.
        assert told <= written
        assert len(told) < calls
        assert record["left"]["calls"] == calls - len(written)
        for _ in range(record["left"]["calls"]):
            await client.credential(task.id, "https://crm/mcp", jkt="A" * 43)
        with pytest.raises(ResourceExhaustedError, match="used up its calls"):
            await client.credential(task.id, "https://crm/mcp", jkt="A" * 43)


async def test_calls_without_the_security_header_and_huge_intents_are_refused(governed: Deployment) -> None:
    channel = Channel(Endpoint.of_path(governed.api).connect, max_message=MAX_MESSAGE_BYTES)
    with pytest.raises(EndError) as refused:
        await channel.unary("/assay.task.v1.Tasks/List", b"", (), timeout=30)
    assert refused.value.code is StatusCode.INVALID_ARGUMENT
    request = pb.OpenRequest(intent="x" * 2**20).SerializeToString()
    with pytest.raises(EndError) as refused:
        await channel.unary("/assay.task.v1.Tasks/Open", request, (("workload.spiffe.io", "true"),), timeout=30)
    assert refused.value.code is StatusCode.INVALID_ARGUMENT
    await channel.close()


async def test_a_person_follows_a_task_on_the_command_line(governed: Deployment, tmp_path: Path) -> None:
    async with TaskClient(governed.api) as client:
        await surely(client.list)

    def api(*arguments: str) -> Any:  # noqa: ANN401 - JSON
        ran = governed.run("api", *arguments, "--socket-path", str(governed.api), "--output", "json")
        return json.loads(ran.stdout)

    governed.run("api", "fetch", "x509", "--silent", "--write", str(tmp_path), "--socket-path", str(governed.api))
    task = api(
        *("task", "open", "--goal", "answer ticket 7", "--allow", "https://crm/mcp=crm.read"),
        *("--lasting", "10m", "--calls", "20", "--calls-of", "crm.read=5", "--constraint", "max_usd=50"),
    )
    assert (task["state"], task["intent"], task["constraints"]) == (
        "active",
        {"goal": "answer ticket 7"},
        {"max_usd": 50},
    )
    certificate = str(tmp_path / "svid.0.pem")
    issued = api(
        *("task", "credential", "--id", task["id"], "--audience", "https://crm/mcp"), "--certificate", certificate
    )
    assert issued["expires_at"] <= task["ends_at"]
    shown = governed.run("task", "show", "--id", task["id"], "--socket-path", str(governed.admin)).stdout
    for said in ("answer ticket 7", "crm.read on https://crm/mcp", "Calls left     : 19", "task:open crm.read: allow"):
        assert said in shown
    assert issued["jti"] in shown
    assert issued["token"] not in shown
    (listed,) = governed.cli("task", "list", "--state", "active")["tasks"]
    assert listed["id"] == task["id"]
    suspended = governed.cli("task", "suspend", "--id", task["id"], "--reason", "review")
    assert (suspended["state"], suspended["state_reason"]) == ("suspended", "review")
    record = governed.cli("task", "show", "--id", task["id"])
    assert record["credentials"][0]["cause"] == "task_suspended"
    assert governed.cli("task", "resume", "--id", task["id"])["state"] == "active"
    assert api("task", "complete", "--id", task["id"])["state"] == "completed"
    event = (
        "task",
        "open",
        "--principal",
        "bot",
        "--event",
        "queue/42",
        "--goal",
        "x",
        "--allow",
        "https://crm/mcp=crm.read",
    )
    assert governed.cli(*event)["id"] == governed.cli(*event)["id"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        governed.cli("task", "show", "--id", "tsk_none")
    assert "no task tsk_none" in refused.value.stderr
