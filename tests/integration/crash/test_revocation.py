"""Kill -9 of the server while it revokes: what was begun is finished, each end names its cause, no other is touched."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.governed.authority import Access
from assay.testing.deployment import ASSAY, Deployment
from assay.testing.operator import PATIENCE
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger
from assay_server.model.governed.task import CREDENTIAL, TASK, Credential, Intent, Task

CRM = "https://crm/mcp"
TASKS = 4000
"""Half of them may refund."""
KILLS = 2
FORBIDDEN = '@id("no-refunds") forbid (principal, action, resource == Assay::Tool::"crm.refund");\n'


def filled(tx: Transaction) -> None:
    now = int(SystemClock().now().timestamp())
    owner = Owner("person:alice@corp")
    bot = Principal(
        "bot", ActorType.AI_AGENT, owner.name, "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
        ("crm.read", "crm.refund"), approvals=(), heartbeat=0, triggers=(Trigger.TIMEOUT,), state=PrincipalState.ACTIVE,
    )  # fmt: skip
    tx.governed.put(OWNER, owner)
    tx.governed.put(RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL))
    tx.governed.put(PRINCIPAL, bot)
    for name in bot.tools:
        tx.governed.put(TOOL, Tool(name, CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
    for number in range(TASKS):
        tool = bot.tools[number % 2]
        task = Task(
            f"tsk_{number:06}", "bot", "", owner.name, "acme", "prod", Intent("answer"), (Access(CRM, (tool,)),),
            "sha-256:i", "sha-256:a", "operator:local:0", now, now + 3600,
        )  # fmt: skip
        tx.governed.put(TASK, task)
        credential = Credential(
            f"crd_{number:06}", "at+jwt", task.task_id, "bot", "spiffe://example.test/principal/bot", CRM, "sha-256:a",
            "thumb", now, now + 3600, "dec_1", actions=(tool,),
        )  # fmt: skip
        tx.governed.put(CREDENTIAL, credential)


class House:
    """A server with many tasks, looked at from outside: by its file, while it runs or is dead."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._file = deployment.dir / "server" / "datastore.sqlite3"

    async def fill(self) -> None:
        store = await open_store(self._file, clock=SystemClock())
        await store.write(filled)
        await store.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(statement).fetchall()

    def ended(self) -> int:
        return int(self.rows("select count(*) from events where type = 'task.ended'")[0][0])

    def documents(self, kind: str, of: str) -> list[str]:
        like = f"kind = '{kind}' and document like '%{of}%'"
        return [row[0] for row in self.rows(f"select document from governed where {like} order by name")]  # noqa: S608

    def kill_in_the_middle(self) -> None:
        """Once more have ended than before, and not all."""
        before = self.ended()
        self.deployment.until("server", lambda: self.ended() > before)
        self.deployment.stop("server", signal.SIGKILL)

    def check(self, causes: set[str], untouched: tuple[list[str], list[str]]) -> None:
        tasks = [json.loads(one) for one in self.documents("task", "crm.refund")]
        assert {(one["state"], one["state_reason"]) for one in tasks} == {("revoked", cause) for cause in causes}
        credentials = [json.loads(one) for one in self.documents("credential", "crm.refund")]
        assert {one["cause"] for one in credentials} == causes
        assert all(one["revoked_at"] for one in credentials)
        assert self.ended() == TASKS // 2
        told = self.rows("select count(distinct task_id) from events where type = 'task.ended'")
        assert told == [(TASKS // 2,)]
        assert (self.documents("task", "crm.read"), self.documents("credential", "crm.read")) == untouched


@pytest.fixture
async def house(deployments: Callable[[], Deployment]) -> House:
    house = House(deployments())
    await house.fill()
    house.deployment.start_server()
    return house


def test_a_sweep_goes_on_where_the_server_was_killed(house: House, tmp_path: Path) -> None:
    untouched = house.documents("task", "crm.read"), house.documents("credential", "crm.read")
    house.deployment.run("policy", "init", str(tmp_path / "policies"))
    (tmp_path / "policies" / "own.cedar").write_text(FORBIDDEN)
    admin = str(house.deployment.admin)
    house.deployment.run("policy", "push", str(tmp_path / "policies"), "--socket-path", admin)
    for kill in range(KILLS):
        house.kill_in_the_middle()
        assert house.ended() < TASKS // 2, f"kill {kill} came too late to show anything"
        house.deployment.start_server()
    house.deployment.until("server", lambda: house.ended() == TASKS // 2)
    house.check({"policy_drift: v1 by no-refunds"}, untouched)
    decided = house.rows("select count(*) from governed where kind = 'decision'")
    assert decided == [(TASKS // 2,)]


def test_a_revocation_goes_on_where_the_server_was_killed(house: House) -> None:
    untouched = house.documents("task", "crm.read"), house.documents("credential", "crm.read")
    admin = str(house.deployment.admin)
    asked = ["revoke", "--tool", "crm.refund", "--reason", "recalled", "--socket-path", admin]
    with subprocess.Popen([ASSAY, *asked], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asking:
        house.kill_in_the_middle()
        assert asking.wait(PATIENCE)
    assert house.ended() < TASKS // 2
    house.deployment.start_server()
    house.deployment.until("server", lambda: house.ended() == TASKS // 2)
    house.deployment.until("server", lambda: done(house) == [True])
    house.check({"revoked: recalled"}, untouched)


def done(house: House) -> list[bool]:
    return [bool(json.loads(one)["done_at"]) for one in house.documents("revocation", "rev_")]
