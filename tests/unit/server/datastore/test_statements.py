"""The texts of the statements: current, and none that runs for every call or agent reads a whole table."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

import pytest
from sqlalchemy import bindparam, select

from assay_server.datastore.sql import text
from assay_server.datastore.sql.schema import entries
from assay_server.datastore.sql.statements.__main__ import text_of
from assay_server.datastore.sql.statements.entries import UPDATE, UPDATE_UNINDEXED
from assay_server.datastore.sql.store import SqlStore

HANDFUL = {"authorities", "meta", "counter", "some"}
"""Tables of a few rows, always read whole, and what was read already of another."""

WHOLE = ("LISTING", "COUNT", "join_tokens.PRUNE", "entries.UP_TO", "entries.ANY_BINDING")
"""What may read all: an operator's question about all there is, and the pruning of what is few."""


def statements() -> Iterator[tuple[str, str]]:
    for module in iter_modules(text.__path__):
        for name, value in vars(import_module(f"{text.__name__}.{module.name}")).items():
            if name.isupper() and isinstance(value, str) and re.match("SELECT|UPDATE|DELETE|INSERT", value):
                whole = value.replace("{where}", "TRUE")
                yield f"{module.name}.{name}", whole


def listings() -> Iterator[tuple[str, str]]:
    """The listing of entries and that of nodes by each condition on what they own."""
    for module in ("entries", "nodes"):
        found = vars(import_module(f"{text.__name__}.{module}"))
        for name, value in found.items():
            if name.startswith("OF_") and isinstance(value, Mapping):
                for match, condition in value.items():
                    asked = found["LISTING"].replace("{where}", f"{found['AFTER']} AND {condition}")
                    yield f"{module}.{name}.{match}", asked


def scans(store: SqlStore, statement: str) -> list[str]:
    """Tables that it reads from end to end."""
    values = dict.fromkeys(re.findall(r":(\w+)", statement), "[1]")
    connection = store._pipeline._group._connection.raw
    plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    read = [detail.split()[1] for detail in plan if detail.startswith("SCAN") and "VIRTUAL TABLE" not in detail]
    return [table for table in read if table not in HANDFUL]


STATEMENTS, LISTINGS = dict(statements()), dict(listings())


@pytest.mark.parametrize("name", STATEMENTS)
async def test_every_statement_has_its_index(store: SqlStore, name: str) -> None:
    assert bool(scans(store, STATEMENTS[name])) == name.endswith(WHOLE)


@pytest.mark.parametrize("name", LISTINGS)
async def test_a_listing_by_what_entries_and_nodes_own_starts_from_it(store: SqlStore, name: str) -> None:
    assert scans(store, LISTINGS[name]) == []


async def test_a_statement_without_an_index_is_seen(store: SqlStore) -> None:
    assert scans(store, "SELECT entry_id FROM entries WHERE revision = :wanted") == ["entries"]


def test_an_update_that_leaves_the_indices_alone_sets_no_column_of_theirs() -> None:
    indexed = {column.name for index in entries.indexes for column in index.columns} | {"entry_id", "position"}
    every = {column.name for column in entries.columns}
    assert set(re.findall(r"(\w+)=:", text_of(UPDATE_UNINDEXED))) == every - indexed
    assert set(re.findall(r"(\w+)=:", text_of(UPDATE))) == every - {"entry_id", "position"}


def test_a_statement_that_brings_values_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="as literals"):
        text_of(select(entries.c.entry_id).where(entries.c.hint == "x"))
    assert text_of(select(entries.c.entry_id).where(entries.c.hint == bindparam("hint"))).endswith(":hint")


def test_no_store_that_is_up_to_date_loads_sqlalchemy() -> None:
    """It is a third of a server's start, and a fifth of its memory."""
    program = """
import asyncio, sys, tempfile
from pathlib import Path
from assay.clock import SystemClock
from assay_server.datastore.base import EntryFilter, Page
from assay_server.datastore.sql.store import open_store

async def main():
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder) / "db", clock=SystemClock())
        await store.read(lambda tx: tx.entries.find(EntryFilter(hint="x"), Page()))
        await store.close()
    print(sorted(name for name in sys.modules if name.startswith("sqlalchemy")))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
