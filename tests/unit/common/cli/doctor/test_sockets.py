import stat
from pathlib import Path

import pytest

from assay.cli.doctor.daemon import Daemon, Setup
from assay.cli.doctor.files import File
from assay.cli.doctor.finding import Finding, Status
from assay.cli.doctor.sockets import Answer, ask, check_open_files, check_socket
from assay.errors import PermissionDeniedError, UnavailableError

SOCKET = Path("/run/x/api.sock")


def unused(*_: object) -> Setup:
    raise AssertionError


SERVER = Daemon("server", Path("c"), SOCKET, public=False, load=unused)
AGENT = Daemon("agent", Path("c"), SOCKET, public=True, load=unused)


def checked(daemon: Daemon, mode: int, folders: tuple[int, ...], answer: Answer) -> list[Finding]:
    around = [File(Path(f"/{number}"), stat.S_IFDIR | bits) for number, bits in enumerate(folders)]
    return check_socket(daemon, File(SOCKET, stat.S_IFSOCK | mode), around, answer, expected=True)


@pytest.mark.parametrize(
    ("daemon", "mode", "folders", "status"),
    [
        (SERVER, 0o770, (0o755, 0o755), Status.OK),
        (SERVER, 0o777, (0o755, 0o755), Status.FAILED),
        (SERVER, 0o777, (0o755, 0o750), Status.OK),
        (AGENT, 0o777, (0o755, 0o755), Status.OK),
        (AGENT, 0o770, (0o755, 0o755), Status.WARNING),
        (AGENT, 0o777, (0o755, 0o700), Status.WARNING),
        (AGENT, 0o777, (0o777, 0o755), Status.FAILED),
        (AGENT, 0o777, (0o755, 0o757), Status.FAILED),
        (AGENT, 0o777, (0o755, 0o1777), Status.OK),
        (SERVER, 0o770, (0o777, 0o755), Status.FAILED),
    ],
)
def test_who_may_connect_is_told_by_the_socket_and_all_folders_around(
    daemon: Daemon, mode: int, folders: tuple[int, ...], status: Status
) -> None:
    first, health = checked(daemon, mode, folders, Answer(None))
    assert first.status is status
    assert health.status is Status.OK


def test_the_folder_that_is_closed_is_named() -> None:
    first, _ = checked(AGENT, 0o777, (0o755, 0o700), Answer(None))
    assert "/1 has 0700" in first.seen
    assert first.advice.startswith("chmod 0755 /1")


def test_a_folder_where_others_may_put_their_own_socket_is_named() -> None:
    first, _ = checked(AGENT, 0o777, (0o777, 0o755), Answer(None))
    assert "/0 has 0777" in first.seen
    assert first.advice == "chmod o-w /0"


def test_a_daemon_that_is_not_well_is_a_failure() -> None:
    _, health = checked(SERVER, 0o770, (0o755,), Answer(None, UnavailableError("server returned status NOT_SERVING")))
    assert health.failed
    assert "docs/troubleshooting.md" in health.advice


@pytest.mark.parametrize(("expected", "status"), [(True, Status.FAILED), (False, Status.SKIPPED)])
async def test_nobody_there_is_a_failure_only_where_somebody_ought_to_be(
    tmp_path: Path, *, expected: bool, status: Status
) -> None:
    answer = await ask(SERVER, tmp_path / "none.sock")
    (first,) = check_socket(SERVER, File(tmp_path), [], answer, expected=expected)
    assert first.status is status
    assert "does not exist" in first.seen


def test_a_socket_of_others_could_not_be_looked_at() -> None:
    refused = Answer(PermissionDeniedError("this user may not connect", hint="be its user"))
    (first,) = checked(SERVER, 0o770, (0o755,), refused)
    assert first.status is Status.SKIPPED


def test_a_process_that_is_gone_could_not_be_looked_at() -> None:
    assert check_open_files(SERVER, None) is None
    found = check_open_files(SERVER, 2**22 + 1)
    assert found is not None
    assert found.status is Status.SKIPPED
