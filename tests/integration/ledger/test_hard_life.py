"""Kill -9 and a full disk while credentials are issued: nobody has one that the ledger does not prove."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.crypto.keys import generate, to_pem
from assay.keymanager.base import KeyType, SigningKey
from assay.ledger.checkpoint import CheckpointKeys
from assay.ledger.verification import Trusted, Verdict, verify
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.store import open_store
from assay_server.governance.checkpoints import Checkpoints
from assay_server.governance.ledger import LedgerBook, Wanted

ISSUING = [sys.executable, str(Path(__file__).with_name("issuing.py"))]
KILLS = 6
A_ORG = TrustDomain("example.org")


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """The ledger's, which the processes have as a file."""
    key = generate(KeyType.EC_P256)
    (tmp_path / "key.pem").write_bytes(to_pem(key))
    return key


async def read(path: Path, key: SigningKey) -> tuple[Verdict, set[str]]:
    """The verdict on what is there, and the credentials that it has."""

    async def own() -> SigningKey:
        return key

    clock = FakeClock()
    store = await open_store(path, clock=clock)
    book = LedgerBook(store, clock, A_ORG, Checkpoints(store, clock, A_ORG, own))
    lines = [line async for part in book.export(Wanted()) for line in part]
    await store.close()
    issued = {one["subject"] for one in map(json.loads, lines) if one.get("type") == "identity.issued"}
    return verify([line.encode() for line in lines], Trusted(CheckpointKeys([key.public_key()]))), issued


def killed(path: Path, after: int) -> set[str]:
    """All that a process said that was killed when it had said so many lines."""
    command = [*ISSUING, str(path), str(path.parents[1] / "key.pem"), "kill"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = {process.stdout.readline() for _ in range(after)}
        os.kill(process.pid, signal.SIGKILL)
        return told | set(process.stdout)


def filled(path: Path) -> list[str]:
    """All that a process said whose disk was full for a while."""
    command = [*ISSUING, str(path), str(path.parents[1] / "key.pem"), "full"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


async def test_killed_in_the_middle_the_chain_holds_and_nothing_acknowledged_is_missing(
    key: SigningKey, tmp_path: Path
) -> None:
    rng, path, told = random.Random(KILLS), tmp_path / "data" / "db", set[str]()  # noqa: S311 - when to kill
    for _ in range(KILLS):
        told |= killed(path, rng.randrange(20, 120))
    issued = {line.split()[1] for line in told if line.startswith("issued")}
    signed = {line.split()[1] for line in told if line.startswith("signed") and line.endswith("\n")}
    verdict, there = await read(path, key)
    assert (verdict.fault, verdict.whole) == (None, True)
    assert verdict.checkpoints > KILLS
    assert len(issued) > KILLS
    assert issued <= signed <= there


async def test_where_the_ledger_cannot_be_written_nothing_is_issued(key: SigningKey, tmp_path: Path) -> None:
    path = tmp_path / "data" / "db"
    lines = filled(path)
    full = next(at for at, line in enumerate(lines) if line.startswith("full"))
    assert lines[full].startswith("full the database ")
    assert "file system" in lines[full]
    assert lines[full + 1 : full + 4] == ["still full"] * 3
    signed, issued = ({line.split()[1] for line in lines if line.startswith(word)} for word in ("signed", "issued"))
    verdict, there = await read(path, key)
    assert verdict.whole
    assert signed == issued == there
    assert len(issued) > 20
    assert len(lines[full + 4 :]) == 20
