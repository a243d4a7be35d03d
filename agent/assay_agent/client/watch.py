"""The agent's side of Watch: parts of an update are gathered and handed on as one."""

from collections.abc import Iterable
from dataclasses import replace

import structlog

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AssayError
from assay.rpc.client import Channel
from assay.spiffeid import TrustDomain
from assay.wire import bundle as bundle_wire
from assay.wire.service import SYNC, Exchange
from assay_agent.client.entries import parse_entry
from assay_agent.client.values import Position, WatchUpdate
from assay_proto.spire.api.types import bundle_pb2
from assay_proto.sync.v1 import sync_pb2

log = structlog.get_logger(__name__)


def call(channel: Channel) -> Exchange[sync_pb2.WatchRequest, sync_pb2.WatchResponse]:
    """The stream, of which one request is to be written."""
    return Exchange(channel, SYNC.methods_by_name["Watch"], sync_pb2.WatchResponse)


def request(position: Position | None) -> sync_pb2.WatchRequest:
    """Ask for what follows `position`; for a snapshot without one."""
    if position is None:
        return sync_pb2.WatchRequest()
    return sync_pb2.WatchRequest(
        position=sync_pb2.Position(incarnation=position.incarnation, sequence=position.sequence)
    )


class Gathering:
    """The parts of one update that have come so far."""

    def __init__(self) -> None:
        self._parts: list[sync_pb2.WatchResponse] = []

    def add(self, part: sync_pb2.WatchResponse) -> WatchUpdate | None:
        """The whole update if this was its last part."""
        self._parts.append(part)
        if part.more:
            return None
        update = _update(self._parts)
        self._parts = []
        return update


def _update(parts: list[sync_pb2.WatchResponse]) -> WatchUpdate:
    last = parts[-1]
    own = [part.bundle for part in parts if part.HasField("bundle")]
    return WatchUpdate(
        position=Position(last.position.incarnation, last.position.sequence),
        snapshot=last.snapshot,
        entries=tuple(entry for part in parts for entry in _entries(part)),
        removed=tuple(entry_id for part in parts for entry_id in part.removed_entry_ids),
        bundle=next(iter(parse_bundles(reversed(own))), None),
        federated=parse_bundles(bundle for part in parts for bundle in part.federated_bundles),
        removed_federated=tuple(TrustDomain.parse(name) for part in parts for name in part.removed_federated_bundles),
    )


def _entries(part: sync_pb2.WatchResponse) -> Iterable[Entry]:
    bindings = {one.entry_id: one for one in part.bindings}
    for message in part.entries:
        entry = parse_entry(message)
        if entry is not None and (binding := bindings.get(entry.id)) is not None:
            yield replace(entry, principal=binding.principal, instance_from=binding.instance_from)
        elif entry is not None:
            yield entry


def parse_bundles(messages: Iterable[bundle_pb2.Bundle]) -> tuple[Bundle, ...]:
    """Those that this agent understands; for the others there is a warning."""
    return tuple(bundle for message in messages if (bundle := _parse_bundle(message)) is not None)


def _parse_bundle(message: bundle_pb2.Bundle) -> Bundle | None:
    try:
        return bundle_wire.from_proto(message)
    except AssayError as error:
        log.warning(
            "Received malformed bundle from server; are the server and agent versions compatible?",
            trust_domain_id=message.trust_domain,
            error=str(error),
        )
        return None
