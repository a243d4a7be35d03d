"""Files that only their owner reads and that are never seen half written, and the folders they lie in."""

import contextlib
import os
from pathlib import Path

from assay.errors import FailedPreconditionError

_OWNER_ONLY = 0o600
_FOLDER_MODE = 0o750
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write_private(path: Path, content: bytes) -> None:
    """Replace the file in one step; the content is on disk when this returns.

    Raises:
        OSError: the disk is full or the folder not writable; the file is as it was.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        _write(temporary, content)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def make_data_folder(path: Path, setting: str = "data_dir") -> None:
    """Make a daemon's folder (0750) if it is not there; `setting` is the key that names it.

    Raises:
        FailedPreconditionError: it cannot be made.
    """
    try:
        path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise FailedPreconditionError(
            f"data directory {path} cannot be made: {error.strerror}", hint=f"set {setting} to a folder we may write"
        ) from None


def sync_folder(folder: Path) -> None:
    """Put on disk which files the folder has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    # What a crash left, or what someone put there: another name of a file, or a file that they have open already.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, _FLAGS, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        # The umask may have narrowed it.
        os.fchmod(descriptor, _OWNER_ONLY)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
