# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""The chain is written with what it tells of: what is undone was never in it, and there is only one."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from assay.errors import FailedPreconditionError
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store


async def test_numbers_have_no_gaps_though_positions_do(ledger: Any) -> None:
    await ledger.write(3)
    assert await ledger.numbers() == [1, 2, 3]
    assert ledger.store.sequence == 6
    assert ledger.verdict(await ledger.export()).whole


async def test_what_is_rolled_back_was_never_in_the_chain(ledger: Any) -> None:
    """Alone, and in a group of which others are committed."""
    write = ledger.event()

    def fails(tx: Transaction) -> None:
        write(tx)
        write(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ledger.store.write(fails)
    assert await ledger.numbers() == []
    works = [write, fails, write, fails, fails, write]
    ended = await asyncio.gather(*map(ledger.store.write, works), return_exceptions=True)
    assert [isinstance(one, ZeroDivisionError) for one in ended] == [False, True, False, True, True, False]
    assert await ledger.numbers() == [1, 2, 3]
    assert ledger.verdict(await ledger.export()).whole


async def test_many_who_write_at_once_write_one_chain(ledger: Any) -> None:
    await asyncio.gather(*(ledger.store.write(ledger.event()) for _ in range(200)))
    assert await ledger.numbers() == list(range(1, 201))
    assert ledger.verdict(await ledger.export()).whole


async def test_there_is_no_second_writer(ledger: Any, tmp_path: Path, clock: FakeClock) -> None:
    """Not by another server, and not by another record of the same number."""
    await ledger.write(1)
    with pytest.raises(FailedPreconditionError, match="in use"):
        await open_store(tmp_path / "datastore.sqlite3", clock=clock)
    columns = "at, type, task_id, principal, document, number, hash"
    again = f"INSERT INTO events (position, {columns}) SELECT 99, {columns} FROM events"  # noqa: S608 - of the test
    with sqlite3.connect(tmp_path / "datastore.sqlite3") as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(again)
    other.close()


async def test_the_chain_goes_on_after_a_restart(ledger: Any, tmp_path: Path, clock: FakeClock) -> None:
    await ledger.write(2)
    await ledger.store.close()
    store = await open_store(tmp_path / "datastore.sqlite3", clock=clock)
    await store.write(ledger.event())
    records = await store.read(lambda tx: tx.ledger.records(0, 10))
    assert [one.number for one in records] == [1, 2, 3]
    assert f'"previous":"{records[1].hash}"' in records[2].body
    await store.close()
