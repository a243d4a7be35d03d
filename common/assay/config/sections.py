"""Sections that a syntax wraps in lists: JSON writes `"server": [{...}]` where HCL has a block."""

from collections.abc import Iterable

from assay.config.document import Document, KeyPath, is_list, is_section
from assay.config.fault import Fault


def unwrap(document: Document, sections: Iterable[KeyPath]) -> tuple[dict[str, object], list[Fault]]:
    """The document's data with those sections as plain ones, and what could not be made one.

    Give outer sections before inner ones. A section whose parts set one key twice is a fault.
    """
    data = dict(document.data)
    faults: list[Fault] = []
    for path in sections:
        parent = _parent(data, path)
        key = str(path[-1])
        if parent is None or key not in parent:
            continue
        section = joined(parent[key])
        if section is None:
            faults.append(document.fault(path, _why(parent[key])))
        parent[key] = {} if section is None else dict(section)
    return data, faults


def joined(value: object) -> dict[str, object] | None:
    """One section from a section, or from a list of sections that share no key; None if it is neither."""
    if value is None:
        return {}
    if is_section(value):
        return value
    if not is_list(value):
        return None
    whole: dict[str, object] = {}
    for part in value:
        if not is_section(part) or whole.keys() & part.keys():
            return None
        whole |= part
    return whole


def _why(value: object) -> str:
    return "is given more than once" if is_list(value) else "is a section: its keys stand in braces after it"


def _parent(data: dict[str, object], path: KeyPath) -> dict[str, object] | None:
    section: object = data
    for key in path[:-1]:
        section = section.get(str(key)) if is_section(section) else None
    return section if is_section(section) else None
