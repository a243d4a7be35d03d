"""Processes as an operator names them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assay.selector import Selector
from assay.testing.clock import FakeClock
from assay_agent.cli.explain.process import (
    Numbered,
    account_selectors,
    look_at,
    namespace_of,
    number_for,
    peer_pid,
    program_of,
)
from assay_agent.plugins.workloadattestor_unix import UnixAttestor

HOST, POD, OTHER = "pid:[1]", "pid:[2]", "pid:[3]"


@pytest.mark.parametrize(
    ("agent", "process", "own", "number"),
    [
        (Numbered(HOST, (10,)), Numbered(HOST, (7,)), HOST, 7),
        (Numbered(HOST, (10,)), Numbered(POD, (7, 1)), HOST, 7),
        (Numbered(POD, (10, 2)), Numbered(POD, (7, 1)), HOST, 1),
        (Numbered(POD, (10, 2)), Numbered(OTHER, (7, 5, 1)), HOST, 5),
        (Numbered(POD, (10, 2)), Numbered(HOST, (7,)), HOST, None),
        (Numbered(None, (10,)), Numbered(HOST, (7,)), HOST, 7),
        (Numbered(POD, (10, 2)), Numbered(None, (7,)), HOST, 7),
    ],
)
def test_the_number_where_the_agent_is(agent: Numbered, process: Numbered, own: str, number: int | None) -> None:
    assert number_for(agent, process, own) == number


def test_this_process() -> None:
    found = look_at(os.getpid())
    assert found is not None
    assert found.numbers[0] == os.getpid()
    assert found.namespace == namespace_of("self")
    assert Path(program_of(os.getpid())).resolve() == Path(sys.executable).resolve()


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert look_at(gone.pid) is None
    assert program_of(gone.pid) == ""


def test_a_process_in_a_namespace_of_its_own() -> None:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare")
    with subprocess.Popen(
        ["unshare", "--pid", "--fork", "sh", "-c", "echo $$; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as outer:
        assert outer.stdout is not None
        if outer.stdout.readline() != b"1\n":
            pytest.skip("may not make a PID namespace")
        inner = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
        found = look_at(inner)
        assert found is not None
        assert found.numbers == (inner, 1)
        assert found.namespace != namespace_of("self")
        assert number_for(Numbered(found.namespace, found.numbers), Numbered(HOST, (1,)), namespace_of("self")) is None
        outer.communicate(b"")


def test_nobody_listens(tmp_path: Path) -> None:
    assert peer_pid(tmp_path / "none") == 0


async def test_a_users_account_gives_what_a_process_of_it_would() -> None:
    """Of this process, whose groups are its account's unless somebody started it with others."""
    found = await UnixAttestor(FakeClock()).attest(os.getpid())
    single = {one for one in found if not one.value.startswith("supplementary")}
    assert single <= account_selectors(os.geteuid())
    assert all(one.type == "unix" for one in account_selectors(0))
    assert Selector("unix", "user:root") in account_selectors(0)


def test_a_user_without_an_account_is_its_number() -> None:
    """Such as that of a container, which the agent's log and its hint name."""
    assert account_selectors(4_000_000_000) == {Selector("unix", "uid:4000000000")}
