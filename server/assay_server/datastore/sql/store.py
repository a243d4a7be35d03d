"""The store: one writer, a few readers, and a signal after every commit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from assay.clock import Clock
from assay.errors import AssayError
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.changes import KEPT_CHANGES
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.creation import make_folder
from assay_server.datastore.sql.faults import refusal
from assay_server.datastore.sql.incarnation import Mark, MarkFile
from assay_server.datastore.sql.location import inspect
from assay_server.datastore.sql.lock import Lock
from assay_server.datastore.sql.opening import Opened, open_database
from assay_server.datastore.sql.pipeline import Group, Pipeline
from assay_server.datastore.sql.readers import READERS, Readers
from assay_server.datastore.sql.transaction import SqlTransaction

T = TypeVar("T")


class SqlStore:
    """Implements base.Store; belongs to the loop it was opened in."""

    def __init__(self, opened: Opened, readers: Readers, group: Group, lock: Lock, mark_file: MarkFile) -> None:
        self._opened = opened
        self._readers = readers
        self._lock = lock
        self._mark_file = mark_file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="datastore-writer")
        self._pipeline = Pipeline(group, self._thread, self._committed)
        self._sequence = opened.sequence
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def incarnation(self) -> str:
        """Random name of this database; a restored backup gets a new one."""
        return self._opened.incarnation

    @property
    def sequence(self) -> int:
        """The latest committed sequence; no acknowledged write is after it."""
        return self._sequence

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run in a read transaction: one consistent view, no waiting for writers."""
        return await self._readers.run(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run in a write transaction; returns after the commit is durable."""
        value: T = await self._pipeline.submit(work)
        return value

    async def watch(self) -> AsyncIterator[int]:
        """Yield the latest sequence at once and after every commit that changed it, until the store is closed."""
        seen = -1
        while not self._closed:
            if self._sequence == seen:
                await self._changed.wait()
            else:
                seen = self._sequence
                yield seen

    async def close(self) -> None:
        """Finish what was taken, refuse what comes, give the files back."""
        if self._closed:
            return
        await self._pipeline.close()
        self._closed = True
        self._wake()
        await self._readers.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._release)
        self._thread.shutdown()

    def _release(self) -> None:
        self._opened.connection.close()
        self._mark_file.write(Mark(self.incarnation, self._sequence, self._mark_file.changed_at()))
        self._mark_file.close()
        self._lock.release()

    def _committed(self, sequence: int) -> None:
        if sequence != self._sequence:
            self._sequence = sequence
            self._mark_file.write(Mark(self.incarnation, sequence))
            self._wake()

    def _wake(self) -> None:
        # An event for each commit: a follower that comes late waits for the next one.
        self._changed.set()
        self._changed = asyncio.Event()


async def open_store(path: Path, *, clock: Clock, keep_changes: int = KEPT_CHANGES) -> SqlStore:
    """Open the database at `path`, making it if there is none; `keep_changes` bounds the change sequence.

    Raises:
        FailedPreconditionError: the file is SPIRE's or another program's, newer than this code, damaged, or in use.
        UnavailableError: the file system refuses.
    """
    opened, readers, group, lock, mark_file = await asyncio.to_thread(_open, path, clock, keep_changes)
    return SqlStore(opened, readers, group, lock, mark_file)


def _open(path: Path, clock: Clock, keep_changes: int) -> tuple[Opened, Readers, Group, Lock, MarkFile]:
    inspect(path)  # before anything is written beside a foreign file
    make_folder(path)
    lock = Lock(path)
    mark_file = MarkFile(path)
    try:
        opened = open_database(path, mark_file)
        readers = Readers([_reader(path, clock, keep_changes) for _ in range(READERS)])
    except Exception as error:
        mark_file.close()
        lock.release()
        if not isinstance(error, AssayError) and (refused := refusal(error)):
            raise refused from error
        raise
    transaction = SqlTransaction(opened.connection, clock, keep_changes=keep_changes)
    return opened, readers, Group(opened.connection, transaction, opened.sequence), lock, mark_file


def _reader(path: Path, clock: Clock, keep_changes: int) -> tuple[Connection, SqlTransaction]:
    connection = Connection(path, read_only=True)
    return connection, SqlTransaction(connection, clock, keep_changes=keep_changes)
