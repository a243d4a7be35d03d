"""Bringing an older database up to date. Loaded only for that: Alembic costs 12 MiB of memory."""

import os
import sqlite3
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, StaticPool, create_engine, update

from assay.errors import FailedPreconditionError
from assay_server.datastore.sql.release import Release
from assay_server.datastore.sql.schema import meta

log = structlog.get_logger(__name__)

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(path: Path, release: Release) -> None:
    """Run every migration the database lacks, all in one transaction.

    Raises:
        FailedPreconditionError: a migration leaves rows that refer to missing ones.
    """
    log.info("Upgrading the datastore", path=str(path), schema_version=release.version)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Rebuilding a table drops the old one: with foreign keys on, its children would go with it.
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        run_migrations(connection, release)
    finally:
        connection.close()


def run_migrations(connection: sqlite3.Connection, release: Release) -> None:
    """Migrate in one transaction; the connection is in autocommit mode."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    # Alembic leaves alone a transaction that was begun before it came, and SQLAlchemy begins none by itself: sqlite3 is
    # expected to, before the first write, but not before the first change of the schema.
    with engine.connect() as bound, bound.begin():
        bound.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(_config(bound, release), release.revision)
        _check(bound, release)
        bound.execute(update(meta).values(schema_version=release.version, compatible_from=release.compatible_from))


def _config(bound: Connection, release: Release) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(str(folder) for folder in release.migrations))
    config.attributes["connection"] = bound
    return config


def _check(bound: Connection, release: Release) -> None:
    if orphans := bound.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
        raise FailedPreconditionError(
            f"the upgrade to schema version {release.version} would leave {len(orphans)} rows without their owner",
            hint="the database has been left as it was; run the older release and report this",
        )
