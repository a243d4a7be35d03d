"""A daemon's socket: whether it is there, who may use it, whether the daemon answers, and how many files it has."""

import re
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.cli.admin import check_listening
from assay.cli.doctor.daemon import Daemon
from assay.cli.doctor.files import File, look_at_file
from assay.cli.doctor.finding import Finding, failed, ok, skipped, warning
from assay.cli.doctor.machine import LEAST_FILES
from assay.cli.health import check_health
from assay.errors import AssayError, PermissionDeniedError

_CREDENTIALS = struct.Struct("3i")
_OPEN_FILES = re.compile(r"^Max open files +(\d+)", re.MULTILINE)
_ENTER = 0o001
_CONNECT = 0o002
_REPLACE = 0o002


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether somebody listens and serves; `health` is None where that was not asked."""

    listening: AssayError | None
    health: AssayError | None = None
    pid: int | None = None


async def ask(daemon: Daemon, path: Path) -> Answer:
    """Connect, and ask how the daemon is."""
    try:
        check_listening(path, daemon.name, f"start one with `assay {daemon.name} run`")
    except AssayError as error:
        return Answer(error)
    try:
        await check_health(path, daemon.name)
    except AssayError as error:
        return Answer(None, error, _pid(path))
    return Answer(None, None, _pid(path))


def check_socket(
    daemon: Daemon, file: File, folders: Sequence[File], answer: Answer, *, expected: bool
) -> list[Finding]:
    """What to think of it; `folders` are those around it, the innermost first.

    That nobody listens is a failure only if the daemon is `expected`: configured, or its socket named.
    """
    check, path = f"{daemon.name} socket", file.path
    refused = answer.listening
    if isinstance(refused, PermissionDeniedError):
        return [skipped(check, refused.message, f"to ask the {daemon.name}, {refused.hint}")]
    if refused is not None and not expected:
        return [skipped(check, refused.message, f"name its configuration with --{daemon.name}-config")]
    if refused is not None:
        return [failed(check, refused.message, f"start it with `assay {daemon.name} run`, and see its log if it ends")]
    return [_check_mode(daemon, file, folders), _check_health(daemon, path, answer.health)]


def check_open_files(daemon: Daemon, pid: int | None) -> Finding | None:
    """The daemon's own limit and use, where they can be read."""
    check = f"{daemon.name} open files"
    if pid is None:
        return None
    try:
        limit = _OPEN_FILES.search(Path(f"/proc/{pid}/limits").read_text(encoding="utf-8"))
        used = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError as error:
        return skipped(check, f"process {pid}: {error.strerror}", "run this as the daemon's user")
    if limit is None:
        return ok(check, f"process {pid} has {used} files open and no limit")
    return judge_open_files(check, used, int(limit[1]))


def judge_open_files(check: str, used: int, limit: int) -> Finding:
    """Whether a daemon comes near its limit."""
    seen = f"{used} of {limit} files are open"
    if used > limit * 4 // 5 or limit < LEAST_FILES:
        return warning(check, seen, f"raise the hard limit (LimitNOFILE= of the unit) to {max(LEAST_FILES, 2 * limit)}")
    return ok(check, seen)


def _check_mode(daemon: Daemon, file: File, folders: Sequence[File]) -> Finding:
    check, path, mode = f"{daemon.name} socket", file.path, file.mode
    if mode is None or not stat.S_ISSOCK(mode):
        return skipped(check, f"{path}: {file.trouble or 'is not a socket by its name'}")
    seen = f"{path} has mode {file.bits:04o}"
    shared = next((one for one in folders if one.bits & _REPLACE and not one.bits & stat.S_ISVTX), None)
    if shared is not None:
        return failed(
            check, f"{seen}, but {shared.path} has {shared.bits:04o}: every user may put a socket of their own there",
            f"chmod o-w {shared.path}",
        )  # fmt: skip
    closed = next((one for one in folders if not one.bits & _ENTER), None)
    if daemon.public and not file.bits & _CONNECT:
        return warning(check, f"{seen}: not every workload can connect", f"chmod 0777 {path}")
    if daemon.public and closed is not None:
        return warning(
            check, f"{seen}, but {closed.path} has {closed.bits:04o}: not every workload can connect",
            f"chmod 0755 {closed.path}, or put the socket elsewhere",
        )  # fmt: skip
    if not daemon.public and file.bits & _CONNECT and closed is None:
        return failed(check, f"{seen}: every user may administer", f"chmod 0770 {path}")
    return ok(check, seen)


def _check_health(daemon: Daemon, path: Path, error: AssayError | None) -> Finding:
    check = f"{daemon.name} health"
    if error is None:
        return ok(check, f"the {daemon.name} on {path} says that it serves")
    return failed(
        check, error.message, error.hint or f"see the {daemon.name}'s log; docs/troubleshooting.md explains it"
    )


def look_at_socket(path: Path) -> tuple[File, list[File]]:
    """The socket, and the folders around it."""
    return look_at_file(path), [look_at_file(folder) for folder in path.absolute().parents]


def _pid(path: Path) -> int | None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    return pid or None
