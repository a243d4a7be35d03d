"""A restored copy is noticed; whatever else happens, positions stay good."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.entry import Entry
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.incarnation import Mark, MarkFile, is_continued
from assay_server.datastore.sql.store import SqlStore, open_store

MakeEntry = Callable[..., Entry]
MARK = Mark("a" * 32, 10)


@pytest.mark.parametrize(
    ("mark", "incarnation", "sequence", "changed_at", "continued"),
    [
        (MARK, MARK.incarnation, 10, 5, True),
        (MARK, MARK.incarnation, 11, 5, True),  # the mark lags after a crash
        (MARK, MARK.incarnation, 9, 5, False),  # an older copy
        (MARK, "b" * 32, 10, 5, False),  # another database
        (None, MARK.incarnation, 10, 5, False),  # a copy without its mark
        (Mark(MARK.incarnation, 10, 5), MARK.incarnation, 10, 5, True),
        (Mark(MARK.incarnation, 10, 5), MARK.incarnation, 10, 6, False),  # put there after the orderly end
    ],
)
def test_a_history_is_continued_when(
    mark: Mark | None, incarnation: str, sequence: int, changed_at: int, continued: bool
) -> None:
    assert is_continued(mark, incarnation, sequence, changed_at) is continued


@pytest.mark.parametrize("mark", [MARK, Mark("f" * 32, 2**62, 2**62), Mark("0", 0)])
def test_a_mark_comes_back_as_it_was_written(mark: Mark, tmp_path: Path) -> None:
    file = MarkFile(tmp_path / "db")
    assert file.read() is None
    file.write(Mark("f" * 32, 2**63, 2**63))
    file.write(mark)
    assert file.read() == mark
    file.close()
    assert (tmp_path / "db.mark").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("data", [b"", b"\x00" * 96, b"\xff\xfe", b"a 1", b"a b c", b"a -1 0", b"a 1 0 0", b"a \xb2 0"])
def test_a_damaged_mark_is_none(data: bytes) -> None:
    assert Mark.decode(data) is None


class TestStore:
    """Each test starts with two entries, closed in order."""

    @pytest.fixture(autouse=True)
    async def closed(self, store: SqlStore, make_entry: MakeEntry) -> None:
        self.make_entry = make_entry
        self.incarnation = store.incarnation
        for name in ("a", "b"):
            await self.add(store, name)
        await store.close()

    async def add(self, store: SqlStore, name: str) -> None:
        await store.write(lambda tx: tx.entries.create(self.make_entry(name)))

    async def reopened(self, path: Path, *adding: str) -> str:
        store = await open_store(path, clock=FakeClock())
        for name in adding:
            await self.add(store, name)
        await store.close()
        return store.incarnation

    async def test_an_orderly_restart_keeps_the_incarnation(self, path: Path) -> None:
        for name in ("c", "d", "e"):
            assert await self.reopened(path, name) == self.incarnation

    async def test_an_older_copy_gets_a_new_one_and_keeps_that(self, path: Path, tmp_path: Path) -> None:
        shutil.copy(path, tmp_path / "backup")
        assert await self.reopened(path, "c") == self.incarnation
        shutil.copy(tmp_path / "backup", path)
        restored = await self.reopened(path)
        assert restored != self.incarnation
        assert await self.reopened(path) == restored

    async def test_a_copy_of_the_whole_folder_gets_a_new_one(self, path: Path, tmp_path: Path) -> None:
        shutil.copytree(path.parent, tmp_path / "backup")
        assert await self.reopened(path, "c") == self.incarnation
        shutil.copytree(tmp_path / "backup", path.parent, dirs_exist_ok=True)
        assert await self.reopened(path) != self.incarnation

    async def test_a_copy_made_while_it_ran_gets_a_new_one(self, path: Path, tmp_path: Path) -> None:
        store = await open_store(path, clock=FakeClock())
        await self.add(store, "c")
        await asyncio.to_thread(_back_up, path, tmp_path / "backup")
        await self.add(store, "d")
        await store.close()
        shutil.copy(tmp_path / "backup", path)
        assert await self.reopened(path) != self.incarnation

    async def test_a_lost_mark_costs_only_the_incarnation(self, path: Path) -> None:
        path.with_name(f"{path.name}.mark").unlink()
        assert await self.reopened(path) != self.incarnation
        store = await open_store(path, clock=FakeClock())
        assert store.sequence == 2
        await store.close()


def _back_up(path: Path, target: Path) -> None:
    with sqlite3.connect(path) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()
