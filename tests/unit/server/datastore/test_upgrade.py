"""Migrations: the same schema either way, all or nothing, and never by an older release."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import FailedPreconditionError
from assay.ledger.record import NOTHING, canonical, hash_of
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Page
from assay_server.datastore.sql.release import APPLICATION_ID, THIS_RELEASE, Release
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.datastore.sql.upgrade import run_migrations
from assay_server.model import FederationRelationship, HttpsWebProfile, JoinToken
from assay_server.model.governed.event import Event, EventType

MakeEntry = Callable[..., Entry]

A_ORG = TrustDomain("a.org")

ADD_COLUMN = """
from alembic import op
from sqlalchemy import Column, Text

revision = "{revision}"
down_revision = "{before}"


def upgrade():
    op.add_column("nodes", Column("{column}", Text, nullable=False, server_default="none"))
    {rest}
"""


@pytest.fixture
def next_release(tmp_path: Path) -> Callable[..., Release]:
    """The release after this one, whose migration adds a column to nodes and then does `rest`."""

    def make(*, rest: str = "") -> Release:
        folder = tmp_path / "versions"
        folder.mkdir(exist_ok=True)
        release = replace(THIS_RELEASE, version=THIS_RELEASE.version + 1)
        text = ADD_COLUMN.format(
            revision=release.revision, before=THIS_RELEASE.revision, column="colour", rest=rest or "pass"
        )
        (folder / f"v{release.revision}_colour.py").write_text(text)
        return replace(release, migrations=(*THIS_RELEASE.migrations, folder))

    return make


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def schema(path: Path) -> list[tuple[object, ...]]:
    """What SQLite knows of every table and index, without how its text was laid out."""
    rows = ask(path, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
    return [(*row[:3], " ".join(str(row[3]).split())) for row in rows]


async def fill(path: Path, entry: Entry) -> str:
    store = await open_store(path, clock=FakeClock())
    await store.write(lambda tx: tx.entries.create(entry))
    await store.close()
    return store.incarnation


async def test_migrating_and_creating_give_the_same_schema(store: SqlStore, path: Path, tmp_path: Path) -> None:
    migrated = sqlite3.connect(tmp_path / "migrated", isolation_level=None)
    run_migrations(migrated, THIS_RELEASE)
    migrated.close()
    await store.close()
    assert schema(tmp_path / "migrated") == schema(path)
    assert len(schema(path)) > 20
    stamps = "SELECT version_num FROM alembic_version"
    assert ask(tmp_path / "migrated", stamps) == ask(path, stamps) == [(THIS_RELEASE.revision,)]


FIRST_RELEASE = replace(THIS_RELEASE, version=1, compatible_from=1)
FIRST_ROWS = """
INSERT INTO counter VALUES (1, 2);
INSERT INTO meta VALUES (1, 1, 1, 'incarnation');
INSERT INTO bundles VALUES (1, 'a.org', 300, 7, '{"x509": [], "jwt": []}');
INSERT INTO join_tokens VALUES ('token', 99);
"""


@pytest.fixture
def first_database(path: Path) -> Path:
    """A database as the first release left it, with a bundle and a join token."""
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    run_migrations(connection, FIRST_RELEASE)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.executescript(FIRST_ROWS)
    connection.close()
    return path


async def test_the_first_schema_is_brought_up_to_the_present(first_database: Path, tmp_path: Path) -> None:
    store = await open_store(first_database, clock=FakeClock())
    assert store.sequence == 2
    assert await store.read(lambda tx: tx.bundles.get(A_ORG)) == Bundle(A_ORG, refresh_hint=300, sequence=7)
    assert await store.read(lambda tx: tx.join_tokens.get("token")) == JoinToken("token", 99)
    relationship = FederationRelationship(A_ORG, "https://a.org/", HttpsWebProfile())
    await store.write(lambda tx: tx.federation_relationships.put(relationship))
    assert await store.read(lambda tx: tx.federation_relationships.get(A_ORG)) == relationship
    await store.close()
    await (await open_store(tmp_path / "new", clock=FakeClock())).close()
    assert schema(first_database) == schema(tmp_path / "new")


async def test_the_first_release_refuses_the_present_schema(first_database: Path) -> None:
    await (await open_store(first_database, clock=FakeClock())).close()
    with pytest.raises(FailedPreconditionError, match=f"has schema version {THIS_RELEASE.version}"):
        await open_store(first_database, clock=FakeClock(), release=FIRST_RELEASE)


async def test_an_older_database_is_migrated_and_keeps_what_it_holds(
    path: Path, next_release: Callable[..., Release], make_entry: MakeEntry
) -> None:
    incarnation = await fill(path, make_entry("a"))
    release = next_release()
    for _ in range(2):
        store = await open_store(path, clock=FakeClock(), release=release)
        assert await store.read(lambda tx: tx.entries.get("a")) == make_entry("a")
        assert (store.incarnation, store.sequence) == (incarnation, 1)
        await store.close()
    assert ask(path, "SELECT schema_version, compatible_from FROM meta") == [(release.version, release.compatible_from)]
    assert ask(path, "SELECT version_num FROM alembic_version") == [(release.revision,)]
    assert "colour" in {name for _, name, *_ in ask(path, "PRAGMA table_info(nodes)")}


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        ("raise ZeroDivisionError", ZeroDivisionError),
        ('op.execute("DELETE FROM entries")', FailedPreconditionError),  # its selectors would be orphans
    ],
)
async def test_a_migration_that_fails_changes_nothing(
    path: Path,
    next_release: Callable[..., Release],
    make_entry: MakeEntry,
    rest: str,
    error: type[Exception],
) -> None:
    await fill(path, make_entry("a"))
    before = schema(path)
    with pytest.raises(error):
        await open_store(path, clock=FakeClock(), release=next_release(rest=rest))
    assert schema(path) == before
    store = await open_store(path, clock=FakeClock())
    assert await store.read(lambda tx: tx.entries.get("a")) == make_entry("a")
    await store.close()


async def test_a_newer_database_that_this_release_cannot_use_is_refused(
    path: Path, next_release: Callable[..., Release], make_entry: MakeEntry
) -> None:
    await fill(path, make_entry("a"))
    release = replace(next_release(), compatible_from=THIS_RELEASE.version + 1)
    await (await open_store(path, clock=FakeClock(), release=release)).close()
    with pytest.raises(FailedPreconditionError, match=f"has schema version {release.version}") as caught:
        await open_store(path, clock=FakeClock())
    assert "run the newer release again" in caught.value.hint
    store = await open_store(path, clock=FakeClock(), release=release)
    assert store.sequence == 1
    await store.close()


async def test_a_newer_database_that_this_release_can_use_is_used(
    path: Path, next_release: Callable[..., Release], make_entry: MakeEntry
) -> None:
    await fill(path, make_entry("a"))
    release = next_release()
    await (await open_store(path, clock=FakeClock(), release=release)).close()
    store = await open_store(path, clock=FakeClock())
    await store.write(lambda tx: tx.entries.create(make_entry("b")))
    assert store.sequence == 2
    await store.close()
    assert ask(path, "SELECT schema_version FROM meta") == [(release.version,)]


def test_alembic_is_not_loaded_to_make_or_open_a_database(path: Path) -> None:
    code = """
import asyncio, pathlib, sys
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.store import open_store
async def main():
    for _ in range(2):
        store = await open_store(pathlib.Path(sys.argv[1]), clock=FakeClock())
        await store.write(lambda tx: tx.join_tokens.prune(1))
        await store.close()
asyncio.run(main())
print(*[name for name in sys.modules if name.startswith(("alembic", "sqlalchemy.orm", "mako"))])
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


FOURTH_RELEASE = replace(THIS_RELEASE, version=4, compatible_from=4)
EVENT = (
    '{"type":"task.changed","at":%d,"actor":"local:0","subject":"tsk_1","task_id":"tsk_1","principal":"bot",'
    '"actor_type":"ai_agent","details":{"change":"heartbeat","é":1.5}}'
)


@pytest.fixture
def fourth_database(path: Path) -> Path:
    """A database of the release before the ledger, with more events than are linked at once, and gaps between them."""
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    run_migrations(connection, FOURTH_RELEASE)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("INSERT INTO counter VALUES (1, 9000)")
    connection.execute("INSERT INTO meta VALUES (1, 4, 4, 'incarnation')")
    rows = [(3 * number + 1, number, "task.changed", "tsk_1", "bot", EVENT % number) for number in range(2500)]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    return path


async def test_events_of_before_become_the_ledgers_first_records(fourth_database: Path, tmp_path: Path) -> None:
    store = await open_store(fourth_database, clock=FakeClock())
    event = Event(EventType.TASK_CHANGED, 9999, "local:0", "tsk_1", "tsk_1", "bot", details={"change": "resumed"})
    await store.write(lambda tx: tx.events.append(event))
    records = await store.read(lambda tx: tx.ledger.records(0, 9000))
    events, _ = await store.read(lambda tx: tx.events.find(Page(), task_id="tsk_1"))
    await store.close()
    previous = NOTHING
    for number, one in enumerate(records, start=1):
        said = json.loads(one.body)
        assert (said["number"], said["previous"], one.hash) == (number, previous, hash_of(canonical(said)))
        previous = one.hash
    assert [one.at for one in events] == [*range(2500), 9999]
    assert events[7].details == {"change": "heartbeat", "é": 1.5}
    await (await open_store(tmp_path / "new", clock=FakeClock())).close()
    assert schema(fourth_database) == schema(tmp_path / "new")


async def test_the_release_before_the_ledger_refuses_to_add_to_it(fourth_database: Path) -> None:
    await (await open_store(fourth_database, clock=FakeClock())).close()
    with pytest.raises(
        FailedPreconditionError, match="has schema version 5, which releases before version 5 cannot use"
    ):
        await open_store(fourth_database, clock=FakeClock(), release=FOURTH_RELEASE)
