"""Whether a file may be opened as our database, decided from its bytes so that a foreign one is left as it is."""

import sqlite3
from enum import Enum
from pathlib import Path

from assay.errors import FailedPreconditionError
from assay_server.datastore.sql.release import APPLICATION_ID

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_APPLICATION_ID = slice(68, 72)
_SPIRE_TABLES = frozenset({"registered_entries", "attested_node_entries", "migrations"})


class Found(Enum):
    """What is at the path."""

    NOTHING = "nothing"
    OURS = "ours"


def inspect(path: Path) -> Found:
    """Look without touching.

    Raises:
        FailedPreconditionError: something is there that is not ours, or a log without its database.
        OSError: it cannot be read.
    """
    if path.is_dir():
        raise FailedPreconditionError(f"{path} is a folder", hint="name a file for the database")
    header = _header(path)
    if not header:
        _check_no_log(path)
        return Found.NOTHING
    if not header.startswith(_MAGIC):
        raise FailedPreconditionError(
            f"{path} is not a SQLite database", hint="choose another path; the file has been left as it is"
        )
    if int.from_bytes(header[_APPLICATION_ID]) != APPLICATION_ID:
        raise _foreign(path)
    return Found.OURS


def _header(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return b""


def _check_no_log(path: Path) -> None:
    # SQLite would replay the log of a lost database into a new one.
    for log in (path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-journal")):
        if log.exists():
            raise FailedPreconditionError(
                f"{log} is there without its database", hint="restore the database, or remove the log to start anew"
            )


def _foreign(path: Path) -> FailedPreconditionError:
    if _tables(path) >= _SPIRE_TABLES:
        return FailedPreconditionError(
            f"{path} is a SPIRE database and has been left as it is",
            hint="choose another path; `assay import spire`, which will take its contents over, is not built yet",
        )
    return FailedPreconditionError(
        f"{path} is a SQLite database of another program and has been left as it is",
        hint="choose another path; `assay import spire`, for a database of SPIRE's, is not built yet",
    )


def _tables(path: Path) -> set[str]:
    # Immutable: SQLite takes no lock and makes no file beside it.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return set()
    finally:
        connection.close()
