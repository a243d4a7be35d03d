"""From a path to a database that is ours, of this code's schema and continuing its own history."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from assay.errors import FailedPreconditionError
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.creation import create
from assay_server.datastore.sql.incarnation import Mark, MarkFile, is_continued, new_incarnation
from assay_server.datastore.sql.location import Found, inspect
from assay_server.datastore.sql.release import Release
from assay_server.datastore.sql.text import database as sql

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """The writer's connection and the position it starts from."""

    connection: Connection
    position: Mark


def open_database(path: Path, mark_file: MarkFile, release: Release) -> Opened:
    """Create it if there is none, upgrade it if it is older; the caller holds the lock.

    Raises:
        FailedPreconditionError: it is not ours, damaged, or belongs to a newer release that this one cannot replace.
    """
    if inspect(path) is Found.NOTHING:
        create(path, release)
        log.info("Datastore created", path=str(path))
    changed_at = mark_file.changed_at()  # what is done from here on must not look like a restored copy
    if _version(path, release) < release.version:
        from assay_server.datastore.sql.upgrade import upgrade  # noqa: PLC0415 - Alembic is loaded only where needed

        upgrade(path, release)
    connection = Connection(path)
    try:
        connection.raw.execute("PRAGMA journal_mode = WAL")
        return Opened(connection, _position(connection, mark_file, changed_at))
    except BaseException:
        connection.close()
        raise


def _version(path: Path, release: Release) -> int:
    connection = Connection(path)
    try:
        row = connection.row(sql.VERSION)
    finally:
        connection.close()
    if row is None:
        raise FailedPreconditionError(f"the database {path} has no version", hint="restore it from a backup")
    version, compatible_from = row
    if compatible_from > release.version:
        raise FailedPreconditionError(
            f"the database {path} has schema version {version}, which releases before version {compatible_from} "
            f"cannot use; this one knows version {release.version}",
            hint="run the newer release again, or restore a backup made before the upgrade",
        )
    return int(version)


def _position(connection: Connection, mark_file: MarkFile, changed_at: int) -> Mark:
    incarnation, sequence = connection.rows(sql.POSITION)[0]
    if not is_continued(mark_file.read(), incarnation, sequence, changed_at):
        incarnation = new_incarnation()
        connection.run(sql.RENAME, {"name": incarnation})
    position = Mark(incarnation, sequence)
    mark_file.write(position)
    return position
