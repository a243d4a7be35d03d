"""The machine: versions of what we build on, what its kernel can do, and how many files a process may open."""

import os
import platform
import re
import resource
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from assay.cli.doctor.finding import Finding, failed, ok, warning
from assay.transport.peer import SO_PEERPIDFD

LEAST_FILES = 4096
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)$")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that we need: the least version, and the one there (empty if none)."""

    name: str
    least: str
    found: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to know. `files` is the hard limit of open files, None where there is no limit."""

    assay: str
    python: str
    openssl: str
    kernel: str
    pidfd: bool
    peer_pidfd: bool
    files: int | None
    libraries: tuple[Library, ...]


def look_at_machine() -> Machine:
    """Ask the interpreter and the kernel."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        assay=_version("assay"),
        python=platform.python_version(),
        openssl=ssl.OPENSSL_VERSION,
        kernel=f"{platform.system()} {platform.release()}",
        pidfd=_has_pidfd(),
        peer_pidfd=_has_peer_pidfd(),
        files=None if hard == resource.RLIM_INFINITY else hard,
        libraries=tuple(_libraries()),
    )


def check_machine(machine: Machine) -> list[Finding]:
    """What to think of it."""
    return [_check_versions(machine), _check_kernel(machine), _check_files(machine.files)]


def _check_versions(machine: Machine) -> Finding:
    old = [one for one in machine.libraries if _numbers(one.found) < _numbers(one.least)]
    if old:
        seen = ", ".join(f"{one.name} {one.found or 'is missing'} (at least {one.least})" for one in old)
        return failed("versions", seen, "install assay anew with its dependencies: pip install --upgrade assay")
    shown = ", ".join(f"{one.name} {one.found}" for one in machine.libraries if one.name in {"grpcio", "cryptography"})
    return ok("versions", f"assay {machine.assay}, Python {machine.python}, {shown}, {machine.openssl}")


def _check_kernel(machine: Machine) -> Finding:
    if not machine.kernel.startswith("Linux"):
        return failed("kernel", machine.kernel, "run the daemons on Linux: workloads are told by what its kernel says")
    if machine.peer_pidfd:
        return ok("kernel", f"{machine.kernel}: SO_PEERPIDFD and pidfd_open are there")
    lacks = "SO_PEERPIDFD" if machine.pidfd else "SO_PEERPIDFD and pidfd_open"
    return warning(
        "kernel", f"{machine.kernel} lacks {lacks}: callers are told by process number and start time",
        "use Linux 6.5 or later, or a sandbox that lets these through",
    )  # fmt: skip


def _check_files(limit: int | None) -> Finding:
    if limit is None or limit >= LEAST_FILES:
        return ok("open files", f"a process started from here may open {limit or 'any number'}")
    return warning(
        "open files", f"a process started from here may open {limit}; a caller takes up to four",
        f"raise the hard limit to {LEAST_FILES} or more: `ulimit -Hn`, or LimitNOFILE= of the unit",
    )  # fmt: skip


def _libraries() -> Iterator[Library]:
    for line in _required():
        if found := _REQUIREMENT.match(line):
            yield Library(found[1], found[2], _version(found[1]))


def _required() -> Iterable[str]:
    try:
        return requires("assay") or ()
    except PackageNotFoundError:
        return ()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True


def _has_peer_pidfd() -> bool:
    one, other = socket.socketpair()
    with one, other:
        try:
            os.close(one.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD))
        except OSError:
            return False
    return True
