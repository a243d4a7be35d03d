"""A process that makes stores and writes to them until it is killed; the test speaks to it line by line.

`PATH PREFIX` on standard input starts a writer (a fork: the imports are done once) whose process ID is answered, and
then a line for each acknowledged function. `end` ends the process.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import structlog

from assay.clock import SystemClock
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import open_store

PARENT = SpiffeId.parse("spiffe://example.org/agent")
ENTRIES_A_FUNCTION = 5
WRITERS = 8


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for line in sys.stdin:
        if line == "end\n":
            return
        path, prefix = line.split()
        pid = os.fork()
        if pid == 0:
            asyncio.run(write_until_killed(Path(path), prefix))
        say(str(pid))
        os.waitpid(pid, 0)
        say("killed")


async def write_until_killed(path: Path, prefix: str) -> None:
    store = await open_store(path, clock=SystemClock())
    numbers = count()

    async def writer() -> None:
        for number in numbers:
            name = f"{prefix}-{number}"
            await store.write(creating(name))
            say(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writer())


def creating(name: str) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for entry in entries(name):
            tx.entries.create(entry)

    return work


def entries(name: str) -> Iterator[Entry]:
    for number in range(ENTRIES_A_FUNCTION):
        entry_id = f"{name}.{number}"
        yield Entry(
            id=entry_id,
            spiffe_id=SpiffeId(TrustDomain("example.org"), f"/{entry_id}"),
            parent_id=PARENT,
            selectors=(Selector("unix", f"uid:{number}"), Selector("unix", f"user:{name}")),
        )


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    main()
