"""A process that writes until its file system takes no more, then gets more space and goes on; it reports in JSON."""

import asyncio
import json
import resource
import sys
from pathlib import Path

import structlog

from assay.clock import SystemClock
from assay.errors import UnavailableError
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.model import JoinToken

LIMIT = 400_000
"""Bytes a file may have: the write-ahead log reaches it before the database does."""


def limit_files(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


async def main(path: Path) -> None:
    store = await open_store(path, clock=SystemClock())
    limit_files(LIMIT)
    told: list[str] = []
    errors: list[UnavailableError] = []
    while not errors:
        errors = await write_group(store, told)
    limit_files(resource.RLIM_INFINITY)
    await write_group(store, told)
    await store.close()
    print(json.dumps({"told": told, "errors": [str(error) for error in errors]}))  # noqa: T201 - the report


async def write_group(store: SqlStore, told: list[str]) -> list[UnavailableError]:
    """Ten functions at once; the names of those that were acknowledged are added to `told`."""
    names = [f"t{len(told) + number}" for number in range(10)]
    results = await asyncio.gather(*[write(store, name) for name in names], return_exceptions=True)
    told += [name for name, result in zip(names, results, strict=True) if result is None]
    return [result for result in results if isinstance(result, UnavailableError)]


async def write(store: SqlStore, name: str) -> None:
    def work(tx: Transaction) -> None:
        tx.join_tokens.create(JoinToken(name + "x" * 1000, 1))

    await store.write(work)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1])))
