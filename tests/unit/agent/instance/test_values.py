"""What tells one copy from another, and what does not."""

import asyncio
import os
from pathlib import Path

import pytest

from assay.errors import AssayError, FailedPreconditionError, UnauthenticatedError, UnavailableError
from assay.selector import Selector
from assay.testing.clock import FakeClock
from assay.transport.peer import Process, UnixPeer
from assay_agent.instance.values import InstanceValues
from assay_agent.plugins.workloadattestor_unix import UnixAttestor

ME = UnixPeer(os.getpid(), os.getuid(), os.getgid(), Process.open(os.getpid()))
INVOCATION = Selector("systemd", "invocation:0f")
STAT = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {started} 1 2 3\n"


def fake_proc(root: Path, *, boot: str = "b00t", started: int = 100) -> Path:
    for path, text in (("sys/kernel/random/boot_id", f"{boot}\n"), ("7/stat", STAT.format(started=started))):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def values() -> InstanceValues:
    return InstanceValues(lambda: [UnixAttestor(FakeClock())])


async def test_two_processes_are_two_and_one_is_one(values: InstanceValues) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60")
    peer = UnixPeer(other.pid, 0, 0, Process.open(other.pid))
    try:
        found = [await values.of(one, frozenset(), "unix:process") for one in (ME, ME, peer)]
    finally:
        other.kill()
        await other.wait()
        peer.close()
    assert found[0] == found[1] != found[2]


async def test_a_number_that_is_used_again_is_another_instance(tmp_path: Path) -> None:
    """Requirement 4. So is the same number at the same time after another boot."""
    attestor = UnixAttestor(FakeClock(), proc=tmp_path)
    seen: set[str] = set()
    for boot, started in (("one", 100), ("one", 101), ("two", 100)):
        fake_proc(tmp_path, boot=boot, started=started)
        seen.add(await attestor.instance("process", 7))
    assert seen == {"one:7:100", "one:7:101", "two:7:100"}


async def test_a_process_that_has_ended_is_nobody(values: InstanceValues) -> None:
    gone = await asyncio.create_subprocess_exec("sleep", "60")
    peer = UnixPeer(gone.pid, 0, 0, Process.open(gone.pid))
    gone.kill()
    await gone.wait()
    with pytest.raises(AssayError):
        await values.of(peer, frozenset(), "unix:process")
    peer.close()


async def test_a_number_that_changed_hands_meanwhile_is_nobody(tmp_path: Path) -> None:
    """/proc shows a process, and the pidfd of the one that called says that it has ended."""
    ended = UnixPeer(7, 0, 0, Process.unseen())
    values = InstanceValues(lambda: [UnixAttestor(FakeClock(), proc=fake_proc(tmp_path))])
    with pytest.raises(UnauthenticatedError):
        await values.of(ended, frozenset(), "unix:process")


async def test_without_a_boot_id_there_is_no_value(tmp_path: Path) -> None:
    fake_proc(tmp_path)
    (tmp_path / "sys/kernel/random/boot_id").unlink()
    with pytest.raises(UnavailableError):
        await UnixAttestor(FakeClock(), proc=tmp_path).instance("process", 7)


async def test_an_attested_selector_is_taken_when_there_is_just_one(values: InstanceValues) -> None:
    selectors = {INVOCATION, Selector("systemd", "id:app.service"), Selector("unix", "invocation:other")}
    assert await values.of(ME, selectors, "systemd:invocation") == "0f"


@pytest.mark.parametrize(
    "selectors",
    [set(), {Selector("systemd", "id:app.service")}, {INVOCATION, Selector("systemd", "invocation:1f")}],
)
async def test_no_such_selector_or_several_tell_nothing(values: InstanceValues, selectors: set[Selector]) -> None:
    with pytest.raises(FailedPreconditionError):
        await values.of(ME, selectors, "systemd:invocation")


@pytest.mark.parametrize("instance_from", ["unix:pid", "unix", "unix:", "docker:container-id", ":process"])
async def test_what_nobody_tells_is_refused(values: InstanceValues, instance_from: str) -> None:
    with pytest.raises(FailedPreconditionError):
        await values.of(ME, {Selector("unix", "uid:1")}, instance_from)
