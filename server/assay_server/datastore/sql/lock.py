"""One process for one database: an advisory lock on a file beside it, which ends with the process however it ends."""

import fcntl
import os
from pathlib import Path

from assay.errors import FailedPreconditionError


class Lock:
    """Held from construction until `release`; the file stays and names its last holder.

    Raises:
        FailedPreconditionError: another process holds it.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.lock")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise FailedPreconditionError(
                f"the database {database} is in use by the process {holder}",
                hint="stop that server first, or give this one a data directory of its own",
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._fd)
