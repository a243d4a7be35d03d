"""The store: one writer, a few readers, and a signal after every commit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from assay.clock import Clock
from assay_server.datastore.base import ChangeKind, Transaction, Written
from assay_server.datastore.recent import RECENT_CHANGES, Recent
from assay_server.datastore.sql.changes import KEPT_CHANGES
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.creation import make_folder
from assay_server.datastore.sql.faults import refusal
from assay_server.datastore.sql.incarnation import MarkFile
from assay_server.datastore.sql.location import inspect
from assay_server.datastore.sql.lock import Lock
from assay_server.datastore.sql.opening import Opened, open_database
from assay_server.datastore.sql.pipeline import Group, Pipeline
from assay_server.datastore.sql.readers import READERS, Reader, Readers
from assay_server.datastore.sql.release import THIS_RELEASE, Release
from assay_server.datastore.sql.transaction import SqlTransaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to open; `keep_changes` bounds how many changes stay readable."""

    clock: Clock
    keep_changes: int
    release: Release


class SqlStore:
    """Implements base.Store; belongs to the loop it was made in. `resources` are given back by `close`."""

    def __init__(self, opened: Opened, group: Group, readers: Readers, resources: ExitStack, recent: Recent) -> None:
        self._incarnation = opened.position.incarnation
        self._sequence = opened.position.sequence
        self._recent = recent
        self._readers = readers
        self._resources = resources
        self._pipeline = Pipeline(group, self._committed)
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def incarnation(self) -> str:
        """Random name of this database; a restored backup gets a new one."""
        return self._incarnation

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

    def recent(self, sequence: int) -> Sequence[Written] | None:
        """What was committed after that sequence, from memory; None when memory does not reach back."""
        return self._recent.since(sequence)

    def newest(self, kind: ChangeKind, object_id: str) -> Written | None:
        """The object's last change, if that is in memory."""
        return self._recent.find(kind, object_id)

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
        self._closed = True
        self._wake()
        await self._pipeline.close()
        await self._readers.close()
        await asyncio.to_thread(self._resources.close)

    def _committed(self, sequence: int, written: Sequence[Written]) -> None:
        self._recent.add(written)
        if sequence != self._sequence:
            self._sequence = sequence
            self._wake()

    def _wake(self) -> None:
        # An event for each commit: a follower that comes late waits for the next one.
        self._changed.set()
        self._changed = asyncio.Event()


async def open_store(
    path: Path, *, clock: Clock, keep_changes: int = KEPT_CHANGES, release: Release = THIS_RELEASE
) -> SqlStore:
    """Open the database at `path`, making it if there is none.

    `keep_changes` bounds the change sequence. Beside the database lie `.lock` (one process at a time), `.mark`
    (incarnation.py) and SQLite's `-wal` and `-shm`.

    Raises:
        FailedPreconditionError: the file is SPIRE's or another program's, too new for this code, damaged, or in use.
        UnavailableError: the file system refuses.
    """
    settings = Settings(clock, keep_changes, release)
    opened, group, readers, resources = await asyncio.to_thread(_open, path, settings)
    recent = Recent(opened.position.sequence, min(RECENT_CHANGES, keep_changes))
    return SqlStore(opened, group, Readers(readers), resources, recent)


def _open(path: Path, settings: Settings) -> tuple[Opened, Group, list[Reader], ExitStack]:
    with ExitStack() as resources:
        try:
            inspect(path)  # before anything is written beside a foreign file
            make_folder(path)
            resources.callback(Lock(path).release)
            mark_file = MarkFile(path)
            resources.callback(mark_file.close)
            opened = open_database(path, mark_file, settings.release)
            group, readers = _connect(path, opened, mark_file, settings, resources)
        except Exception as error:
            if refused := refusal(error):
                raise refused from error
            raise
        return opened, group, readers, resources.pop_all()


def _connect(
    path: Path, opened: Opened, mark_file: MarkFile, settings: Settings, resources: ExitStack
) -> tuple[Group, list[Reader]]:
    transaction = SqlTransaction(opened.connection, settings.clock, keep_changes=settings.keep_changes)
    group = Group(opened.connection, transaction, mark_file, opened.position)
    resources.callback(lambda: mark_file.write(replace(group.position, closed_at=mark_file.changed_at())))
    resources.callback(opened.connection.close)
    return group, [_reader(path, settings, resources) for _ in range(READERS)]


def _reader(path: Path, settings: Settings, resources: ExitStack) -> Reader:
    connection = Connection(path, read_only=True)
    resources.callback(connection.close)
    return connection, SqlTransaction(connection, settings.clock, keep_changes=settings.keep_changes)
