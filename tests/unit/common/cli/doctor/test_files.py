import os
from pathlib import Path

import pytest

from assay.cli.doctor.daemon import Setup
from assay.cli.doctor.files import check_files, check_room
from assay.cli.doctor.finding import Finding, Status
from assay.spiffeid import TrustDomain

MIB = 2**20


def found(folder: Path, **files: tuple[Path, ...]) -> list[Finding]:
    setup = Setup(
        warnings=(), trust_domain=TrustDomain("a"), data_dir=folder, socket=folder / "s", address=("h", 1),
        keys=files.get("keys", ()), private=files.get("private", ()),
    )  # fmt: skip
    return check_files("server", setup)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir(mode=0o750)
    return made


def written(path: Path, mode: int) -> Path:
    path.write_text("s3cret")
    path.chmod(mode)
    return path


def test_files_as_daemons_make_them_are_well(folder: Path) -> None:
    keys, store = written(folder / "keys", 0o600), written(folder / "store", 0o640)
    one = found(folder, keys=(keys, folder / "none"), private=(store,))
    assert [finding.status for finding in one] == [Status.OK] * 4
    assert not any("s3cret" in finding.seen for finding in one)


@pytest.mark.parametrize(("kind", "mode"), [("keys", 0o640), ("keys", 0o604), ("private", 0o644)])
def test_what_others_may_read_is_a_failure(folder: Path, kind: str, mode: int) -> None:
    path = written(folder / "file", mode)
    (finding,) = (one for one in found(folder, **{kind: (path,)}) if one.failed)
    assert f"{path} has mode {mode:04o}" in finding.seen
    assert finding.advice.startswith("chmod 06")


def test_a_folder_that_others_may_write_is_a_failure(folder: Path) -> None:
    folder.chmod(0o770)
    first, *_ = found(folder)
    assert first.failed
    assert "others can replace the keys" in first.seen


def test_a_file_in_the_folders_place_is_a_failure(folder: Path) -> None:
    first, *_ = found(written(folder / "file", 0o600))
    assert "is not a folder" in first.seen


def test_what_is_not_there_yet_is_passed_over(folder: Path) -> None:
    (first,) = found(folder / "none", keys=(folder / "none" / "keys",))
    assert first.status is Status.SKIPPED


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_a_warning(folder: Path) -> None:
    path = written(folder / "file", 0o600)
    os.chown(path, 4242, -1)
    assert [one.status for one in found(folder, keys=(path,))] == [Status.OK, Status.WARNING, Status.OK]


@pytest.mark.parametrize(
    ("free", "inodes", "status"),
    [
        (200 * MIB, 5, Status.OK),
        (200 * MIB - 1, None, Status.WARNING),
        (10 * MIB - 1, 5, Status.FAILED),
        (900 * MIB, 0, Status.FAILED),
    ],
)
def test_a_full_disk_is_told_before_it_is(folder: Path, free: int, inodes: int | None, status: Status) -> None:
    assert check_room("disk", folder, free, inodes).status is status
