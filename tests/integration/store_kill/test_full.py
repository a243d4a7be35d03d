"""A file system that takes no more: the group is refused with advice, what was acknowledged stays, writing goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.testing.clock import FakeClock
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store


@pytest.fixture
def report(tmp_path: Path) -> dict[str, list[str]]:
    command = [sys.executable, str(Path(__file__).with_name("filler.py")), str(tmp_path / "data" / "db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, list[str]] = json.loads(done.stdout)
    return report


async def test_nothing_acknowledged_is_lost_and_nothing_refused_is_kept(
    report: dict[str, list[str]], tmp_path: Path
) -> None:
    told = report["told"]
    assert len(told) > 50
    store = await open_store(tmp_path / "data" / "db", clock=FakeClock())

    def take_all(tx: Transaction) -> tuple[int, int]:
        taken = [tx.join_tokens.take(name + "x" * 1000) for name in told]
        return sum(token is not None for token in taken), tx.join_tokens.prune(2)

    assert await store.write(take_all) == (len(told), 0)
    await store.close()


def test_all_of_the_group_is_told_what_to_do(report: dict[str, list[str]]) -> None:
    assert len(report["errors"]) == 10
    for error in report["errors"]:
        assert error.startswith("the database ")
        assert "its file system" in error
