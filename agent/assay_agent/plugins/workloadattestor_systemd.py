"""Workload attestation by the systemd unit that a process belongs to, from files that only the system writes.

A process says nothing here: not its environment, which it can set itself, but its control group says the unit, and
systemd's own record in /run says which invocation of it runs.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from assay.errors import NotFoundError, UnavailableError
from assay.selector import Selector

# Names of units that have processes (systemd.unit(5)); a slice only holds others.
_UNIT = re.compile(r"[\w:.\\@-]{1,240}\.(service|scope|socket|mount|swap)", re.ASCII)
_INVOCATION = re.compile(r"[0-9a-f]{32}")
# Where unit files are looked for, the first that has it wins (systemd.unit(5), system units).
_UNIT_PATH = (
    *("etc/systemd/system.control", "run/systemd/system.control", "run/systemd/transient"),
    *("run/systemd/generator.early", "etc/systemd/system", "etc/systemd/system.attached"),
    *("run/systemd/system", "run/systemd/system.attached", "run/systemd/generator"),
    *("usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "run/systemd/generator.late"),
)


class SystemdAttestor:
    """Selectors `id`, `fragment_path` and `invocation` of the system's unit.

    A user's own units all belong to one of the system's, `user@UID.service`.
    `root` is the folder that the host's files are under.
    """

    name = "systemd"

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        """Selectors of the process.

        Raises:
            UnavailableError: the process is gone, or its unit cannot be told.
            NotFoundError: it belongs to no unit.
        """
        unit = unit_of(self._control_groups(pid))
        values = [f"id:{unit}", f"fragment_path:{self._fragment_path(unit)}"]
        if invocation := self._invocation(unit):
            values.append(f"invocation:{invocation}")
        return tuple(Selector(self.name, value) for value in values)

    def _control_groups(self, pid: int) -> str:
        try:
            return (self._root / f"proc/{pid}/cgroup").read_text(errors="replace")
        except OSError as error:
            raise UnavailableError(f"failed to get process: {error.strerror}") from None

    def _invocation(self, unit: str) -> str:
        """A unit that systemd did not start, such as a session's scope, may have none."""
        try:
            found = str((self._root / f"run/systemd/units/invocation:{unit}").readlink())
        except OSError:
            return ""
        return found if _INVOCATION.fullmatch(found) else ""

    def _fragment_path(self, unit: str) -> str:
        """Of an instance its own file or the template's; empty as in SPIRE where there is none."""
        for name in _file_names(unit):
            for folder in _UNIT_PATH:
                if (self._root / folder / name).is_file():
                    return f"/{folder}/{name}"
        return ""


def unit_of(control_groups: str) -> str:
    """The system's unit, by the text of /proc/PID/cgroup: the first below the slices, whatever it holds itself.

    Raises:
        NotFoundError: there is none.
    """
    for path in _paths(control_groups):
        below = [part for part in path.split("/") if part and not part.endswith(".slice")]
        # The kernel's own names are escaped by an underscore (cgroup v1's `tasks` and the like).
        if below and _UNIT.fullmatch(unit := below[0].removeprefix("_")):
            return unit
    raise NotFoundError("process belongs to no systemd unit")


def _paths(control_groups: str) -> Iterator[str]:
    """Of systemd's hierarchy: its own in version 1, or else the one of version 2."""
    yield from re.findall(r"^\d+:name=systemd:(.*)$", control_groups, re.MULTILINE)
    yield from re.findall(r"^0::(.*)$", control_groups, re.MULTILINE)


def _file_names(unit: str) -> Iterator[str]:
    yield unit
    prefix, at, rest = unit.partition("@")
    if at:
        yield f"{prefix}@.{rest.rpartition('.')[2]}"
