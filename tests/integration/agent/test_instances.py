# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Two copies of one program are two principals, as real processes of a real agent and server (requirements 2 and 4)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.entry import Entry
from assay.errors import PermissionDeniedError
from assay.governed.authority import Access
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay.workloadapi.tasks import TaskClient
from assay_server.datastore.base import Page, Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.event import EventType
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import TASK, Intent, Task

CRM, MAIL = "https://crm.example/mcp", "https://mail.example/mcp"
ALICE = Owner("person:alice@corp")
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read", "mail.read"),
    state=PrincipalState.ACTIVE, risk_class=Risk.LOW, model="acme-4",
)  # fmt: skip

# Says what it has, whenever that changes, until it has nothing.
WORKLOAD = """
import asyncio, sys
from assay.errors import AssayError
from assay.workloadapi import Endpoint, WorkloadApiClient
from pathlib import Path

async def main():
    async with WorkloadApiClient(Endpoint.of_path(Path(sys.argv[1]))) as client:
        try:
            async for update in client.watch_x509():
                print(*sorted(one.svid.spiffe_id.path for one in update.svids), flush=True)
        except AssayError as error:
            print(f"- {error.message}", flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def house(deployments: Any) -> Deployment:
    """A deployment with an AI agent that is every process of this user, each its own instance."""
    deployment: Deployment = deployments(server='experimental { feature_flags = ["wit-svid"] }')
    deployment.start()
    agent = SpiffeId.parse(deployment.agent_id())
    deployment.stop("server")
    now = int(SystemClock().now().timestamp())
    entry = Entry(
        "bots", SpiffeId(agent.trust_domain, "/principal/bot"), agent, (Selector("unix", f"uid:{os.getuid()}"),),
        principal="bot", instance_from="unix:process",
    )  # fmt: skip
    task = Task(
        "tsk_1", "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (Access(CRM, ("crm.read",)),), "", "",
        "operator:local", now, now + 120,
    )  # fmt: skip

    def write(tx: Transaction) -> None:
        tx.entries.create(entry)
        tx.governed.put(OWNER, ALICE)
        tx.governed.put(RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL))
        tx.governed.put(RESOURCE, Resource(MAIL, "prod", "acme", Sensitivity.INTERNAL))
        tx.governed.put(TOOL, Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
        tx.governed.put(TOOL, Tool("mail.read", MAIL, ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
        tx.governed.put(PRINCIPAL, BOT)
        tx.governed.put(TASK, task)

    store = await open_store(deployment.dir / "server" / "datastore.sqlite3", clock=SystemClock())
    await store.write(write)
    await store.close()
    deployment.start_server()
    deployment.until("agent", lambda: "/principal/bot" in deployment.log("agent"))
    return deployment


@contextmanager
def copy(house: Deployment) -> Iterator["subprocess.Popen[str]"]:
    """One running copy of the program."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKLOAD, str(house.api)], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def stored(house: Deployment) -> Any:
    house.stop("server")
    store = await open_store(house.dir / "server" / "datastore.sqlite3", clock=SystemClock())
    found = await store.read(
        lambda tx: (tx.governed.find(INSTANCE, (), Page())[0], tx.events.find(Page(), principal="bot")[0])
    )
    await store.close()
    return found


async def test_two_copies_are_two_and_a_binding_that_goes_takes_both(house: Deployment) -> None:
    with copy(house) as one, copy(house) as other:
        paths = [await asyncio.to_thread(said, each) for each in (one, other)]
        assert all(path.startswith("/principal/bot/") for path in paths), paths
        assert paths[0] != paths[1]
        house.operator.delete("bots")
        assert [await asyncio.to_thread(said, each) for each in (one, other)] == ["- no identity issued"] * 2
    instances, events = await stored(house)
    assert {SpiffeId.parse(each.spiffe_id).path for each in instances} == set(paths)
    assert [each.type for each in events].count(EventType.INSTANCE_SEEN) == 2


async def test_a_token_is_the_tasks_and_there_is_none_without(house: Deployment) -> None:
    """Requirement 14: a credential without a task is impossible for an AI agent."""
    async with WorkloadApiClient(Endpoint.of_path(house.api)) as client:
        (svid,) = (await client.fetch_x509()).svids
        (token,) = await client.fetch_jwt([CRM])
        assert token.spiffe_id == svid.svid.spiffe_id
        claims = (await client.validate_jwt(CRM, token.token)).claims
        assert str(claims["jti"]).startswith("crd_")
        with pytest.raises(PermissionDeniedError, match="open a task"):
            await client.fetch_jwt(["https://elsewhere.example"])


async def test_an_instance_opens_a_task_that_is_its_own(house: Deployment) -> None:
    """Requirements 14 and 15: it needs no secret for it, and need not have asked for anything before."""
    async with (
        TaskClient(Endpoint.of_path(house.api)) as tasks,
        WorkloadApiClient(Endpoint.of_path(house.api)) as client,
    ):
        with pytest.raises(PermissionDeniedError, match="open a task"):
            await client.fetch_jwt([MAIL])
        task = await tasks.open("read", [Access(MAIL, ("mail.read",))], lasting=60)
        (own,) = (await client.fetch_x509()).svids
        (token,) = await client.fetch_jwt([MAIL])
        assert token.spiffe_id == own.svid.spiffe_id
        await tasks.complete(task.id)
        with pytest.raises(PermissionDeniedError, match="open a task"):
            await client.fetch_jwt([MAIL])


async def test_a_wit_svid_is_the_instances_as_long_as_it_has_one_task(house: Deployment) -> None:
    """Requirements 1, 4 and 14."""
    async with (
        TaskClient(Endpoint.of_path(house.api)) as tasks,
        WorkloadApiClient(Endpoint.of_path(house.api)) as client,
    ):
        (own,) = (await client.fetch_x509()).svids
        (one,) = await client.fetch_wit()
        assert one.spiffe_id == own.svid.spiffe_id
        assert str(one.svid.claims["jti"]).startswith("crd_")
        other = await tasks.open("read", [Access(MAIL, ("mail.read",))], lasting=60)
        with pytest.raises(PermissionDeniedError, match="more than one active task"):
            await client.fetch_wit()
        await tasks.complete(other.id)
        assert await client.fetch_wit()
    house.run("task", "revoke", "--id", "tsk_1", "--reason", "over", "--socket-path", str(house.admin))
    shown = house.cli("task", "show", "--id", "tsk_1")["credentials"]
    assert {(each["kind"], each["cause"]) for each in shown} == {("wit-svid", "over")}
    async with WorkloadApiClient(Endpoint.of_path(house.api)) as client:
        with pytest.raises(PermissionDeniedError, match="open a task"):
            await client.fetch_wit()
