"""A new database: private, complete, and none the worse for an attempt that was cut short."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import UnavailableError
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.store import SqlStore, open_store


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.fixture
def wide_umask() -> Iterator[None]:
    """Nothing may depend on a careful umask."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("wide_umask")
async def test_files_and_folder_are_for_the_owner_alone(path: Path) -> None:
    store = await open_store(path, clock=FakeClock())
    await store.write(lambda tx: tx.join_tokens.prune(0))
    assert modes(path.parent) == dict.fromkeys(
        [path.name] + [path.name + suffix for suffix in ("-wal", "-shm", ".lock", ".mark")], 0o600
    )
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await store.close()
    assert set(modes(path.parent).values()) == {0o600}


async def test_a_folder_that_exists_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o755)
    store = await open_store(path, clock=FakeClock())
    await store.close()
    assert path.parent.stat().st_mode & 0o777 == 0o755


async def test_folders_above_are_made_too(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "a" / "b" / "c" / "db", clock=FakeClock())
    await store.close()
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700


async def test_a_draft_that_was_left_over_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(f"{path.name}.new").write_bytes(b"half a database")
    path.with_name(f"{path.name}.new-journal").write_bytes(b"half a journal")
    store = await open_store(path, clock=FakeClock())
    assert await store.read(lambda tx: tx.changes.latest()) == 0
    await store.close()
    assert sorted(modes(path.parent)) == [path.name, f"{path.name}.lock", f"{path.name}.mark"]


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="the database's folder cannot be used"):
        await open_store(tmp_path / "file" / "data" / "db", clock=FakeClock())


async def test_the_database_is_as_durable_and_strict_as_promised(store: SqlStore) -> None:
    connection = store._pipeline._group._connection.raw

    def pragma(name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert {name: pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")} == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
    }
