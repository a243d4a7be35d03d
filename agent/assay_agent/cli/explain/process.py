"""Processes and users of this machine, as an operator names them."""

import os
import pwd
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assay.selector import Selector
from assay_agent.plugins.workloadattestor_names import group_name

_NSPID = re.compile(r"^NSpid:\s+(.+)$", re.MULTILINE)
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A process: its PID namespace (None if it may not be seen), and its number in each namespace from ours inwards."""

    namespace: str | None
    numbers: tuple[int, ...]


def number_for(agent: Numbered, process: Numbered, own_namespace: str | None) -> int | None:
    """The process's number where the agent is; None when the agent cannot see it."""
    if agent.namespace is None or process.namespace is None or agent.namespace == own_namespace:
        return process.numbers[0]
    if agent.namespace == process.namespace:
        return process.numbers[-1]
    # Below the agent's namespace it has one number for each level between.
    depth = len(agent.numbers)
    return process.numbers[depth - 1] if len(process.numbers) > depth else None


def look_at(pid: int) -> Numbered | None:
    """That process; None if there is none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = _NSPID.search(status)
    numbers = tuple(map(int, found[1].split())) if found else (pid,)
    return Numbered(namespace_of(str(pid)), numbers)


def namespace_of(pid: str) -> str | None:
    """The PID namespace of a process; None if it may not be seen."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def peer_pid(path: Path) -> int:
    """Who listens on that socket; 0 if that cannot be told."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(path))
        pid: int = _CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid
    return 0


def program_of(pid: int) -> str:
    """The path of its program, or its bare name where the path is not ours to see; empty if there is neither."""
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink())
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return ""


def account_selectors(uid: int) -> frozenset[Selector]:
    """What the unix attestor would find of a process that this user starts; without an account, the number alone."""
    try:
        account = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return frozenset({Selector("unix", f"uid:{uid}")})
    values = [f"uid:{uid}", f"user:{account.pw_name}", *_group("gid", "group", account.pw_gid)]
    for gid in os.getgrouplist(account.pw_name, account.pw_gid):
        values += _group("supplementary_gid", "supplementary_group", gid)
    return frozenset(Selector("unix", value) for value in values)


def _group(number: str, name: str, gid: int) -> list[str]:
    known = group_name(gid)
    return [f"{number}:{gid}", *([f"{name}:{known}"] if known else [])]
