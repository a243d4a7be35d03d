"""What ListAgents and CountAgents filter by."""

from datetime import datetime

from assay.errors import InvalidArgumentError, prefixed
from assay.wire import selector as selector_wire
from assay_proto.spire.api.server.agent.v1 import agent_pb2 as pb
from assay_server.api.match import match_from_proto
from assay_server.datastore.base import NodeFilter, SelectorFilter

Filter = pb.ListAgentsRequest.Filter | pb.CountAgentsRequest.Filter


def node_filter(message: Filter) -> NodeFilter:
    """The filter as the store takes it; an empty message lets all through.

    Raises:
        InvalidArgumentError: a selector, a match or a time is malformed.
    """
    return NodeFilter(
        attestation_type=message.by_attestation_type or None,
        selectors=_selectors(message) if message.HasField("by_selector_match") else None,
        banned=message.by_banned.value if message.HasField("by_banned") else None,
        can_reattest=message.by_can_reattest.value if message.HasField("by_can_reattest") else None,
        expires_before=expires_before(message.by_expires_before) if message.by_expires_before else None,
    )


def expires_before(text: str) -> int:
    """Unix seconds of `2006-01-02 15:04:05 -0700 -07`, the form of SPIRE's command line (Go's time layout).

    Raises:
        InvalidArgumentError: another form.
    """
    # The second zone repeats the first in Go's layout of it; only the first one counts.
    parts = text.split(" ")
    try:
        return int(datetime.strptime(" ".join(parts[:3]), "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:
        raise InvalidArgumentError(
            f'failed to parse expiry "{text}"', hint='write it as "2006-01-02 15:04:05 -0700 -07"'
        ) from None


def _selectors(message: Filter) -> SelectorFilter:
    with prefixed("failed to parse selectors"):
        selectors = selector_wire.set_from_proto(message.by_selector_match.selectors)
        return SelectorFilter(selectors, match_from_proto(message.by_selector_match.match))
