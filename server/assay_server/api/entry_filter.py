"""Filters of ListEntries and CountEntries as the store's, with SPIRE's words for what is malformed."""

from assay.errors import InvalidArgumentError, prefixed
from assay.namespace import require_member, require_workload
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import selector as selector_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.types.federateswith_pb2 import FederatesWithMatch
from assay_proto.spire.api.types.selector_pb2 import SelectorMatch
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.match import match_from_proto
from assay_server.datastore.base import EntryFilter, SelectorFilter, TrustDomainFilter

Filter = entry_pb2.ListEntriesRequest.Filter | entry_pb2.CountEntriesRequest.Filter


def entry_filter(message: Filter, trust_domain: TrustDomain) -> EntryFilter:
    """The filter the message describes; fields that are not set do not filter.

    Raises:
        InvalidArgumentError: a field is set and malformed.
    """
    return EntryFilter(
        spiffe_id=_spiffe_id(message.by_spiffe_id, trust_domain) if message.HasField("by_spiffe_id") else None,
        parent_id=_parent_id(message.by_parent_id, trust_domain) if message.HasField("by_parent_id") else None,
        selectors=_selectors(message.by_selectors) if message.HasField("by_selectors") else None,
        federates_with=_federates_with(message.by_federates_with) if message.HasField("by_federates_with") else None,
        # As in SPIRE, neither an empty hint nor a false flag filters: its command line always sends the flag.
        hint=message.by_hint.value or None,
        downstream=message.by_downstream.value or None,
    )


def _spiffe_id(message: SPIFFEID, trust_domain: TrustDomain) -> SpiffeId:
    with prefixed("malformed SPIFFE ID filter"):
        spiffe_id = spiffeid_wire.from_proto(message)
        require_workload(spiffe_id, trust_domain)
        return spiffe_id


def _parent_id(message: SPIFFEID, trust_domain: TrustDomain) -> SpiffeId:
    with prefixed("malformed parent ID filter"):
        parent_id = spiffeid_wire.from_proto(message)
        require_member(parent_id, trust_domain)
        return parent_id


def _selectors(message: SelectorMatch) -> SelectorFilter:
    with prefixed("malformed selectors filter"):
        selectors = selector_wire.set_from_proto(message.selectors)
        if not selectors:
            raise InvalidArgumentError("empty selector set")
        return SelectorFilter(selectors, match_from_proto(message.match))


def _federates_with(message: FederatesWithMatch) -> TrustDomainFilter:
    with prefixed("malformed federates with filter"):
        names = tuple(TrustDomain.parse(name) for name in message.trust_domains)
        if not names:
            raise InvalidArgumentError("empty trust domain set")
        return TrustDomainFilter(names, match_from_proto(message.match))
