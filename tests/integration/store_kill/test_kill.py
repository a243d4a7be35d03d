"""Kill -9 in the middle of writes, again and again: every acknowledged write is there, without a hand."""

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from assay.testing.clock import FakeClock
from assay_server.datastore.base import EntryFilter, Page, Transaction
from assay_server.datastore.sql.store import open_store

KILLS = int(os.environ.get("ASSAY_KILLS", "25"))
STORES = 3
"""Kills go round these databases, and every other one hits a new database, perhaps while it is made."""

ENTRIES_A_FUNCTION = 5


class Writer:
    """The test's end of writer.py."""

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands = commands
        self._answers = answers

    def write_and_be_killed(self, path: Path, prefix: str, after: int, delay: float) -> list[str]:
        """Every function that was acknowledged; the kill comes after that many, or after `delay` seconds for none."""
        self._commands.write(f"{path} {prefix}\n")
        self._commands.flush()
        pid = 0
        told: list[str] = []
        while not pid or len(told) < after:
            line = self._answers.readline().strip()
            # The first acknowledgement may overtake the process ID.
            if line.isdecimal():
                pid = int(line)
            else:
                told.append(line)
        if not after:
            select.select([self._answers], [], [], delay)
        os.kill(pid, signal.SIGKILL)
        while (line := self._answers.readline().strip()) != "killed":
            told.append(line)
        return told


@pytest.fixture
def writer() -> Iterator[Writer]:
    command = [sys.executable, str(Path(__file__).with_name("writer.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield Writer(process.stdin, process.stdout)
        process.stdin.write("end\n")
        process.stdin.flush()
        assert process.wait() == 0


@pytest.mark.timeout(60 + KILLS)
async def test_every_acknowledged_write_survives_every_kill(writer: Writer, tmp_path: Path) -> None:
    rng = random.Random(KILLS)  # noqa: S311 - when to kill
    told: dict[Path, set[str]] = {}
    seen: dict[Path, tuple[str, int]] = {}
    for kill in range(KILLS):
        path = tmp_path / (f"new{kill}" if kill % 2 else f"old{kill // 2 % STORES}") / "db"
        after = rng.choice([0, 1, rng.randrange(100)])
        acknowledged = writer.write_and_be_killed(path, f"k{kill}", after, rng.uniform(0, 0.03))
        told.setdefault(path, set()).update(acknowledged)
        incarnation, sequence = await check(path, told[path])
        if path in seen:
            assert incarnation == seen[path][0], "agents would need a full snapshot after every crash"
            assert sequence >= seen[path][1]
        seen[path] = (incarnation, sequence)
    assert any(told.values())


async def check(path: Path, told: set[str]) -> tuple[str, int]:
    store = await open_store(path, clock=FakeClock())
    there, changes = await store.read(look)
    await store.close()
    assert told <= there
    assert changes == list(range(1, len(changes) + 1))
    assert store.sequence == len(changes) == ENTRIES_A_FUNCTION * len(there)
    return store.incarnation, store.sequence


def look(tx: Transaction) -> tuple[set[str], list[int]]:
    """Functions that are there, each wholly, and the sequence numbers of all changes."""
    entries, _ = tx.entries.find(EntryFilter(), Page())
    count: dict[str, int] = {}
    for entry in entries:
        name = entry.id.partition(".")[0]
        count[name] = count.get(name, 0) + 1
    assert set(count.values()) <= {ENTRIES_A_FUNCTION}
    changes = tx.changes.since(0, 1_000_000)
    assert changes is not None
    return set(count), [change.sequence for change in changes]
