"""Workload attestation by what the kernel says of a process: its user, its groups and, if asked for, its program."""

import asyncio
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.clock import Clock
from assay.errors import FailedPreconditionError, UnavailableError
from assay.selector import Selector
from assay.transport.peer import start_time
from assay_agent.plugins.workloadattestor_names import Names, group_name, user_name

PROC = Path("/proc")
# Uid and Gid in /proc/PID/status are the real, effective, saved and file system ones. The program's name comes before
# them, with its line ends escaped.
_STATUS = re.compile(rb"\nUid:\s+\d+\s+(\d+)\s.*\nGid:\s+\d+\s+(\d+)\s.*\n(?:.+\n)*?Groups:([\d \t]*)\n")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The effective user and group, and the supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def parse(cls, status: bytes) -> "Credentials":
        """From /proc/PID/status.

        Raises:
            UnavailableError: a line is missing, as in the file of a process that has just gone.
        """
        found = _STATUS.search(status)
        if found is None:
            raise UnavailableError("process status is incomplete")
        uid, gid, groups = found.groups()
        return cls(int(uid), int(gid), tuple(map(int, groups.split())))


class UnixAttestor:
    """Selectors `uid`, `user`, `gid`, `group`, `supplementary_gid` and `supplementary_group`.

    With `discover_workload_path` also `path` and `sha256` of the program, which needs the right to look into other
    users' processes. `workload_size_limit` is in bytes: a larger program is refused; 0 is no limit, below 0 no digest.
    Instances it tells apart are processes.
    """

    name = "unix"

    def __init__(
        self,
        clock: Clock,
        *,
        discover_workload_path: bool = False,
        workload_size_limit: int = 0,
        proc: Path = PROC,
    ) -> None:
        self._users = Names(user_name, clock)
        self._groups = Names(group_name, clock)
        self._discover = discover_workload_path
        self._size_limit = workload_size_limit
        self._proc = str(proc)

    @property
    def withheld(self) -> Mapping[str, str]:
        """The program's selectors, where it is not looked at; its digest alone, where that is switched off."""
        if not self._discover:
            return dict.fromkeys(("path", "sha256"), "discover_workload_path = true")
        return {} if self._size_limit >= 0 else {"sha256": "workload_size_limit = 0"}

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        """Selectors of the process.

        Raises:
            UnavailableError: the process is gone or may not be looked at.
            FailedPreconditionError: the program is larger than the limit.
        """
        values = await self._account(_credentials(Path(f"{self._proc}/{pid}/status")))
        if self._discover:
            values += await self._program(Path(f"{self._proc}/{pid}/exe"))
        return tuple(Selector(self.name, value) for value in values)

    @property
    def instance_keys(self) -> Collection[str]:
        """Each process is one."""
        return ("process",)

    async def instance(self, key: str, pid: int) -> str:  # noqa: ARG002 - there is only one
        """The process, by the boot, its number and when it began: a number that is used again began later.

        Raises:
            UnavailableError: there is no such process.
        """
        started = start_time(pid, self._proc)
        if started is None:
            raise UnavailableError("failed to get process: no such process")
        return f"{_boot_id(Path(f'{self._proc}/sys/kernel/random/boot_id'))}:{pid}:{started}"

    async def _account(self, found: Credentials) -> list[str]:
        values = [f"uid:{found.uid}", *_named("user", await self._users.of(found.uid))]
        values += [f"gid:{found.gid}", *_named("group", await self._groups.of(found.gid))]
        for gid in found.groups:
            values += [f"supplementary_gid:{gid}", *_named("supplementary_group", await self._groups.of(gid))]
        return values

    async def _program(self, link: Path) -> list[str]:
        values = [f"path:{_path(link)}"]
        if self._size_limit >= 0:
            # By the link and not by the path it shows: that one may mean another file in our mount namespace.
            digest = await asyncio.get_running_loop().run_in_executor(None, _digest, link, self._size_limit)
            values.append(f"sha256:{digest}")
        return values


def _named(kind: str, name: str | None) -> list[str]:
    return [f"{kind}:{name}"] if name else []


def _credentials(path: Path) -> Credentials:
    try:
        return Credentials.parse(path.read_bytes())
    except OSError as error:
        raise UnavailableError(f"failed to get process: {error.strerror}") from None


def _boot_id(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UnavailableError(f"failed to get boot ID: {error.strerror}") from None


def _path(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError as error:
        raise UnavailableError(
            f"path lookup: {error.strerror}", hint="the agent needs CAP_SYS_PTRACE to see other users' programs"
        ) from None


def _digest(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as program:
            size = program.seek(0, 2)
            if 0 < limit < size:
                raise FailedPreconditionError(f"SHA256 digest: workload {path} exceeds size limit ({size} > {limit})")
            program.seek(0)
            return hashlib.file_digest(program, "sha256").hexdigest()
    except OSError as error:
        raise UnavailableError(f"SHA256 digest: {error.strerror}") from None
