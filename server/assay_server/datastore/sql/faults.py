"""SQLite's own errors as refusals that say what to do."""

import sqlite3

from assay.errors import AssayError, FailedPreconditionError, UnavailableError

_BYTE = 0xFF  # an extended code keeps its primary code in the lowest byte

_UNAVAILABLE = {
    sqlite3.SQLITE_FULL: ("is full", "free space on its file system; nothing that was refused has been stored"),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written",
        "check its file system: free space, limits, faults of the disk",
    ),
    sqlite3.SQLITE_READONLY: ("cannot be written", "make the file and its folder writable for this user"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "check that the folder exists and is writable for this user"),
    sqlite3.SQLITE_PERM: ("cannot be opened", "check the permissions of the file and its folder"),
    sqlite3.SQLITE_BUSY: ("is locked by another program", "end the program that holds it open"),
    sqlite3.SQLITE_NOMEM: ("needs more memory than there is", "give the server more memory"),
}
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def refusal(error: BaseException) -> AssayError | None:
    """What to raise in its place; None for what is not the condition of the database or its file system."""
    if isinstance(error, OSError):
        return UnavailableError(
            f"the database's folder cannot be used: {error}", hint="check its permissions and its file system"
        )
    if not isinstance(error, sqlite3.Error):
        return None
    # Absent on errors that Python's own part of sqlite3 raises.
    code = getattr(error, "sqlite_errorcode", 0) & _BYTE
    if code in _DAMAGED:
        return FailedPreconditionError(
            f"the database is damaged: {error}", hint="restore it from a backup, or start anew with an empty one"
        )
    if code in _UNAVAILABLE:
        what, hint = _UNAVAILABLE[code]
        return UnavailableError(f"the database {what}: {error}", hint=hint)
    return None
