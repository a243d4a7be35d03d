"""Hints are unique in an answer (Workload API, section 5.2.1): of several entries with one hint the oldest stays."""

from collections.abc import Iterable

from assay.entry import Entry


def repeated_hints(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries to leave out: per hint all but the one created first (same second: with the smallest ID)."""
    kept: dict[str, Entry] = {}
    by_age = sorted(entries, key=_age)
    return tuple(entry for entry in by_age if entry.hint and kept.setdefault(entry.hint, entry) is not entry)


def _age(entry: Entry) -> tuple[int, str]:
    return entry.created_at, entry.id
