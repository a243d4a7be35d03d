"""Files that only their owner reads and that are never seen half written."""

import contextlib
import os
from pathlib import Path

_OWNER_ONLY = 0o600
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


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
    _sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, _FLAGS, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        # A left-over of a crash may have other rights than those asked for at creation.
        os.fchmod(descriptor, _OWNER_ONLY)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
