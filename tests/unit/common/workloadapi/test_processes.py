"""What only a process of its own shows: imports, forks, the interpreter's exit, an interrupt."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.common.workloadapi.conftest import Elsewhere

PATIENCE = 50
HEAVY = ("sqlalchemy", "alembic", "typer", "pydantic", "uvloop", "assay_server", "assay_agent", "assay.cli")

OPENED = """
import os, sys
from assay.workloadapi import ForkedError, SourceClosedError
from assay.workloadapi.blocking import JwtSource, X509Source
source = X509Source(sys.argv[1])
source.open()
tokens = JwtSource(sys.argv[1])
tokens.open()
"""


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["assay.workloadapi", "assay.workloadapi.blocking"])
def test_an_import_brings_nothing_that_only_daemons_need(module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(script) == "[]\n"


def test_a_program_that_closes_nothing_ends(elsewhere: Elsewhere) -> None:
    assert run(OPENED + "print(source.svids()[0].spiffe_id)", elsewhere.agent.endpoint.target) == (
        "spiffe://example.org/web\n"
    )


def test_a_forked_child_is_refused_and_ends_and_its_parent_goes_on(elsewhere: Elsewhere) -> None:
    script = """
child = os.fork()
if child == 0:
    for use in (source.svid, source.bundles, lambda: tokens.fetch("db"), lambda: source.changed(0)):
        try:
            use()
        except ForkedError as error:
            print(type(error).__name__)
    source.close()
    tokens.close()
    sys.exit(7)  # with whatever is registered for the exit
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(source.svids()), flush=True)
source.close()
tokens.close()
"""
    assert run(OPENED + script, elsewhere.agent.endpoint.target) == "ForkedError\n" * 4 + "7 1\n"


def test_who_waits_can_be_interrupted(elsewhere: Elsewhere) -> None:
    script = """
import asyncio
import threading
async def until(waiting):
    while any("changed" in repr(task) for task in asyncio.all_tasks()) is not waiting:
        await asyncio.sleep(0)
def tell():
    source._background.run(lambda: until(True))
    print("waiting", flush=True)
threading.Thread(target=tell).start()
try:
    source.changed(1)
except KeyboardInterrupt:
    source._background.run(lambda: until(False))
    print("interrupted", flush=True)
"""
    command = [sys.executable, "-c", OPENED + script, elsewhere.agent.endpoint.target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
        assert process.wait(PATIENCE) == 0
