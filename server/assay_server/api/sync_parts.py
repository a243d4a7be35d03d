"""One update of a view as messages of bounded size."""

from collections.abc import Callable, Iterator
from functools import partial

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import TrustDomain
from assay.wire import bundle as bundle_wire
from assay.wire import entry as entry_wire
from assay_proto.sync.v1 import sync_pb2
from assay_server.authorization.view import Position, ViewUpdate

MAX_OBJECTS = 500
MAX_BYTES = 1024 * 1024
"""After so many bytes a message is closed; gRPC refuses those of more than 4 MiB unless told otherwise."""

_Piece = Callable[[sync_pb2.WatchResponse], int]
"""Writes one object into a message; how many bytes that makes."""


def parts(update: ViewUpdate) -> Iterator[sync_pb2.WatchResponse]:
    """The update's messages, at least one; the last one carries the position."""
    current = _Part(update)
    for piece in _pieces(update):
        if current.full:
            yield current.closed()
            current = _Part(update)
        current.add(piece)
    yield current.closed(update.position)


class _Part:
    def __init__(self, update: ViewUpdate) -> None:
        self._message = sync_pb2.WatchResponse(snapshot=update.snapshot)
        self._objects = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        return self._objects >= MAX_OBJECTS or self._bytes >= MAX_BYTES

    def add(self, piece: _Piece) -> None:
        self._bytes += piece(self._message)
        self._objects += 1

    def closed(self, position: Position | None = None) -> sync_pb2.WatchResponse:
        self._message.more = position is None
        if position is not None:
            self._message.position.incarnation = position.incarnation
            self._message.position.sequence = position.sequence
        return self._message


def _pieces(update: ViewUpdate) -> Iterator[_Piece]:
    if update.bundle is not None:
        yield partial(_write_bundle, update.bundle)
    for bundle in update.federated:
        yield partial(_write_federated, bundle)
    for trust_domain in update.removed_federated:
        yield partial(_write_removed_federated, trust_domain)
    for entry in update.entries:
        yield partial(_write_entry, entry)
    for entry_id in update.removed:
        yield partial(_write_removed, entry_id)


def _write_bundle(bundle: Bundle, message: sync_pb2.WatchResponse) -> int:
    message.bundle.CopyFrom(bundle_wire.to_proto(bundle))
    return message.bundle.ByteSize()


def _write_federated(bundle: Bundle, message: sync_pb2.WatchResponse) -> int:
    added = message.federated_bundles.add()
    added.CopyFrom(bundle_wire.to_proto(bundle))
    return added.ByteSize()


def _write_removed_federated(trust_domain: TrustDomain, message: sync_pb2.WatchResponse) -> int:
    message.removed_federated_bundles.append(trust_domain.name)
    return len(trust_domain.name)


def _write_entry(entry: Entry, message: sync_pb2.WatchResponse) -> int:
    added = message.entries.add()
    entry_wire.fill(added, entry)
    return added.ByteSize() + (_write_binding(entry, message) if entry.principal else 0)


def _write_binding(entry: Entry, message: sync_pb2.WatchResponse) -> int:
    added = message.bindings.add(entry_id=entry.id, principal=entry.principal, instance_from=entry.instance_from)
    return added.ByteSize()


def _write_removed(entry_id: str, message: sync_pb2.WatchResponse) -> int:
    message.removed_entry_ids.append(entry_id)
    return len(entry_id)
