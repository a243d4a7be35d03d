"""Entries as clients send them: read through the input mask, refused in SPIRE's words."""

from collections.abc import Mapping
from types import MappingProxyType

from assay.entry import Entry
from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.spiffeid import TrustDomain
from assay.wire import entry as entry_wire
from assay_proto.spire.api.types import entry_pb2
from assay_proto.spire.api.types.status_pb2 import Status
from assay_server.api.status import failed, refused
from assay_server.registration.entries import EntryUpdate, unique
from assay_server.registration.validate import GovernedEntryError, MalformedEntryError

# Field of the mask -> fields of the entry. Revision and time of creation are ours, whatever the mask says.
_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "spiffe_id": ("spiffe_id",),
        "parent_id": ("parent_id",),
        "selectors": ("selectors",),
        "x509_svid_ttl": ("x509_svid_ttl",),
        "jwt_svid_ttl": ("jwt_svid_ttl",),
        "federates_with": ("federates_with",),
        "dns_names": ("dns_names",),
        "hint": ("hint",),
        "admin": ("admin",),
        "downstream": ("downstream",),
        "store_svid": ("store_svid",),
        "expires_at": ("expires_at",),
        "additional_attributes": ("disable_x509_svid_prefetch", "jwt_svid_include_jti"),
    }
)


def entry_to_create(message: entry_pb2.Entry) -> Entry:
    """The entry as it was sent.

    Raises:
        MalformedEntryError: a field does not parse.
    """
    try:
        entry = entry_wire.from_proto(message)
    except InvalidArgumentError as error:
        raise MalformedEntryError(error.message, hint=error.hint) from None
    _check_distinct(message, entry)
    return entry


def entry_update(message: entry_pb2.Entry, mask: entry_pb2.EntryMask | None, trust_domain: TrustDomain) -> EntryUpdate:
    """The values of the fields the mask names, or of all without a mask.

    Raises:
        MalformedEntryError: one of these does not parse.
    """
    if mask is None:
        return EntryUpdate(entry_to_create(message))
    blank = Entry(message.id, trust_domain.id, trust_domain.id, ())
    try:
        entry = entry_wire.merge(blank, message, mask)
    except InvalidArgumentError as error:
        raise MalformedEntryError(error.message, hint=error.hint) from None
    _check_distinct(message, entry)
    return EntryUpdate(entry, frozenset(field for name in _FIELDS if getattr(mask, name) for field in _FIELDS[name]))


def _check_distinct(message: entry_pb2.Entry, entry: Entry) -> None:
    """What was taken of the message is in the entry, where selectors are distinct."""
    if entry.selectors and len(entry.selectors) < len(message.selectors):
        raise unique("selectors.registered_entry_id, selectors.type, selectors.value", hint="name each selector once")
    if len(set(entry.dns_names)) < len(entry.dns_names):
        raise unique("dns_names.registered_entry_id, dns_names.value", hint="name each DNS name once")


def change_refused(error: AssayError, verb: str) -> Status:
    """The status of an entry that was not created or updated."""
    if isinstance(error, NotFoundError):
        return refused(NotFoundError(f"failed to {verb} entry"))
    if isinstance(error, GovernedEntryError):  # of which SPIRE knows nothing
        return refused(error, f"failed to {verb} entry")
    if isinstance(error, FailedPreconditionError):  # a federated bundle is not there
        return failed(error, f"failed to {verb} entry")
    context = "failed to convert entry" if isinstance(error, MalformedEntryError) else f"failed to {verb} entry"
    return refused(error, context)
