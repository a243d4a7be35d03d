"""Making a new database: complete under another name first, so that a crash leaves nothing half made."""

import os
from pathlib import Path

from assay.files import sync_folder
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.incarnation import new_incarnation
from assay_server.datastore.sql.release import APPLICATION_ID, Release
from assay_server.datastore.sql.text import database as sql


def make_folder(path: Path) -> None:
    """The database's folder, 0700 if it is new; one that exists keeps its mode."""
    if not path.parent.exists():
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700)


def create(path: Path, release: Release) -> None:
    """An empty database at `path`, 0600, of the present schema."""
    draft = path.with_name(f"{path.name}.new")
    for leftover in (draft, draft.with_name(f"{draft.name}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = Connection(draft)
    try:
        _fill(connection, release)
    finally:
        connection.close()
    draft.replace(path)
    sync_folder(path.parent)


def _fill(connection: Connection, release: Release) -> None:
    connection.raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.raw.execute("BEGIN")
    for statement in sql.TABLES:
        connection.raw.execute(statement)
    connection.run(sql.INSERT_COUNTER, {"id": 1, "value": 0})
    version = {"schema_version": release.version, "compatible_from": release.compatible_from}
    connection.run(sql.INSERT_META, {"id": 1, **version, "incarnation": new_incarnation()})
    connection.run(sql.INSERT_REVISION, {"version_num": release.revision})
    connection.raw.execute("COMMIT")
