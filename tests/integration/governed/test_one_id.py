"""Requirement 61: one task ID finds its tokens, its decisions, what tools say of it, its events and its traces."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests
from tests.integration.governed.test_explain import CRM, THUMBPRINT, claims, explained
from tests.integration.governed.test_tasks import surely

from assay.governed.authority import Access
from assay.spiffeid import SpiffeId
from assay.testing.collector import Collector
from assay.testing.deployment import Deployment, free_port
from assay.workloadapi.tasks import TaskClient
from assay_server.datastore.base import Transaction
from assay_server.governance.reports import take
from assay_server.model.governed.report import Report

ME = "spiffe://example.test/principal/bot"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector().start()
    yield collector
    collector.close()


@pytest.fixture
def issuer() -> str:
    return f"https://localhost:{free_port()}"


@pytest.fixture
def deployment(collector: Collector, issuer: str) -> Iterator[Deployment]:
    """Both daemons send to a collector, and the server has a token endpoint."""
    with TemporaryDirectory(prefix="assay-") as folder:
        made = Deployment(Path(folder))
        otlp = f'telemetry {{ otlp {{ endpoint = "{collector.url}" }} }}'
        settings = f'issuer = "{issuer}" bind_address = "127.0.0.1" bind_port = {issuer.rpartition(":")[2]}'
        for name, more in (("server", f"token_endpoint {{ {settings} }}"), ("agent", "")):
            with (made.dir / f"{name}.conf").open("a") as conf:
                conf.write(f"assay {{\n{otlp}\n{more}\n}}\n")
        try:
            yield made.start()
        finally:
            made.close()


def token_of(deployment: Deployment, issuer: str) -> dict[str, Any]:
    """What an OAuth client with three files is given."""
    folder = deployment.dir
    mint = ("x509", "mint", "--spiffe-id", ME, "--write", str(folder), "--socket-path", str(deployment.admin))
    deployment.run(*mint)
    deployment.until("server", lambda: "Starting token endpoint" in deployment.log("server"))
    answer = requests.post(
        f"{issuer}/token",
        data={"client_id": ME, "grant_type": "client_credentials", "resource": CRM},
        cert=(str(folder / "svid.pem"), str(folder / "key.pem")),
        verify=str(folder / "bundle.pem"),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return claims(answer.json()["access_token"])


async def test_one_task_id_finds_everything(
    governed: Deployment,
    written: Callable[[Deployment, Callable[[Transaction], None]], Awaitable[None]],
    collector: Collector,
    issuer: str,
) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", [Access(CRM, ("crm.read",))], lasting=600))
        used = claims((await client.credential(task.id, CRM, jkt=THUMBPRINT)).token)
    posted = token_of(governed, issuer)
    tokens = [used, posted]
    assert {one for token in tokens for one in (token["mission"]["id"], token["txn"])} == {task.id}

    report = Report(
        "tool.use", used["iat"], used["jti"], task.id, audience=CRM, action="crm.read", outcome="allowed",
        decision_id=used["decision_id"], trace_id=TRACE,
    )  # fmt: skip
    await written(governed, lambda tx: _reported(tx, report))

    story = json.loads(explained(governed, task.id, "--output", "json").stdout)
    decisions = [one["replay"]["recorded"] for one in story["steps"] if one["type"] == "decision"]
    assert {one["task_id"] for one in decisions} == {task.id}
    assert {token["decision_id"] for token in tokens} < {one["id"] for one in decisions}
    assert {one["subject"] for one in story["steps"] if one["type"] == "identity.issued"} == {
        token["jti"] for token in tokens
    }
    (tool,) = [one["details"] for one in story["steps"] if one["type"] == "tool.use"]
    assert (tool["jti"], tool["decision_id"], tool["trace_id"]) == (used["jti"], used["decision_id"], TRACE)

    assert governed.stop("agent") == 0
    assert governed.stop("server") == 0
    of_task = [span for span in collector.spans if span.attributes.get("assay.task_id") == task.id]
    names = [span.name for span in of_task]
    assert "assay.task.v1.AgentTasks/Open" in names
    issued = {
        span.attributes["assay.credential_id"]: (span.name, span.attributes["assay.decision_id"])
        for span in of_task
        if "assay.credential_id" in span.attributes
    }
    assert issued == {
        used["jti"]: ("assay.task.v1.AgentTasks/Credential", used["decision_id"]),
        posted["jti"]: ("POST /token", posted["decision_id"]),
    }


def _reported(tx: Transaction, report: Report) -> None:
    take(tx, "r1", SpiffeId.parse("spiffe://example.test/crm"), 1, [report], report.at)
