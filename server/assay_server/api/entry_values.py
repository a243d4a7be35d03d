"""Entries written into the list of a response, where they are: making messages first and copying them costs twice."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

from assay.entry import Entry
from assay.rpc.method import Context
from assay.wire import entry as entry_wire
from assay_proto.spire.api.types import entry_pb2

# Entries that are written in one turn of the loop, some two milliseconds.
_TURN = 250


class Messages(Protocol):
    """The list."""

    def add(self) -> entry_pb2.Entry:
        """A new empty message at its end."""
        ...


async def write_in_turns(
    messages: Messages, entries: Iterable[Entry], context: Context, mask: entry_pb2.EntryMask | None = None
) -> None:
    """As `write_entries`, with other callers' turns between pieces of many."""
    for piece in _pieces(entries):
        await context.turn()
        write_entries(messages, piece, mask)


def write_entries(messages: Messages, entries: Iterable[Entry], mask: entry_pb2.EntryMask | None = None) -> None:
    """Add the entries with the fields that the mask names (all without a mask)."""
    left_out = entry_wire.left_out(mask)
    for entry in entries:
        entry_wire.fill(messages.add(), entry, left_out)


def _pieces(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while piece := list(islice(rest, _TURN)):
        yield piece
