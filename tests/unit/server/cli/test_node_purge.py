"""`assay node show|count|purge` against a real server whose store has agents that have long been gone."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from assay.cli.main import run
from assay.clock import SystemClock
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.deployment import Deployment
from assay.wire import spiffeid as wire
from assay_proto.spire.api.types.agent_pb2 import Agent
from assay_server.cli.nodepurge import gone, print_purge, purge_dict
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store
from assay_server.model.node import Node

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BASE = "spiffe://example.test/spire/agent/x509pop"
LONG_AGO = int(datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp())
FUTURE = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


def node(name: str, expires_at: int, *, can_reattest: bool) -> Node:
    selectors = (Selector("x509pop", "subject:cn:a"), Selector("x509pop", "ca:b"))
    return Node(
        SpiffeId.parse(f"{BASE}/{name}"), "x509pop", "12", expires_at, can_reattest=can_reattest, selectors=selectors
    )


NODES = (
    node("gone", LONG_AGO, can_reattest=True),
    node("tofu", LONG_AGO, can_reattest=False),
    node("here", FUTURE, can_reattest=True),
)


async def seed(path: Path) -> None:
    store = await open_store(path, clock=SystemClock())

    def put(transaction: Transaction) -> None:
        for one in NODES:
            transaction.nodes.put(one)

    await store.write(put)
    await store.close()


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """A server alone, with three agents in its store."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        made = Deployment(Path(folder))
        asyncio.run(seed(Path(folder) / "server" / "datastore.sqlite3"))
        try:
            made.start_server()
            yield made
        finally:
            made.close()


def test_agents_are_counted_shown_and_purged(cli: Cli) -> None:
    assert cli("node", "count") == "3 attested agents\n"
    assert cli("node", "count", "-canReattest=false") == "1 attested agent\n"
    assert cli("node", "count", "-banned", "true") == "0 attested agents\n"
    assert cli.json("node", "count", "-expiresBefore", "2021-01-01 00:00:00 +0000 +00") == {"count": 2}
    assert cli("node", "show", "-spiffeID", f"{BASE}/gone").splitlines() == [
        "Found an attested agent given its SPIFFE ID",
        "",
        f"SPIFFE ID         : {BASE}/gone",
        "Attestation type  : x509pop",
        "Expiration time   : 2020-01-02 03:04:05 +0000 UTC",
        "Serial number     : 12",
        "Can re-attest     : true",
        "",
        "Selectors         : x509pop:ca:b",
        "Selectors         : x509pop:subject:cn:a",
    ]
    assert cli.json("node", "show", "-spiffeID", f"{BASE}/here")["id"]["path"] == "/spire/agent/x509pop/here"
    cli("node", "show", "-spiffeID", f"{BASE}/nobody", status=1)
    assert cli.err.startswith("Error: agent not found")
    found = f"Found 1 expired agent\n\n\nAgents that can be purged:\nSPIFFE ID         : {BASE}/gone\n"
    assert cli("node", "purge", "-dryRun") == found
    assert cli("node", "purge", "-expiredFor", "876000h") == "No agents to purge.\n"
    assert cli("node", "count") == "3 attested agents\n"
    assert cli.json("node", "purge") == {"expired_agents": [{"agent_id": f"{BASE}/gone", "deleted": True}]}
    assert cli("node", "count") == "2 attested agents\n"
    assert cli("node", "purge") == "No agents to purge.\n"
    cli("node", "purge", "-expiredFor", "30", status=2)
    assert "is not a duration" in cli.err


def agent(name: str, ago: timedelta, *, can_reattest: bool = True) -> Agent:
    made = Agent(can_reattest=can_reattest, x509svid_expires_at=int((NOW - ago).timestamp()))
    made.id.CopyFrom(wire.to_proto(SpiffeId.parse(f"{BASE}/{name}")))
    return made


def test_only_those_that_could_attest_again_and_are_gone_for_longer_are_purged() -> None:
    hour = timedelta(hours=1)
    agents = [agent("a", hour), agent("b", hour + timedelta(seconds=1)), agent("c", 2 * hour, can_reattest=False)]
    assert [str(one) for one in gone(agents, NOW, hour)] == [f"{BASE}/b"]
    assert gone(agents, NOW, timedelta(days=1)) == []


def test_those_that_stay_are_told_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (SpiffeId.parse(f"{BASE}/{name}") for name in "ab")
    outcomes = {first: "", second: "in \x1b the way"}
    print_purge(outcomes, dry_run=False)
    assert capsys.readouterr().out.splitlines() == [
        "Found 2 expired agents",
        "",
        "Agents purged:",
        f"SPIFFE ID         : {first}",
        "Agents not purged:",
        f"SPIFFE ID         : {second}",
        "Error             : in \\x1b the way",
    ]
    assert purge_dict(outcomes, dry_run=False)["expired_agents"] == [
        {"agent_id": str(first), "deleted": True},
        {"agent_id": str(second), "deleted": False, "error": "in \x1b the way"},
    ]
    assert purge_dict({first: ""}, dry_run=True)["expired_agents"] == [{"agent_id": str(first), "deleted": False}]


def test_no_server_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "purge", "--socket-path", "/nowhere/api.sock"]) == 1
    assert "no server is running" in capsys.readouterr().err
