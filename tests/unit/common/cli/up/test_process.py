import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.cli.up import tether
from assay.cli.up.process import Child
from assay.errors import UnavailableError

STARTER = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), "/bin/sleep", "60"])
print(child.pid, flush=True)
sys.stdin.read()
"""


async def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("of an earlier run\n")
    child = Child("server", log)
    await child.start(["server", "run", "--config", str(tmp_path / "no.conf")])
    with pytest.raises(UnavailableError, match="the server ended with status 1") as ended:
        await child.wait_ended()
    assert "could not find config file" in str(ended.value)
    assert "earlier" not in str(ended.value)
    with pytest.raises(UnavailableError):
        child.check_running()
    await child.stop()


async def test_what_was_never_started_can_be_stopped_and_is_not_dead(tmp_path: Path) -> None:
    child = Child("agent", tmp_path / "agent.log")
    child.check_running()
    await child.stop()
    assert child.pid == 0


async def test_only_the_end_of_a_log_is_told(tmp_path: Path) -> None:
    child = Child("agent", tmp_path / "agent.log")
    child.log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert child.tail().splitlines() == [f"  line {number}" for number in range(85, 100)]
    child.log.write_text("")
    assert child.tail() == "  (it logged nothing)"


async def test_a_child_knows_nothing_of_the_folder_it_runs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assay").mkdir()
    (tmp_path / "assay" / "__init__.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    child = Child("server", tmp_path / "log")
    await child.start(["--version"])
    with pytest.raises(UnavailableError, match="status 0"):
        await child.wait_ended()


async def test_a_child_ends_when_its_starter_is_killed() -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, tether.__file__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    child = os.pidfd_open(int(await starter.stdout.readline()))
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(child, gone.set)
    try:
        starter.kill()
        await starter.wait()
        await asyncio.wait_for(gone.wait(), 10)
    finally:
        asyncio.get_running_loop().remove_reader(child)
        os.close(child)


def test_a_starter_that_is_gone_already_starts_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", tether.__file__, "1", "/bin/echo", "ran"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""


def test_a_tethered_command_gets_the_signals_end() -> None:
    assert tether.PR_SET_PDEATHSIG == 1
    done = subprocess.run(
        [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), "/bin/sh", "-c", "kill -TERM $$"], check=False
    )
    assert done.returncode == -signal.SIGTERM
