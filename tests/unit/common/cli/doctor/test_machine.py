from dataclasses import replace

import pytest

from assay.cli.doctor.clock import Watched, check_clock, look_at_clock
from assay.cli.doctor.finding import Status
from assay.cli.doctor.machine import Library, Machine, check_machine, look_at_machine
from assay.cli.doctor.sockets import judge_open_files
from assay.clock import SystemClock
from assay.testing.clock import FakeClock

GOOD = Machine(
    "1.0", "3.11.7", "OpenSSL 3", "Linux 6.5.0", pidfd=True, peer_pidfd=True, files=4096,
    libraries=(Library("grpcio", "1.9.1", "1.85.10"), Library("rich", "14", "14.0")),
)  # fmt: skip


def statuses(machine: Machine) -> list[Status]:
    return [one.status for one in check_machine(machine)]


def test_this_machine_can_be_looked_at() -> None:
    found = look_at_machine()
    assert found.kernel.startswith("Linux")
    assert {one.name for one in found.libraries} >= {"grpcio", "cryptography"}
    assert all(one.found for one in found.libraries)
    assert check_machine(found)[0].status is Status.OK


def test_a_good_machine_is_well() -> None:
    assert statuses(GOOD) == [Status.OK] * 3
    assert "grpcio 1.85.10" in check_machine(GOOD)[0].seen
    assert statuses(replace(GOOD, files=None)) == [Status.OK] * 3


@pytest.mark.parametrize("found", ["1.85.0", ""])
def test_an_old_or_missing_library_is_a_failure(found: str) -> None:
    first, *_ = check_machine(replace(GOOD, libraries=(Library("grpcio", "1.85.1", found),)))
    assert first.failed
    assert "at least 1.85.1" in first.seen
    assert "pip install" in first.advice


def test_an_old_kernel_and_few_files_are_warnings() -> None:
    assert statuses(replace(GOOD, peer_pidfd=False, files=1024)) == [Status.OK, Status.WARNING, Status.WARNING]
    assert "pidfd_open" in check_machine(replace(GOOD, pidfd=False, peer_pidfd=False))[1].seen
    assert statuses(replace(GOOD, kernel="Darwin 25"))[1] is Status.FAILED


@pytest.mark.parametrize(
    ("watched", "statuses"),
    [
        (Watched(True, 0.0, 0.0), [Status.OK, Status.OK]),
        (Watched(None, 0.0, 7200.0), [Status.SKIPPED, Status.OK]),
        (Watched(False, -1.0, 0.0), [Status.WARNING, Status.WARNING]),
    ],
)
def test_a_clock_that_nobody_keeps_or_that_jumps_is_a_warning(watched: Watched, statuses: list[Status]) -> None:
    assert [one.status for one in check_clock(watched)] == statuses


def test_what_is_seen_of_the_clock_is_said() -> None:
    assert "jumped by -1.00 s" in check_clock(Watched(True, -1.0, 0.0))[1].seen
    assert "suspended for 2h" in check_clock(Watched(True, 0.0, 7200.0))[1].seen


async def test_this_clock_can_be_looked_at() -> None:
    watched = await look_at_clock(SystemClock())
    assert watched.suspended >= 0


class Jumping(FakeClock):
    """Somebody sets it while one sleeps on it."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        self.jump(-3)


async def test_a_jump_is_seen() -> None:
    watched = await look_at_clock(Jumping())
    assert watched.drift == pytest.approx(-3)


@pytest.mark.parametrize(
    ("used", "limit", "status"),
    [(10, 4096, Status.OK), (3276, 4096, Status.OK), (3277, 4096, Status.WARNING), (10, 1024, Status.WARNING)],
)
def test_a_daemon_near_its_limit_of_files_is_a_warning(used: int, limit: int, status: Status) -> None:
    assert judge_open_files("x", used, limit).status is status
