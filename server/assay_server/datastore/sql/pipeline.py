"""The one writer: waiting functions run one after another in a thread and are committed together.

Each function of several has a savepoint, so that what it raises undoes it alone. No future is resolved before the
commit is on disk; when the commit fails, all of the group failed.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from assay.errors import UnavailableError
from assay_server.datastore.base import Transaction, Written
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.faults import refusal
from assay_server.datastore.sql.incarnation import Mark, MarkFile
from assay_server.datastore.sql.threads import Threads
from assay_server.datastore.sql.transaction import SqlTransaction

log = structlog.get_logger(__name__)

Work = Callable[[Transaction], Any]
Committed = Callable[[int, Sequence[Written]], None]
"""Is told the sequence after a group and what it wrote, before anybody is told that it is durable."""

MAX_GROUP = 128
"""How many functions share a commit: bounds how long the first one waits for the last."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one function."""

    value: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """What came of each function of a group, in order, the sequence after it and what it wrote."""

    outcomes: Sequence[Outcome]
    sequence: int
    written: Sequence[Written] = ()


class Group:
    """The thread's side: runs a group of functions on the writer's connection."""

    def __init__(self, connection: Connection, transaction: SqlTransaction, mark: MarkFile, position: Mark) -> None:
        self._connection = connection
        self._transaction = transaction
        self._mark = mark
        self.position = position

    def run(self, works: Sequence[Work]) -> GroupOutcome:
        """Run all and commit; never raises what a function or the database raised."""
        written: Sequence[Written] = ()
        try:
            outcomes, written = self._attempt(works)
        except BaseException as error:  # noqa: BLE001 - a thread that dies would leave every later writer waiting
            self._roll_back()
            outcomes = [Outcome(error=refusal(error) or error) for _ in works]
        else:
            self._remember(self._transaction.changes.latest())
        return GroupOutcome(outcomes, self.position.sequence, written)

    def _attempt(self, works: Sequence[Work]) -> tuple[list[Outcome], Sequence[Written]]:
        changes = self._transaction.changes
        self._connection.raw.execute("BEGIN IMMEDIATE")
        changes.begin(self.position.sequence)
        # Alone, a function that fails is undone with the whole transaction.
        outcomes = [Outcome(works[0](self._transaction))] if len(works) == 1 else list(map(self._isolated, works))
        written = changes.flush()
        self._connection.raw.execute("COMMIT")
        return outcomes, written

    def _isolated(self, work: Work) -> Outcome:
        execute = self._connection.raw.execute
        before = self._transaction.changes.latest()
        execute("SAVEPOINT work")
        try:
            outcome = Outcome(work(self._transaction))
        except BaseException as error:
            # A full disk may have undone the whole transaction, and with it the functions before this one.
            if not self._connection.raw.in_transaction:
                raise
            execute("ROLLBACK TO work")
            self._transaction.changes.rewind(before)
            outcome = Outcome(error=refusal(error) or error)
        execute("RELEASE work")
        return outcome

    def _roll_back(self) -> None:
        if self._connection.raw.in_transaction:
            with suppress(sqlite3.Error):  # the database is in trouble already, and says so to every writer
                self._connection.raw.execute("ROLLBACK")

    def _remember(self, sequence: int) -> None:
        if sequence == self.position.sequence:
            return
        self.position = replace(self.position, sequence=sequence)
        try:
            self._mark.write(self.position)
        except OSError as error:
            log.warning("Could not write the datastore's mark", error=str(error))


class Pipeline:
    """The loop's side: collects what waits, hands it to the thread, resolves what was committed."""

    def __init__(self, group: Group, committed: Committed) -> None:
        self._loop = asyncio.get_running_loop()
        self._group = group
        self._thread = Threads("datastore-writer", [group])
        self._committed = committed
        self._waiting: deque[tuple[Work, asyncio.Future[Any]]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def submit(self, work: Work) -> asyncio.Future[Any]:
        """Queue it; the future is resolved after the commit. Cancelled before its turn, it does not run."""
        if self._closed:
            raise UnavailableError("the datastore is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((work, future))
        if self._idle.is_set():
            self._idle.clear()
            # Not at once: what is submitted in this same round of the loop goes into the same group.
            self._loop.call_soon(self._start)
        return future

    async def close(self) -> None:
        """Take nothing more, wait for what was taken and end the thread."""
        self._closed = True
        await self._idle.wait()
        await self._thread.close()

    def _start(self) -> None:
        batch = self._take()
        if not batch:
            self._idle.set()
            return
        works = [work for work, _ in batch]
        running = self._thread.run(lambda group: group.run(works))
        running.add_done_callback(lambda done: self._finish([future for _, future in batch], done.result()))

    def _take(self) -> list[tuple[Work, asyncio.Future[Any]]]:
        batch: list[tuple[Work, asyncio.Future[Any]]] = []
        while self._waiting and len(batch) < MAX_GROUP:
            work, future = self._waiting.popleft()
            if not future.cancelled():
                batch.append((work, future))
        return batch

    def _finish(self, futures: Sequence[asyncio.Future[Any]], result: GroupOutcome) -> None:
        # Followers first: whoever is told of a write finds `watch` no older than it.
        self._committed(result.sequence, result.written)
        for future, outcome in zip(futures, result.outcomes, strict=True):
            _resolve(future, outcome)
        self._start()


def _resolve(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.cancelled():
        return
    if outcome.error is None:
        future.set_result(outcome.value)
    elif isinstance(outcome.error, StopIteration):  # a future takes none
        future.set_exception(RuntimeError("a transaction function raised StopIteration"))
    else:
        future.set_exception(outcome.error)
