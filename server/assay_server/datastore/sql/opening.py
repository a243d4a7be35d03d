"""From a path to a database that is ours, of this code's schema and continuing its own history."""

from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import bindparam, select, update

from assay.errors import FailedPreconditionError
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.creation import create
from assay_server.datastore.sql.incarnation import Mark, MarkFile, is_continued, new_incarnation
from assay_server.datastore.sql.location import Found, inspect
from assay_server.datastore.sql.schema import SCHEMA_VERSION, counter, meta

log = structlog.get_logger(__name__)

_META = select(meta.c.schema_version, meta.c.compatible_from, meta.c.incarnation)
_SEQUENCE = select(counter.c.value)
_RENAME = update(meta).values(incarnation=bindparam("name"))


@dataclass(frozen=True, slots=True)
class Opened:
    """The writer's connection and the position it starts from."""

    connection: Connection
    incarnation: str
    sequence: int


def open_database(path: Path, mark_file: MarkFile) -> Opened:
    """Create it if there is none, migrate it if it is older; the caller holds the lock."""
    if inspect(path) is Found.NOTHING:
        create(path)
        log.info("Datastore created", path=str(path))
    check_schema(path)
    connection = Connection(path)
    connection.raw.execute("PRAGMA journal_mode = WAL")
    return _identified(connection, mark_file)


def check_schema(path: Path) -> None:
    """Compare the database's schema with this code's, and migrate an older one.

    Raises:
        FailedPreconditionError: it was migrated by a newer release that this one cannot work with.
    """
    connection = Connection(path)
    try:
        row = connection.row(_META)
    finally:
        connection.close()
    if row is None:
        raise FailedPreconditionError(f"the database {path} is damaged: it has no version", hint="restore a backup")
    version, compatible_from, _ = row
    if compatible_from > SCHEMA_VERSION:
        raise FailedPreconditionError(
            f"the database {path} has schema version {version}, which needs a release that knows version "
            f"{compatible_from}; this one knows {SCHEMA_VERSION}",
            hint="run the newer release again, or restore the backup made before the upgrade",
        )


def _identified(connection: Connection, mark_file: MarkFile) -> Opened:
    row = connection.row(_META)
    incarnation = str(row[2]) if row else ""
    sequence = int(connection.rows(_SEQUENCE)[0][0])
    if not is_continued(mark_file.read(), incarnation, sequence, mark_file.changed_at()):
        incarnation = new_incarnation()
        connection.run(_RENAME, {"name": incarnation})
    mark_file.write(Mark(incarnation, sequence))
    return Opened(connection, incarnation, sequence)
