"""Entries written into the list of a response, where they are: making messages first and copying them costs twice."""

from collections.abc import Iterable
from typing import Protocol

from assay.entry import Entry
from assay.wire import entry as entry_wire
from assay_proto.spire.api.types import entry_pb2


class Messages(Protocol):
    """The list."""

    def add(self) -> entry_pb2.Entry:
        """A new empty message at its end."""
        ...


def write_entries(messages: Messages, entries: Iterable[Entry], mask: entry_pb2.EntryMask | None = None) -> None:
    """Add the entries with the fields that the mask names (all without a mask)."""
    left_out = entry_wire.left_out(mask)
    for entry in entries:
        entry_wire.fill(messages.add(), entry, left_out)
