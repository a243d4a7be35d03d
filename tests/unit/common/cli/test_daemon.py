"""A daemon takes a whole process over, so each test has one of its own."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, os, signal, sys, typer
from pathlib import Path
from assay.cli.daemon import run_daemon
from assay.config.fault import Fault
from assay.config.logging import LogSettings
from assay.errors import FailedPreconditionError

async def quiet(clock, level):
    pass

async def refused(clock, level):
    raise FailedPreconditionError("a SPIRE database is there", hint="import it")

async def grouped(clock, level):
    async with asyncio.TaskGroup() as group:
        group.create_task(refused(clock, level))

async def broken(clock, level):
    raise KeyError("x")

async def masked(clock, level):
    print(oct(os.umask(0)))

async def rotated(clock, level):
    Path(sys.argv[2]).rename(sys.argv[2] + ".1")
    os.kill(os.getpid(), signal.SIGUSR2)
    await asyncio.sleep(0)

file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
warnings = [Fault("f:3", "server.federation", "is not built yet")]
try:
    run_daemon("Server", LogSettings(file=file), warnings, globals()[sys.argv[1]])
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


def ran(*arguments: str, umask: int = 0o022) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False, umask=umask
    )
    return done.returncode, done.stdout


def test_a_daemon_that_ends_well_says_so_after_its_warnings() -> None:
    status, out = ran("quiet")
    assert status == 0
    warned, ended = out.splitlines()
    assert 'level=warning msg="Configuration is not fully used" place="f:3"' in warned
    assert 'reason="is not built yet" setting=server.federation' in warned
    assert ended.endswith('level=info msg="Server stopped gracefully"')


def test_a_refusal_is_logged_with_its_hint() -> None:
    for how in ("refused", "grouped"):
        status, out = ran(how)
        assert status == 1
        assert 'level=error msg="Server crashed" error="a SPIRE database is there" hint="import it"' in out
        assert "stack=" not in out


def test_anything_else_is_logged_with_its_stack() -> None:
    status, out = ran("broken")
    assert status == 1
    assert 'msg="Server crashed" error="\'x\'" stack="Traceback' in out


def test_what_a_daemon_makes_is_not_for_others() -> None:
    assert "0o27" in ran("masked", umask=0o022)[1]
    assert "0o77" in ran("masked", umask=0o077)[1]


def test_a_signal_opens_the_log_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert ran("rotated", str(path)) == (0, "")
    assert "stopped gracefully" in path.read_text()
    assert "not fully used" in Path(f"{path}.1").read_text()


def test_a_log_file_that_cannot_be_opened_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "quiet", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"ConfigError: {tmp_path}: log_file: cannot be opened: {os.strerror(21)}" in done.stderr
