"""Registration entries as spire.api.types.Entry, whole or through an EntryMask."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import selector as selectors_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.types import entry_pb2
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID

Message = entry_pb2.Entry
Mask = entry_pb2.EntryMask


def to_proto(entry: Entry, mask: Mask | None = None) -> Message:
    """The message with the fields the mask names (all without a mask); the ID is always there."""
    if mask is None:
        message = Message(**{name: fill(entry) for name, fill in _FILL.items()})
    else:
        message = Message(**{name: fill(entry) for name, fill in _FILL.items() if getattr(mask, name)})
    message.id = entry.id
    return message


def from_proto(message: Message) -> Entry:
    """The value; nothing is checked beyond what the value itself demands.

    Raises:
        InvalidArgumentError: SPIFFE ID, parent ID, a selector or a trust domain is missing or malformed.
    """
    # The parent is looked at first, as in SPIRE: its clients are told of the first error only.
    return Entry(
        parent_id=_parent_id(message.parent_id),
        spiffe_id=_spiffe_id(message.spiffe_id),
        id=message.id,
        **{field: read(message) for names in _READ.values() for field, read in names.items()},
    )


def merge(entry: Entry, message: Message, mask: Mask | None = None) -> Entry:
    """The entry with the fields the mask names (all without a mask) taken from the message; the ID stays.

    Raises:
        InvalidArgumentError: a field that is taken is malformed.
    """
    if mask is None:
        return replace(from_proto(message), id=entry.id)
    changes: dict[str, Any] = {}
    if mask.parent_id:
        changes["parent_id"] = _parent_id(message.parent_id)
    if mask.spiffe_id:
        changes["spiffe_id"] = _spiffe_id(message.spiffe_id)
    for name, fields in _READ.items():
        if getattr(mask, name):
            changes.update({field: read(message) for field, read in fields.items()})
    return replace(entry, **changes)


def _attributes(entry: Entry) -> Message.AdditionalAttributes | None:
    # SPIRE sends the message only for entries that were given one; both values false is as good as none.
    if not entry.disable_x509_svid_prefetch and not entry.jwt_svid_include_jti:
        return None
    return Message.AdditionalAttributes(
        disable_x509_svid_prefetch=entry.disable_x509_svid_prefetch, jwt_svid_include_jti=entry.jwt_svid_include_jti
    )


# Field of the message (and of the mask) -> its content.
_FILL: Mapping[str, Callable[[Entry], Any]] = {
    "spiffe_id": lambda entry: spiffeid_wire.to_proto(entry.spiffe_id),
    "parent_id": lambda entry: spiffeid_wire.to_proto(entry.parent_id),
    "selectors": lambda entry: [selectors_wire.to_proto(selector) for selector in entry.selectors],
    "x509_svid_ttl": lambda entry: entry.x509_svid_ttl,
    "jwt_svid_ttl": lambda entry: entry.jwt_svid_ttl,
    "federates_with": lambda entry: [trust_domain.name for trust_domain in entry.federates_with],
    "dns_names": lambda entry: entry.dns_names,
    "hint": lambda entry: entry.hint,
    "admin": lambda entry: entry.admin,
    "downstream": lambda entry: entry.downstream,
    "store_svid": lambda entry: entry.store_svid,
    "expires_at": lambda entry: entry.expires_at,
    "revision_number": lambda entry: entry.revision,
    "created_at": lambda entry: entry.created_at,
    "additional_attributes": _attributes,
}


def _spiffe_id(message: SPIFFEID) -> SpiffeId:
    try:
        return spiffeid_wire.from_proto(message)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid spiffe ID: {error.message}", hint=error.hint) from None


def _parent_id(message: SPIFFEID) -> SpiffeId:
    try:
        return spiffeid_wire.from_proto(message)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid parent ID: {error.message}", hint=error.hint) from None


def _trust_domains(message: Message) -> tuple[TrustDomain, ...]:
    try:
        return tuple(TrustDomain.parse(name) for name in message.federates_with)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid federated trust domain: {error.message}", hint=error.hint) from None


# Field of the message (and of the mask) -> fields of the value that it carries.
_READ: Mapping[str, Mapping[str, Callable[[Message], Any]]] = {
    "selectors": {"selectors": lambda message: selectors_wire.set_from_proto(message.selectors)},
    "x509_svid_ttl": {"x509_svid_ttl": lambda message: message.x509_svid_ttl},
    "jwt_svid_ttl": {"jwt_svid_ttl": lambda message: message.jwt_svid_ttl},
    "federates_with": {"federates_with": _trust_domains},
    "dns_names": {"dns_names": lambda message: tuple(message.dns_names)},
    "hint": {"hint": lambda message: message.hint},
    "admin": {"admin": lambda message: message.admin},
    "downstream": {"downstream": lambda message: message.downstream},
    "store_svid": {"store_svid": lambda message: message.store_svid},
    "expires_at": {"expires_at": lambda message: message.expires_at},
    "revision_number": {"revision": lambda message: message.revision_number},
    "created_at": {"created_at": lambda message: message.created_at},
    "additional_attributes": {
        "disable_x509_svid_prefetch": lambda message: message.additional_attributes.disable_x509_svid_prefetch,
        "jwt_svid_include_jti": lambda message: message.additional_attributes.jwt_svid_include_jti,
    },
}
