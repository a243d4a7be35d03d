"""Listening Unix sockets by path: modes, leftovers of a daemon that died, and paths longer than the kernel takes."""

import contextlib
import os
import socket
import stat
from pathlib import Path

from assay.errors import FailedPreconditionError, InvalidArgumentError

# sockaddr_un has 108, the last one for the terminator.
MAX_PATH_BYTES = 107


class UnixSocket:
    """A listening socket and the file it is reached by."""

    def __init__(self, listening: socket.socket, path: Path) -> None:
        self.socket = listening
        self.path = path
        self._file = _file_id(path)

    def remove(self) -> None:
        """Delete the file, unless another one has taken its place."""
        with contextlib.suppress(FileNotFoundError):
            if _file_id(self.path) == self._file:
                self.path.unlink()


def listen(path: Path, *, mode: int, folder_mode: int, backlog: int) -> UnixSocket:
    """Listen on `path`; the file has exactly `mode`, folders made on the way `folder_mode`.

    Raises:
        FailedPreconditionError: someone listens there, or what is there is not a socket.
        InvalidArgumentError: the file's own name is too long even from within its folder.
    """
    _make_folders(path.parent, folder_mode)
    with _Address(path) as address:
        _remove_stale(path, address)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # bind() takes the mode from here, so that the file is never open to more than it shall be; the process's
            # umask may narrow it, which chmod then undoes.
            os.fchmod(listening.fileno(), mode)
            listening.bind(address)
            path.chmod(mode)
            listening.listen(backlog)
            return UnixSocket(listening, path)
        except BaseException:
            listening.close()
            raise


class _Address:
    """A string that reaches `path` and fits into a socket address."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1

    def __enter__(self) -> str:
        if len(bytes(self._path)) <= MAX_PATH_BYTES:
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        short = f"/proc/self/fd/{self._folder}/{self._path.name}"
        if len(os.fsencode(short)) > MAX_PATH_BYTES:
            os.close(self._folder)
            raise InvalidArgumentError(f"socket name {self._path.name} is too long", hint="choose a shorter path")
        return short

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)


def _make_folders(folder: Path, mode: int) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent, mode)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        # mkdir's own mode is cut by the umask.
        folder.chmod(mode)


def _remove_stale(path: Path, address: str) -> None:
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found):
        raise FailedPreconditionError(f"{path} exists and is not a socket", hint="remove it or choose another path")
    if _someone_listens(address):
        raise FailedPreconditionError(
            f"another process listens on {path}", hint="stop it or choose another socket path"
        )
    path.unlink(missing_ok=True)


def _someone_listens(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # A full backlog, or no permission to ask: somebody may be there.
            return True
        return True


def _file_id(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    # A file system may give the number of a deleted file to the next one, not its time.
    return found.st_dev, found.st_ino, found.st_mtime_ns
