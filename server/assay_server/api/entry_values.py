"""Entries written into the list of a response, where they are: making messages first and copying them costs twice."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from google.protobuf.message import Message

from assay.entry import Entry
from assay.rpc.method import Context
from assay.wire import entry as entry_wire
from assay_proto.spire.api.types import entry_pb2

# Entries that are written in one turn of the loop, some two milliseconds.
_TURN = 250

# Bytes at most of what is beside a message's entries, a token say, and of what stands before each of them.
_OVERHEAD, _OVERHEAD_OF_ONE = 64, 6


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


def fitting(message: Message, entries: Sequence[entry_pb2.Entry], most_bytes: int) -> int:
    """How many of the entries that are in the message may stay for it not to be longer; one at least, if there is one.

    gRPC's clients refuse messages of more than 4 MiB unless told otherwise.
    """
    if message.ByteSize() <= most_bytes:
        return len(entries)
    left = most_bytes - _OVERHEAD
    for count, entry in enumerate(entries):
        left -= entry.ByteSize() + _OVERHEAD_OF_ONE
        if left < 0:
            return max(1, count)
    return len(entries)


def _pieces(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while piece := list(islice(rest, _TURN)):
        yield piece
