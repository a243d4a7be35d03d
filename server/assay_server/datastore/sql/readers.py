"""Readers: a few connections beside the writer's, each read in one transaction and so from one snapshot."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from assay.errors import UnavailableError
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.faults import refusal
from assay_server.datastore.sql.threads import Threads
from assay_server.datastore.sql.transaction import SqlTransaction

T = TypeVar("T")

Reader = tuple[Connection, SqlTransaction]

READERS = 2
"""So that a long listing does not hold up every other read; more would only wait for the interpreter lock."""


class Readers:
    """Runs read functions in threads of their own, as many at once as there are connections."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._threads = Threads("datastore-reader", list(readers))
        self._closed = False

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """What the function returns or raises."""
        if self._closed:
            raise UnavailableError("the datastore is closed")
        value: T = await self._threads.run(lambda reader: _in_snapshot(*reader, work))
        return value

    async def close(self) -> None:
        """Take nothing more and wait for what runs; the connections are the caller's."""
        self._closed = True
        await self._threads.close()


def _in_snapshot(connection: Connection, transaction: SqlTransaction, work: Callable[[Transaction], T]) -> T:
    try:
        connection.raw.execute("BEGIN")
        transaction.changes.begin()
        return work(transaction)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY:
            raise TypeError("a read function wrote") from error
        raise refusal(error) or error from error
    finally:
        if connection.raw.in_transaction:
            connection.raw.execute("ROLLBACK")
