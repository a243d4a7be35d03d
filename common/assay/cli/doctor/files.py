"""A daemon's files: who may read them, and how much room is left."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from assay.cli.doctor.daemon import Setup
from assay.cli.doctor.finding import Finding, failed, ok, skipped, warning

LEAST_BYTES = 10 * 2**20
FEW_BYTES = 200 * 2**20
OTHERS = 0o007
GROUP_AND_OTHERS = 0o077
OTHERS_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder; `trouble` is why it could not be looked at, `mode` None then or when it is not there."""

    path: Path
    mode: int | None = None
    uid: int = 0
    trouble: str = ""

    @property
    def bits(self) -> int:
        """The permission bits."""
        return stat.S_IMODE(self.mode or 0)


def look_at_file(path: Path) -> File:
    """Ask the file system, following links."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return File(path)
    except OSError as error:
        return File(path, trouble=error.strerror or str(error))
    return File(path, found.st_mode, found.st_uid)


def check_files(name: str, setup: Setup) -> list[Finding]:
    """The data folder, each private file that is there, and the room left."""
    folder = look_at_file(setup.data_dir)
    found = [_check_folder(f"{name} data_dir", folder)]
    for forbidden, paths in ((GROUP_AND_OTHERS, setup.keys), (OTHERS, setup.private)):
        files = [look_at_file(path) for path in paths]
        found += [_check_private(name, one, forbidden, folder.uid) for one in files if one.mode or one.trouble]
    if folder.mode is not None:
        found.append(check_room(f"{name} disk", setup.data_dir, *_room(setup.data_dir)))
    return found


def _check_folder(check: str, folder: File) -> Finding:
    path = folder.path
    if folder.trouble:
        return skipped(check, f"{path} cannot be looked at: {folder.trouble}", "run this as the daemon's user")
    if folder.mode is None:
        return skipped(check, f"{path} is not there; the daemon makes it when it starts")
    if not stat.S_ISDIR(folder.mode):
        return failed(check, f"{path} is not a folder", "name a folder, or move the file away")
    if folder.bits & OTHERS_WRITE:
        return failed(
            check, f"{path} has mode {folder.bits:04o}: others can replace the keys in it", f"chmod 0750 {path}"
        )
    return ok(check, f"{path} has mode {folder.bits:04o}, owner {folder.uid}")


def _check_private(name: str, file: File, forbidden: int, owner: int) -> Finding:
    check, path = f"{name} {file.path.name}", file.path
    if file.trouble:
        return skipped(check, f"{path} cannot be looked at: {file.trouble}", "run this as the daemon's user")
    if file.bits & forbidden:
        wanted = "0600" if forbidden == GROUP_AND_OTHERS else "0640"
        return failed(
            check, f"{path} has mode {file.bits:04o}: others may read it",
            f"chmod {wanted} {path}, and take what it holds as known to them",
        )  # fmt: skip
    if file.uid != owner:
        return warning(
            check, f"{path} belongs to user {file.uid}, its daemon's data_dir to {owner}",
            f"chown {owner} {path} if the daemon runs as {owner}: it could not read the file",
        )  # fmt: skip
    return ok(check, f"{path} has mode {file.bits:04o}")


def check_room(check: str, path: Path, free: int, inodes: int | None) -> Finding:
    """Whether there is room for what must be written; `inodes` is None where the file system does not count them."""
    seen = f"{free // 2**20} MiB free for {path}"
    if free < LEAST_BYTES or inodes == 0:
        none = ", and no inode" if inodes == 0 else ""
        return failed(check, seen + none, "make room: nothing new can be stored")
    if free < FEW_BYTES:
        return warning(check, seen, "make room before it is full")
    return ok(check, seen)


def _room(path: Path) -> tuple[int, int | None]:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
