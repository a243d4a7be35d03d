"""What the unix attestor finds out, of made-up processes and of real ones."""

import asyncio
import grp
import hashlib
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.errors import AssayError, FailedPreconditionError, UnavailableError
from assay.testing.clock import FakeClock
from assay_agent.plugins.workloadattestor_unix import Credentials, UnixAttestor

STATUS = """\
Name:\tsh\\nUid:\\t0
Umask:\t0022
State:\tS (sleeping)
Tgid:\t7
Uid:\t11\t{uid}\t33\t44
Gid:\t55\t{gid}\t77\t88
FDSize:\t64
Groups:\t{groups}
NStgid:\t7
"""

NOBODYS = 4000000001
PROGRAM = Path(sys.executable).resolve()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def proc(tmp_path: Path) -> Callable[..., Path]:
    """Makes /proc with process 7 in it."""

    def make(*, uid: int = NOBODYS, gid: int = NOBODYS, groups: str = " ", program: bytes | None = b"#!") -> Path:
        folder = tmp_path / "proc" / "7"
        folder.mkdir(parents=True)
        (folder / "status").write_text(STATUS.format(uid=uid, gid=gid, groups=groups))
        if program is not None:
            (tmp_path / "program").write_bytes(program)
            (folder / "exe").symlink_to(tmp_path / "program")
        return tmp_path / "proc"

    return make


async def values(attestor: UnixAttestor, pid: int = 7) -> list[str]:
    selectors = await attestor.attest(pid)
    assert {selector.type for selector in selectors} == {"unix"}
    return [selector.value for selector in selectors]


async def test_user_and_group_are_the_effective_ones(proc: Callable[..., Path], clock: FakeClock) -> None:
    root = pwd.getpwuid(0).pw_name
    group = grp.getgrgid(0).gr_name
    found = await values(UnixAttestor(clock, proc=proc(uid=0, gid=0, groups=f"0 {NOBODYS} ")))
    assert found == [
        *("uid:0", f"user:{root}", "gid:0", f"group:{group}"),
        *("supplementary_gid:0", f"supplementary_group:{group}", f"supplementary_gid:{NOBODYS}"),
    ]


async def test_numbers_without_name_have_no_name_selector(proc: Callable[..., Path], clock: FakeClock) -> None:
    assert await values(UnixAttestor(clock, proc=proc())) == [f"uid:{NOBODYS}", f"gid:{NOBODYS}"]


@pytest.mark.parametrize("number", [2**32 - 1, 2**40])
async def test_numbers_outside_the_range_of_accounts_have_no_name(
    proc: Callable[..., Path], clock: FakeClock, number: int
) -> None:
    assert await values(UnixAttestor(clock, proc=proc(uid=number, gid=number))) == [f"uid:{number}", f"gid:{number}"]


async def test_path_and_digest_only_when_asked_for(proc: Callable[..., Path], clock: FakeClock, tmp_path: Path) -> None:
    folder = proc(program=b"program")
    digest = hashlib.sha256(b"program").hexdigest()
    plain = await values(UnixAttestor(clock, proc=folder))
    assert not any(value.startswith(("path:", "sha256:")) for value in plain)
    found = await values(UnixAttestor(clock, proc=folder, discover_workload_path=True))
    assert found == [*plain, f"path:{tmp_path / 'program'}", f"sha256:{digest}"]


@pytest.mark.parametrize(("limit", "digested"), [(-1, False), (0, True), (7, True), (8, True)])
async def test_the_size_limit_is_in_bytes_and_below_zero_means_no_digest(
    proc: Callable[..., Path], clock: FakeClock, limit: int, digested: bool
) -> None:
    attestor = UnixAttestor(
        clock, proc=proc(program=b"program"), discover_workload_path=True, workload_size_limit=limit
    )
    found = await values(attestor)
    assert any(value.startswith("sha256:") for value in found) is digested
    assert any(value.startswith("path:") for value in found)


async def test_a_program_over_the_limit_is_refused_whole(proc: Callable[..., Path], clock: FakeClock) -> None:
    attestor = UnixAttestor(clock, proc=proc(program=b"program"), discover_workload_path=True, workload_size_limit=6)
    with pytest.raises(FailedPreconditionError, match=r"exceeds size limit \(7 > 6\)"):
        await attestor.attest(7)


async def test_a_program_that_may_not_be_seen_is_refused(proc: Callable[..., Path], clock: FakeClock) -> None:
    attestor = UnixAttestor(clock, proc=proc(program=None), discover_workload_path=True)
    with pytest.raises(UnavailableError, match="path lookup"):
        await attestor.attest(7)


async def test_a_program_that_has_gone_cannot_be_digested(
    proc: Callable[..., Path], clock: FakeClock, tmp_path: Path
) -> None:
    attestor = UnixAttestor(clock, proc=proc(), discover_workload_path=True)
    (tmp_path / "program").unlink()
    with pytest.raises(UnavailableError, match="SHA256 digest"):
        await attestor.attest(7)


async def test_a_process_that_is_gone_is_refused(clock: FakeClock, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="failed to get process"):
        await UnixAttestor(clock, proc=tmp_path).attest(7)


@pytest.mark.parametrize(
    "status", ["", "Name:\tx\n", "Name:\tx\nUid:\t1\nGid:\t1\nGroups:\n", "Name:\tx\nUid:\t1\t1\t1\t1\nGroups:\t\n"]
)
def test_an_incomplete_status_is_refused(status: str) -> None:
    with pytest.raises(AssayError, match="incomplete"):
        Credentials.parse(status.encode())


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process of this user that waits."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


async def test_a_real_process(clock: FakeClock, sleeper: int) -> None:
    found = await values(UnixAttestor(clock, discover_workload_path=True), sleeper)
    assert f"uid:{os.geteuid()}" in found
    assert f"gid:{os.getegid()}" in found
    assert {value for value in found if value.startswith("supplementary_gid:")} == {
        f"supplementary_gid:{gid}" for gid in os.getgroups()
    }
    assert f"path:{PROGRAM}" in found
    assert f"sha256:{hashlib.sha256(await asyncio.to_thread(PROGRAM.read_bytes)).hexdigest()}" in found
