"""One process at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.lock import Lock
from assay_server.datastore.sql.store import SqlStore, open_store

OPEN = """
import asyncio, pathlib, sys
from assay.errors import FailedPreconditionError
from assay.testing.clock import FakeClock
from assay_server.datastore.sql.store import open_store
try:
    asyncio.run(open_store(pathlib.Path(sys.argv[1]), clock=FakeClock()))
except FailedPreconditionError as error:
    sys.exit(str(error))
"""

LOCK_AND_DIE = """
import os, pathlib, sys
from assay_server.datastore.sql.lock import Lock
Lock(pathlib.Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_a_second_process_is_refused_and_told_who_holds_it(store: SqlStore, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", OPEN, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"is in use by the process {os.getpid()}; stop that server first" in done.stderr
    assert store.sequence == 0


async def test_a_second_store_in_the_same_process_is_refused_too(store: SqlStore, path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="is in use by the process"):
        await open_store(path, clock=FakeClock())
    assert await store.read(lambda tx: tx.changes.latest()) == 0


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOCK_AND_DIE, tmp_path / "db"], check=False)
    assert done.returncode == -signal.SIGKILL
    Lock(tmp_path / "db").release()


def test_a_holder_that_wrote_no_name_is_unknown(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "db")
    (tmp_path / "db.lock").write_text("")
    with pytest.raises(FailedPreconditionError, match="by the process unknown"):
        Lock(tmp_path / "db")
    lock.release()
