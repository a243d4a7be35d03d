"""One update of a view as messages of bounded size."""

from collections.abc import Iterator

from assay.wire import bundle as bundle_wire
from assay.wire import entry as entry_wire
from assay_proto.sync.v1 import sync_pb2
from assay_server.authorization.view import Position, ViewUpdate

MAX_OBJECTS = 500
MAX_BYTES = 1024 * 1024
"""After so many bytes a message is closed; gRPC refuses those of more than 4 MiB unless told otherwise."""


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

    def add(self, piece: sync_pb2.WatchResponse) -> None:
        self._message.MergeFrom(piece)
        self._objects += 1
        self._bytes += piece.ByteSize()

    def closed(self, position: Position | None = None) -> sync_pb2.WatchResponse:
        self._message.more = position is None
        if position is not None:
            self._message.position.incarnation = position.incarnation
            self._message.position.sequence = position.sequence
        return self._message


def _pieces(update: ViewUpdate) -> Iterator[sync_pb2.WatchResponse]:
    if update.bundle is not None:
        yield sync_pb2.WatchResponse(bundle=bundle_wire.to_proto(update.bundle))
    for bundle in update.federated:
        yield sync_pb2.WatchResponse(federated_bundles=[bundle_wire.to_proto(bundle)])
    for trust_domain in update.removed_federated:
        yield sync_pb2.WatchResponse(removed_federated_bundles=[trust_domain.name])
    for entry in update.entries:
        yield sync_pb2.WatchResponse(entries=[entry_wire.to_proto(entry)])
    for entry_id in update.removed:
        yield sync_pb2.WatchResponse(removed_entry_ids=[entry_id])
