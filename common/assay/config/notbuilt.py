"""Keys that are valid for SPIRE and do nothing here yet: said, never ignored.

One rule decides how: where the daemon would do something else than the file says, above all something less safe, the
key is a fault and the daemon does not start. Where something is only absent, so that whoever calls for it finds nobody,
or where the key tunes what works otherwise here, it is a warning.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

from assay.config.document import Document, KeyPath, is_section
from assay.config.fault import Fault

_NOTHING: tuple[object, ...] = (False, "", 0, "false", None)


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """What to say about a key. Values in `quiet` ask for nothing and are passed over."""

    reason: str
    fatal: bool = True
    quiet: tuple[object, ...] = _NOTHING


def warned(reason: str, *quiet: object) -> NotBuilt:
    """A key that only earns a warning."""
    return NotBuilt(reason, fatal=False, quiet=quiet or _NOTHING)


@dataclass(frozen=True, slots=True)
class Sifted:
    """The data without those keys, and what there is to say about them."""

    data: dict[str, object]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def sift(document: Document, data: dict[str, object], table: Mapping[KeyPath, NotBuilt]) -> Sifted:
    """Take the keys of `table` out of the data."""
    rest = deepcopy(data)
    faults: list[Fault] = []
    warnings: list[Fault] = []
    for path, row in table.items():
        found, value = _take(rest, path)
        if found and value not in row.quiet and value not in ([], {}):
            (faults if row.fatal else warnings).append(document.fault(path, row.reason))
    return Sifted(rest, tuple(faults), tuple(warnings))


def _take(data: dict[str, object], path: KeyPath) -> tuple[bool, object]:
    section: object = data
    for key in path[:-1]:
        section = section.get(str(key)) if is_section(section) else None
    key = str(path[-1])
    if not is_section(section) or key not in section:
        return False, None
    return True, section.pop(key)
