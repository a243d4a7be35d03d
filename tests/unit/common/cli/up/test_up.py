"""`assay up` as a person runs it: the whole command, with the two real daemons."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UP = [sys.executable, "-m", "assay.cli", "up"]
PATIENCE = 50.0

pytestmark = pytest.mark.xdist_group("up")


def once(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UP, "--once", "--state", str(state), *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def running(state: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`assay up` that has printed the line to export, and what it has printed so far."""
    process = subprocess.Popen([*UP, "--state", str(state)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process, read_until(process, b"Ctrl-C")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def read_until(process: subprocess.Popen[bytes], mark: bytes) -> str:
    if process.stdout is None:
        raise RuntimeError("no output to read")
    seen, end = b"", time.monotonic() + PATIENCE
    while mark not in seen:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not chunk:
            raise RuntimeError(f"assay up did not get that far:\n{seen.decode()}")
        seen += chunk
    return seen.decode()


def ended(pids: list[int]) -> bool:
    """Whether all of them end, in time."""
    end = time.monotonic() + PATIENCE
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if not select.select([handle], [], [], max(0.0, end - time.monotonic()))[0]:
                    return False
            finally:
                os.close(handle)
    return True


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".assay"


def test_once_fetches_verifies_and_leaves_nobody_behind(state: Path) -> None:
    done = once(state, "--trust-domain", "up.example")
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    assert re.search(r"^SPIFFE_ENDPOINT_SOCKET=unix:/.*/api\.sock$", out, re.MULTILINE)
    for words in (
        "X.509-SVID", "JWT-SVID", "spiffe://up.example/user/", "next rotation", f"unix:uid:{os.getuid()}",
        "both, against the bundle of up.example", "attested by its node certificate", "spiffe://up.example/spire/agent/",
    ):  # fmt: skip
        assert words in out
    port = json.loads((state / "state.json").read_text())["port"]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    again = once(state)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "took up the SVID it kept" in again.stdout
    assert "spiffe://up.example/user/" in again.stdout


def test_it_stays_until_it_is_told_and_tells_a_second_one(state: Path) -> None:
    with running(state) as (process, out):
        daemons = children_of(process.pid)
        assert len(daemons) == 2
        exported = dict(re.findall(r"^([A-Z_]+)=(\S+)$", out, re.MULTILINE))
        assert exported.keys() == {"SPIFFE_ENDPOINT_SOCKET", "ASSAY_ADMIN_SOCKET"}

        def assay(*args: str, **env: str) -> Any:  # noqa: ANN401 - JSON
            command = [sys.executable, "-m", "assay.cli", *args, "-o", "json"]
            done = subprocess.run(command, env={**os.environ, **env}, cwd=state.parent, capture_output=True, check=True)
            return json.loads(done.stdout)

        fetched = assay("api", "fetch", **exported)
        assert fetched["svids"][0]["spiffe_id"].startswith("spiffe://example.org/user/")
        assert assay("entry", "show", **exported)["entries"]
        # Without a word of where they are, from the folder in which they were started.
        explained = assay("explain", "--pid", str(os.getpid()))
        assert explained["server"]["entries"] == len(assay("entry", "show", **exported)["entries"])
        second = once(state)
        assert second.returncode == 1
        assert f"another `assay up` (process {process.pid}) is running" in second.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert ended(daemons)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_the_daemons_end_with_it_however_it_ends(state: Path, how: signal.Signals) -> None:
    with running(state) as (process, _):
        daemons = children_of(process.pid)
        process.send_signal(how)
        process.wait(PATIENCE)
        assert ended(daemons)


def test_a_daemon_that_dies_ends_it_with_the_reason(state: Path) -> None:
    with running(state) as (process, _):
        server = children_of(process.pid)[0]
        os.kill(server, signal.SIGKILL)
        assert process.wait(PATIENCE) == 1
        assert b"the server ended with status -9" in (process.stdout.read() if process.stdout else b"")


def test_a_step_that_fails_is_shown_with_the_log(state: Path) -> None:
    state.mkdir()
    (state / "server").write_text("in the way")
    done = once(state)
    assert done.returncode == 1
    assert "the server ended with status 1" in done.stderr
    assert "level=error" in done.stderr
    assert "SPIFFE_ENDPOINT_SOCKET" not in done.stdout


def test_a_deep_folder_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    done = once(deep)
    assert done.returncode == 0, done.stdout + done.stderr
    runtime = Path(json.loads((deep / "state.json").read_text())["runtime"])
    assert f"SPIFFE_ENDPOINT_SOCKET=unix:{runtime}/api.sock" in done.stdout
    assert not runtime.exists()


def test_a_wrong_folder_is_wrong_usage_of_nothing_but_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = once(tmp_path / "file")
    assert done.returncode == 1
    assert "cannot use" in done.stderr
    assert "--state" in done.stderr
