"""What is opened and what is left as it is."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.location import Found, inspect
from assay_server.datastore.sql.store import open_store

Look = Callable[[Path], dict[str, bytes]]

SPIRE_TABLES = [
    "bundles",
    "attested_node_entries",
    "node_resolver_map_entries",
    "registered_entries",
    "join_tokens",
    "selectors",
    "migrations",
]


@pytest.fixture(params=["delete", "wal"])
def spire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A database with SPIRE's table names, held open by another connection as a running SPIRE holds it."""
    path = tmp_path / "spire.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {request.param}")
    for table in SPIRE_TABLES:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, value TEXT)")
    connection.execute("INSERT INTO migrations VALUES (1, '24')")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint")
    yield path
    connection.close()


async def refuse(path: Path, words: str, look: Look) -> FailedPreconditionError:
    """Opening is refused with these words, and the folder stays as it is."""
    before = look(path.parent)
    with pytest.raises(FailedPreconditionError, match=words) as caught:
        await open_store(path, clock=FakeClock())
    assert look(path.parent) == before
    return caught.value


async def test_a_spire_database_is_left_as_it_is_and_its_import_is_named(spire: Path, look: Look) -> None:
    error = await refuse(spire, "is a SPIRE database", look)
    assert "assay import spire" in error.hint


async def test_a_spire_database_whose_tables_are_in_its_log_is_left_as_it_is(tmp_path: Path, look: Look) -> None:
    path = tmp_path / "spire.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = wal")
    for table in SPIRE_TABLES:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
    error = await refuse(path, "of another program", look)
    assert "assay import spire" in error.hint
    connection.close()


async def test_a_foreign_sqlite_database_is_left_as_it_is(tmp_path: Path, look: Look) -> None:
    path = tmp_path / "firefox.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (id INTEGER PRIMARY KEY)")
    connection.close()
    await refuse(path, "of another program", look)


@pytest.mark.parametrize("content", [b"x", b"SQLite format 2", b"\x00" * 4096, b"text\n" * 1000])
async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, look: Look, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    await refuse(path, "is not a SQLite database", look)


async def test_a_database_cut_off_within_its_header_is_left_as_it_is(tmp_path: Path, look: Look) -> None:
    path = tmp_path / "datastore.sqlite3"
    path.write_bytes(b"SQLite format 3\x00\x10\x00")
    await refuse(path, "of another program", look)


async def test_a_folder_is_refused(tmp_path: Path, look: Look) -> None:
    await refuse(tmp_path, "is a folder", lambda _: look(tmp_path))


@pytest.mark.parametrize("kind", ["-wal", "-journal"])
async def test_a_log_without_its_database_is_refused(path: Path, look: Look, kind: str) -> None:
    path.parent.mkdir()
    path.with_name(path.name + kind).write_bytes(b"log")
    error = await refuse(path, "without its database", look)
    assert "restore the database" in error.hint


def test_nothing_and_an_empty_file_are_free(path: Path) -> None:
    assert inspect(path) is Found.NOTHING
    path.parent.mkdir()
    path.touch()
    assert inspect(path) is Found.NOTHING


@pytest.fixture
def empty_file(path: Path) -> Path:
    path.parent.mkdir()
    path.touch(0o644)
    return path


async def test_an_empty_file_becomes_the_database(empty_file: Path, mode_of: Callable[[Path], int]) -> None:
    store = await open_store(empty_file, clock=FakeClock())
    await store.close()
    assert inspect(empty_file) is Found.OURS
    assert mode_of(empty_file) == 0o600


async def test_a_path_with_odd_characters_is_ours_again(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20 d" / "x?mode=ro.db"
    for _ in range(2):
        store = await open_store(path, clock=FakeClock())
        await store.close()
    assert inspect(path) is Found.OURS
