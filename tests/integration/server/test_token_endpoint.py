"""The token endpoint of a real server, for a program that has three files: certificate, key and trust bundle."""

import asyncio
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests

from assay.clock import SystemClock
from assay.entry import Entry
from assay.governed.authority import Access
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment, free_port
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState, Trigger
from assay_server.model.governed.task import TASK, Intent, Task

CRM = "https://crm/mcp"
ME = SpiffeId.parse("spiffe://example.test/principal/bot")
PATIENCE = 30.0


def fill(tx: Transaction) -> None:
    now = int(SystemClock().now().timestamp())
    owner = Owner("person:alice@corp")
    bot = Principal(
        "bot", ActorType.AI_AGENT, owner.name, "answer", "prod", "acme", ("tickets",), Risk.LOW, "acme-4",
        tools=("crm.read",), approvals=(), heartbeat=0, triggers=(Trigger.TIMEOUT,), state=PrincipalState.ACTIVE,
    )  # fmt: skip
    task = Task(
        "tsk_1", "bot", "", owner.name, "acme", "prod", Intent("answer"), (Access(CRM, ("crm.read",)),),
        "sha-256:" + "A" * 43, "sha-256:" + "B" * 43, "operator:local:0", now, now + 3600,
    )  # fmt: skip
    tx.governed.put(OWNER, owner)
    tx.governed.put(RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL))
    tx.governed.put(TOOL, Tool("crm.read", CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
    tx.governed.put(PRINCIPAL, bot)
    tx.governed.put(TASK, task)
    parent = SpiffeId.parse("spiffe://example.test/agent")
    tx.entries.create(Entry("bot", ME, parent, (Selector("unix", "uid:1"),), principal="bot"))


async def filled(path: Path) -> None:
    store = await open_store(path, clock=SystemClock())
    try:
        await store.write(fill)
    finally:
        await store.close()


@dataclass
class House:
    """A server with a token endpoint."""

    deployment: Deployment
    issuer: str

    def post(self, page: str, **form: str) -> requests.Response:
        folder = self.deployment.dir
        return requests.post(
            self.issuer + page,
            data={"client_id": str(ME), **form},
            cert=(str(folder / "svid.pem"), str(folder / "key.pem")),
            verify=str(folder / "bundle.pem"),
            timeout=PATIENCE,
        )

    def token(self) -> requests.Response:
        return self.post("/token", grant_type="client_credentials", resource=CRM)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with TemporaryDirectory(prefix="assay-") as folder:
        deployment = Deployment(Path(folder))
        issuer = f"https://localhost:{free_port()}"
        config = deployment.dir / "server.conf"
        settings = f'issuer = "{issuer}" bind_address = "127.0.0.1" bind_port = {issuer.rpartition(":")[2]}'
        config.write_text(config.read_text() + f"assay {{ token_endpoint {{ {settings} }} }}\n")
        asyncio.run(filled(deployment.dir / "server" / "datastore.sqlite3"))
        try:
            deployment.start_server()
            deployment.write_bundle()
            deployment.run(
                "x509", "mint", "--spiffe-id", str(ME), "--write", folder, "--socket-path", str(deployment.admin)
            )
            deployment.until("server", lambda: "Starting token endpoint" in deployment.log("server"))
            yield House(deployment, issuer)
        finally:
            deployment.close()


def test_three_files_are_all_that_a_client_needs(house: House) -> None:
    answer = house.token()
    assert answer.status_code == 200, answer.text
    token: dict[str, Any] = answer.json()
    assert token["expires_in"] == 300
    found = house.post("/introspect", token=token["access_token"]).json()
    assert found["active"] is True
    assert token["access_token"] not in house.deployment.log("server")


def test_the_ledgers_key_is_published_with_those_of_tokens(house: House) -> None:
    folder = house.deployment.dir
    found = requests.get(f"{house.issuer}/jwks", verify=str(folder / "bundle.pem"), timeout=PATIENCE).json()["keys"]
    socket = ("--socket-path", str(house.deployment.admin))
    (own,) = json.loads(house.deployment.run("ledger", "key", *socket).stdout)["keys"]
    assert own in found
    assert len({one["kid"] for one in found}) == len(found) > 1
    assert own["use"] == "sig"
    house.token().raise_for_status()
    (folder / "ledger.jsonl").write_text(house.deployment.run("ledger", "export", *socket).stdout)
    (folder / "jwks.json").write_text(json.dumps({"keys": found}))
    told = house.deployment.run("ledger", "verify", str(folder / "ledger.jsonl"), "--key", str(folder / "jwks.json"))
    assert told.stdout.startswith("Verified: ")


def test_a_token_counts_after_the_server_was_killed(house: House) -> None:
    token = house.token().json()["access_token"]
    house.deployment.stop("server", signal.SIGKILL)
    house.deployment.start_server()
    house.deployment.until("server", lambda: house.deployment.log("server").count("Starting token endpoint") == 2)
    found = house.post("/introspect", token=token)
    assert json.loads(found.text)["active"] is True
    assert house.token().status_code == 200
