"""What a write costs, by how its transaction is executed (docs/adr/0001). All ways: python -m bench.store [--entries N]

One entry is: look for a duplicate, read the counter, insert the entry, two selectors and a change, raise the counter.
Every way does so on the same schema with the same pragmas, in transactions of 1, 8 and 200 entries, one after another.
CPU is that of all threads; wall time has the disk's sync in it. Ways that need aiosqlite are left out without it.
"""

import argparse
import asyncio
import hashlib
import importlib
import importlib.util
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, StaticPool, bindparam, create_engine, insert, select, update
from sqlalchemy.dialects import sqlite

from assay.clock import SystemClock
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import EntryFilter, Page, Transaction
from assay_server.datastore.sql.schema import changes, counter, entries, entry_selectors
from assay_server.datastore.sql.store import open_store
from bench.figure import Figure

Write = Callable[[Sequence[int]], Awaitable[None]]
Way = Callable[[Path], AbstractAsyncContextManager[Write]]

GROUPS = (1, 8, 200)
PRAGMAS = ("PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")

SAME = select(entries.c.entry_id).where(entries.c.likeness == bindparam("wanted"))
LATEST = select(counter.c.value)
INSERT_ENTRY, INSERT_SELECTOR, INSERT_CHANGE = insert(entries), insert(entry_selectors), insert(changes)
ADVANCE = update(counter).values(value=bindparam("latest"))
ALL = (SAME, LATEST, INSERT_ENTRY, INSERT_SELECTOR, INSERT_CHANGE, ADVANCE)
TEXT = {statement: str(statement.compile(dialect=sqlite.dialect(paramstyle="named"))) for statement in ALL}


def entry_row(number: int, position: int) -> dict[str, Any]:
    spiffe_id = f"spiffe://example.org/workload/{number}"
    numbers = ("x509_svid_ttl", "jwt_svid_ttl", "expires_at", "revision", "created_at")
    flags = ("admin", "downstream", "store_svid", "disable_x509_svid_prefetch", "jwt_svid_include_jti")
    return {
        "position": position,
        "entry_id": f"e{number}",
        "spiffe_id": spiffe_id,
        "parent_id": "spiffe://example.org/agent",
        "likeness": hashlib.sha256(spiffe_id.encode()).digest(),
        "hint": "",
        **dict.fromkeys(numbers, 0),
        **dict.fromkeys(flags, False),
    }


def selector_rows(position: int) -> list[dict[str, Any]]:
    return [{"entry": position, "type": "unix", "value": f"{kind}:{position}"} for kind in ("gid", "uid")]


def change_row(number: int, position: int) -> dict[str, Any]:
    return {"seq": position, "kind": "entry", "object_id": f"e{number}", "at": 0}


def by_core(connection: Connection, numbers: Sequence[int]) -> None:
    for number in numbers:
        position = int(connection.execute(LATEST).scalar_one()) + 1
        row = entry_row(number, position)
        connection.execute(SAME, {"wanted": row["likeness"]}).first()
        connection.execute(INSERT_ENTRY, row)
        connection.execute(INSERT_SELECTOR, selector_rows(position))
        connection.execute(INSERT_CHANGE, change_row(number, position))
        connection.execute(ADVANCE, {"latest": position})


def by_hand(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for number in numbers:
        position = int(connection.execute(TEXT[LATEST]).fetchone()[0]) + 1
        row = entry_row(number, position)
        connection.execute(TEXT[SAME], {"wanted": row["likeness"]}).fetchone()
        connection.execute(TEXT[INSERT_ENTRY], row)
        connection.executemany(TEXT[INSERT_SELECTOR], selector_rows(position))
        connection.execute(TEXT[INSERT_CHANGE], change_row(number, position))
        connection.execute(TEXT[ADVANCE], {"latest": position})
    connection.execute("COMMIT")


@asynccontextmanager
async def sqlalchemy_async(path: Path) -> AsyncIterator[Write]:
    """SQLAlchemy's async layer over aiosqlite, a statement at a time."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - needs aiosqlite and greenlet

    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=StaticPool)
    async with engine.connect() as connection:
        for pragma in PRAGMAS:
            await connection.exec_driver_sql(pragma)
        await connection.commit()

        async def write(numbers: Sequence[int]) -> None:
            for number in numbers:
                position = int((await connection.execute(LATEST)).scalar_one()) + 1
                row = entry_row(number, position)
                (await connection.execute(SAME, {"wanted": row["likeness"]})).first()
                await connection.execute(INSERT_ENTRY, row)
                await connection.execute(INSERT_SELECTOR, selector_rows(position))
                await connection.execute(INSERT_CHANGE, change_row(number, position))
                await connection.execute(ADVANCE, {"latest": position})
            await connection.commit()

        yield write
    await engine.dispose()


@asynccontextmanager
async def aiosqlite_statements(path: Path) -> AsyncIterator[Write]:
    """aiosqlite with compiled Core statements, a statement at a time: what its public interface offers."""
    aiosqlite = importlib.import_module("aiosqlite")  # may be missing

    async with aiosqlite.connect(path, isolation_level=None) as connection:
        for pragma in PRAGMAS:
            await connection.execute(pragma)

        async def write(numbers: Sequence[int]) -> None:
            await connection.execute("BEGIN IMMEDIATE")
            for number in numbers:
                [(latest,)] = await connection.execute_fetchall(TEXT[LATEST])
                row = entry_row(number, latest + 1)
                await connection.execute_fetchall(TEXT[SAME], {"wanted": row["likeness"]})
                await connection.execute(TEXT[INSERT_ENTRY], row)
                await connection.executemany(TEXT[INSERT_SELECTOR], selector_rows(latest + 1))
                await connection.execute(TEXT[INSERT_CHANGE], change_row(number, latest + 1))
                await connection.execute(TEXT[ADVANCE], {"latest": latest + 1})
            await connection.commit()

        yield write


@asynccontextmanager
async def aiosqlite_function(path: Path) -> AsyncIterator[Write]:
    """aiosqlite as the owner of thread and connection, a whole function in one hop: by its private methods only."""
    aiosqlite = importlib.import_module("aiosqlite")  # may be missing

    async with aiosqlite.connect(path, isolation_level=None) as connection:
        for pragma in PRAGMAS:
            await connection.execute(pragma)

        async def write(numbers: Sequence[int]) -> None:
            await connection._execute(by_hand, connection._conn, numbers)  # noqa: SLF001 - that is the finding

        yield write


@asynccontextmanager
async def core_function(path: Path) -> AsyncIterator[Write]:
    """SQLAlchemy's own execution of Core statements, a whole function in one hop."""
    raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        raw.execute(pragma)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    loop = asyncio.get_running_loop()

    def run(numbers: Sequence[int]) -> None:
        with connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            by_core(connection, numbers)

    async def write(numbers: Sequence[int]) -> None:
        await loop.run_in_executor(thread, run, numbers)

    with ThreadPoolExecutor(1) as thread, engine.connect() as connection:
        yield write
    raw.close()


@asynccontextmanager
async def compiled_function(path: Path) -> AsyncIterator[Write]:
    """Core statements compiled once and run by sqlite3, a whole function in one hop: the floor for the store."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    loop = asyncio.get_running_loop()

    async def write(numbers: Sequence[int]) -> None:
        await loop.run_in_executor(thread, by_hand, connection, numbers)

    with ThreadPoolExecutor(1) as thread:
        yield write
    connection.close()


@asynccontextmanager
async def the_store(path: Path) -> AsyncIterator[Write]:
    """The store itself: entries are values, functions are isolated by savepoints, the group's mark is written."""
    store = await open_store(path, clock=SystemClock())

    async def write(numbers: Sequence[int]) -> None:
        await store.write(creating(numbers))

    yield write
    await store.close()


@asynccontextmanager
async def the_store_grouping(path: Path) -> AsyncIterator[Write]:
    """The store, where every entry comes in a function of its own, submitted at once: group commit."""
    store = await open_store(path, clock=SystemClock())

    async def write(numbers: Sequence[int]) -> None:
        await asyncio.gather(*[store.write(creating([number])) for number in numbers])

    yield write
    await store.close()


def creating(numbers: Sequence[int]) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for number in numbers:
            entry = an_entry(number)
            tx.entries.find_same(entry.spiffe_id, entry.parent_id, entry.selectors)
            tx.entries.create(entry)

    return work


def an_entry(number: int) -> Entry:
    return Entry(
        id=f"e{number}",
        spiffe_id=SpiffeId(TrustDomain("example.org"), f"/workload/{number}"),
        parent_id=SpiffeId(TrustDomain("example.org"), "/agent"),
        selectors=(Selector("unix", f"gid:{number}"), Selector("unix", f"uid:{number}")),
    )


NEED_AIOSQLITE: dict[str, Way] = {
    "SQLAlchemy async, a statement at a time": sqlalchemy_async,
    "aiosqlite, a statement at a time": aiosqlite_statements,
    "aiosqlite, a function (private API)": aiosqlite_function,
}
WAYS: dict[str, Way] = {
    "Core's execution, a function": core_function,
    "compiled Core on sqlite3, a function": compiled_function,
    "the store, one function": the_store,
    "the store, a function an entry": the_store_grouping,
}


async def measure(way: Way, group: int, count: int) -> tuple[float, float]:
    """Milliseconds of CPU and of wall time an entry."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data" / "db"
        await (await open_store(path, clock=SystemClock())).close()
        async with way(path) as write:
            for warm in range(5):
                await write([-warm - 1])
            cpu, wall = time.process_time(), time.perf_counter()
            for start in range(0, count, group):
                await write(range(start, start + group))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return 1000 * cpu / count, 1000 * wall / count


async def reading(count: int) -> float:
    """Microseconds of CPU to list one entry."""
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder) / "data" / "db", clock=SystemClock())
        await store.write(creating(range(count)))
        cpu = time.process_time()
        found, _ = await store.read(lambda tx: tx.entries.find(EntryFilter(), Page()))
        cpu = time.process_time() - cpu
        await store.close()
    return 1e6 * cpu / len(found)


def figures() -> Iterator[Figure]:
    """The store's own ways against compiled statements on sqlite3."""
    for group in GROUPS:
        count = 10 * group + 100
        floor, _ = asyncio.run(measure(compiled_function, group, count))
        for name, way in (("the store, one function", the_store), ("the store, a function each", the_store_grouping)):
            cpu, wall = asyncio.run(measure(way, group, count))
            title = f"{name}, {group} at once, an entry"
            yield Figure(title, 1000 / wall, 1000 * cpu, "statements on sqlite3", 1000 * floor)
    listing = asyncio.run(reading(1000))
    yield Figure("the store, listing an entry", 1e6 / listing, listing)


async def run(count: int) -> None:
    known = importlib.util.find_spec("aiosqlite") and importlib.util.find_spec("greenlet")
    print(f"{'ms of CPU (wall) an entry, in transactions of':48}" + "".join(f"{group:>18}" for group in GROUPS))
    for name, way in ((NEED_AIOSQLITE if known else {}) | WAYS).items():
        figures = [await measure(way, group, count if group > 1 else count // 4) for group in GROUPS]
        print(f"{name:48}" + "".join(f"{f'{cpu:.3f} ({wall:.3f})':>18}" for cpu, wall in figures), flush=True)
    print(f"listing: {await reading(count):.1f} µs of CPU an entry")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=2000)
    asyncio.run(run(parser.parse_args().entries))


if __name__ == "__main__":
    main()
