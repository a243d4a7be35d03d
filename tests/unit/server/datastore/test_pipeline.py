"""Group commit when things go wrong: one function, the whole group, or the disk."""

import asyncio
import sqlite3
from collections.abc import Callable

import pytest

from assay.entry import Entry
from assay.errors import AssayError, UnavailableError
from assay_server.datastore.base import EntryFilter, Page, Transaction
from assay_server.datastore.sql.pipeline import MAX_GROUP
from assay_server.datastore.sql.store import SqlStore

MakeEntry = Callable[..., Entry]
ALL = EntryFilter()


def raw(store: SqlStore) -> sqlite3.Connection:
    return store._pipeline._group._connection.raw


def commits(store: SqlStore) -> list[str]:
    """Statements that end a group, as they come."""
    seen: list[str] = []
    raw(store).set_trace_callback(lambda text: seen.append(text) if text in {"COMMIT", "ROLLBACK"} else None)
    return seen


def creating(entry: Entry) -> Callable[[Transaction], None]:
    return lambda tx: tx.entries.create(entry)


async def names(store: SqlStore) -> list[str]:
    return [entry.id for entry in (await store.read(lambda tx: tx.entries.find(ALL, Page())))[0]]


async def test_what_is_submitted_together_is_committed_together(store: SqlStore, make_entry: MakeEntry) -> None:
    seen = commits(store)
    await asyncio.gather(*[store.write(creating(make_entry(f"e{n}"))) for n in range(MAX_GROUP)])
    assert seen == ["COMMIT"]


async def test_what_waits_during_a_commit_makes_the_next_group(store: SqlStore, make_entry: MakeEntry) -> None:
    seen = commits(store)
    await asyncio.gather(*[store.write(creating(make_entry(f"e{n}"))) for n in range(MAX_GROUP + 1)])
    assert seen == ["COMMIT", "COMMIT"]
    assert await names(store) == [f"e{n}" for n in range(MAX_GROUP + 1)]


class TestFullDisk:
    """The database may not grow; SQLite then answers as on a full disk."""

    @pytest.fixture
    def full(self, store: SqlStore) -> Callable[[], None]:
        def fill() -> None:
            pages = raw(store).execute("PRAGMA page_count").fetchone()[0]
            raw(store).execute(f"PRAGMA max_page_count = {pages}")

        return fill

    async def write_until_refused(self, store: SqlStore, make_entry: MakeEntry) -> tuple[list[str], AssayError]:
        told: list[str] = []
        while True:
            name = f"e{len(told)}"
            try:
                await store.write(creating(make_entry(name, hint="x" * 1000)))
            except AssayError as error:
                return told, error
            told.append(name)

    async def test_a_refusal_says_what_to_do(
        self, store: SqlStore, full: Callable[[], None], make_entry: MakeEntry
    ) -> None:
        full()
        _, error = await self.write_until_refused(store, make_entry)
        assert isinstance(error, UnavailableError)
        assert error.message == "the database is full: database or disk is full"
        assert "free space" in error.hint

    async def test_what_was_acknowledged_is_there_and_nothing_else(
        self, store: SqlStore, full: Callable[[], None], make_entry: MakeEntry
    ) -> None:
        full()
        told, _ = await self.write_until_refused(store, make_entry)
        assert await names(store) == told
        assert store.sequence == len(told) == await store.read(lambda tx: tx.changes.latest())

    async def test_writes_go_on_when_there_is_space_again(
        self, store: SqlStore, full: Callable[[], None], make_entry: MakeEntry
    ) -> None:
        full()
        told, _ = await self.write_until_refused(store, make_entry)
        raw(store).execute("PRAGMA max_page_count = 1000000")
        await store.write(creating(make_entry("after")))
        assert await names(store) == [*told, "after"]
        assert store.sequence == len(told) + 1

    async def test_a_function_that_fills_the_disk_fails_its_group_and_nothing_of_it_is_stored(
        self, store: SqlStore, full: Callable[[], None], make_entry: MakeEntry
    ) -> None:
        """SQLite then undoes the whole transaction: whoever had succeeded in it must not be told so."""
        full()
        results = await asyncio.gather(
            store.write(creating(make_entry("small"))),
            store.write(creating(make_entry("large", hint="x" * 1_000_000))),
            store.write(creating(make_entry("last"))),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [UnavailableError] * 3
        assert await names(store) == []
        await store.write(creating(make_entry("small")))
        assert store.sequence == 1


class TestFailedCommit:
    """An open deferred foreign key violation makes COMMIT itself fail, after every function has succeeded."""

    ORPHAN = "INSERT INTO entry_dns_names VALUES (999, 0, 'x')"

    def orphan(self, store: SqlStore) -> Callable[[Transaction], None]:
        def work(_: Transaction) -> None:
            raw(store).execute("PRAGMA defer_foreign_keys = ON")
            raw(store).execute(self.ORPHAN)

        return work

    async def test_it_fails_all_of_the_group_and_nothing_is_stored(
        self, store: SqlStore, make_entry: MakeEntry
    ) -> None:
        results = await asyncio.gather(
            store.write(creating(make_entry("a"))),
            store.write(self.orphan(store)),
            store.write(creating(make_entry("b"))),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [sqlite3.IntegrityError] * 3
        assert await names(store) == []
        assert store.sequence == 0

    async def test_the_next_group_is_not_touched_by_it(self, store: SqlStore, make_entry: MakeEntry) -> None:
        with pytest.raises(sqlite3.IntegrityError):
            await store.write(self.orphan(store))
        await store.write(creating(make_entry("next")))
        assert await names(store) == ["next"]
        assert store.sequence == 1


async def test_a_database_locked_by_an_operators_tool_is_unavailable(store: SqlStore, make_entry: MakeEntry) -> None:
    raw(store).execute("PRAGMA busy_timeout = 0")
    tool = sqlite3.connect(raw(store).execute("PRAGMA database_list").fetchone()[2], isolation_level=None)
    tool.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked by another program"):
        await store.write(creating(make_entry("a")))
    assert await names(store) == []
    tool.execute("ROLLBACK")
    tool.close()
    await store.write(creating(make_entry("a")))
    assert await names(store) == ["a"]


async def test_a_transaction_that_sqlite_undid_itself_fails_all_of_the_group(
    store: SqlStore, make_entry: MakeEntry
) -> None:
    """Some faults (full disk, I/O) roll everything back at once: those that had succeeded must not be acknowledged."""

    def undone(_: Transaction) -> None:
        raw(store).execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    results = await asyncio.gather(store.write(creating(make_entry("a"))), store.write(undone), return_exceptions=True)
    assert [type(result) for result in results] == [sqlite3.OperationalError] * 2
    assert await names(store) == []
    await store.write(creating(make_entry("b")))
    assert store.sequence == 1


async def test_a_mark_that_cannot_be_written_does_not_fail_what_was_committed(
    store: SqlStore, make_entry: MakeEntry
) -> None:
    mark = store._pipeline._group._mark
    fd, mark._fd = mark._fd, -1
    await store.write(creating(make_entry("a")))
    mark._fd = fd
    assert await names(store) == ["a"]
