"""A configuration as read: plain values, and where each stood."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

from assay.config.fault import Fault

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_DEPTH = 64
"""Levels of sections and lists within one another; the deepest setting there is has five."""


def dotted(path: KeyPath) -> str:
    """A path as people write it: `plugins.NodeAttestor.x509pop`, `server.admin_ids[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def is_section(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value of a Document is a section; its keys are always text."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether a value of a Document is a list."""
    return isinstance(value, list)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says.

    `data` has only str, int, float, bool, None, dict and list. `lines` has the line of a path where it is known, and
    `flags` the command line flag that a value came from.
    """

    name: str
    data: dict[str, object]
    lines: Mapping[KeyPath, int] = field(default_factory=dict[KeyPath, int])
    faults: tuple[Fault, ...] = ()
    flags: Mapping[KeyPath, str] = field(default_factory=dict[KeyPath, str])

    def where(self, path: KeyPath) -> str:
        """The place of that path, or of the nearest section around it whose place is known."""
        if path in self.flags:
            return self.flags[path]
        for length in range(len(path), 0, -1):
            if line := self.lines.get(path[:length]):
                return f"{self.name}:{line}"
        return self.name

    def fault(self, path: KeyPath, reason: str) -> Fault:
        """A fault at that path."""
        return Fault(self.where(path), dotted(path), reason)
