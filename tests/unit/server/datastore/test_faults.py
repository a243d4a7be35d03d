"""SQLite's errors as refusals, made by SQLite itself where that can be done."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.entry import Entry
from assay.errors import FailedPreconditionError, UnavailableError
from assay.testing.clock import FakeClock
from assay_server.datastore.base import EntryFilter, Page
from assay_server.datastore.sql.faults import refusal
from assay_server.datastore.sql.store import SqlStore, open_store

PAGE = 4096


def error_with(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("some words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (sqlite3.SQLITE_FULL, UnavailableError, "is full: some words; free space"),
        (sqlite3.SQLITE_IOERR_FSYNC, UnavailableError, "cannot be read or written"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, UnavailableError, "is locked by another program"),
        (sqlite3.SQLITE_READONLY_DBMOVED, UnavailableError, "cannot be written"),
        (sqlite3.SQLITE_CORRUPT_INDEX, FailedPreconditionError, "is damaged: some words; restore it"),
    ],
)
def test_a_condition_of_the_database_is_a_refusal(code: int, kind: type[Exception], words: str) -> None:
    refused = refusal(error_with(code))
    assert type(refused) is kind
    assert words in str(refused)


@pytest.mark.parametrize("error", [error_with(sqlite3.SQLITE_CONSTRAINT), sqlite3.ProgrammingError("x"), KeyError()])
def test_a_mistake_of_ours_is_none(error: Exception) -> None:
    assert refusal(error) is None


@pytest.fixture
async def filled(path: Path, store: SqlStore, make_entry: Callable[..., Entry]) -> Path:
    for n in range(100):
        await store.write(lambda tx: tx.entries.create(make_entry(f"e{n}", hint="x" * 200)))  # noqa: B023 - awaited here
    await store.close()
    return path


async def test_a_database_damaged_in_its_schema_is_refused_clearly(filled: Path) -> None:
    with filled.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    with pytest.raises(FailedPreconditionError, match="the database is damaged") as caught:
        await open_store(filled, clock=FakeClock())
    assert "restore it from a backup" in caught.value.hint


async def test_a_database_cut_short_is_refused_clearly(filled: Path) -> None:
    with filled.open("r+b") as file:
        file.truncate(PAGE + 10)
    with pytest.raises(FailedPreconditionError, match="the database is damaged"):
        await open_store(filled, clock=FakeClock())


async def test_damage_found_later_is_told_to_who_reads_or_writes_it(
    filled: Path, make_entry: Callable[..., Entry]
) -> None:
    _overwrite_pages_of(filled, "entries")
    store = await open_store(filled, clock=FakeClock())
    with pytest.raises(FailedPreconditionError, match="the database is damaged"):
        await store.read(lambda tx: tx.entries.find(EntryFilter(), Page()))
    with pytest.raises(FailedPreconditionError, match="the database is damaged"):
        await store.write(lambda tx: tx.entries.create(make_entry("new")))
    assert await store.read(lambda tx: tx.changes.latest()) == 100
    await store.close()


async def test_what_failed_to_open_can_be_opened_when_it_is_mended(filled: Path) -> None:
    good = _replace(filled, lambda content: content[:PAGE])
    with pytest.raises(FailedPreconditionError):
        await open_store(filled, clock=FakeClock())
    _replace(filled, lambda _: good)
    store = await open_store(filled, clock=FakeClock())
    assert store.sequence == 100
    await store.close()


def _replace(path: Path, change: Callable[[bytes], bytes]) -> bytes:
    content = path.read_bytes()
    path.write_bytes(change(content))
    return content


def _overwrite_pages_of(path: Path, table: str) -> None:
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xee" * PAGE)
