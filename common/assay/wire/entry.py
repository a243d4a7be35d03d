"""Registration entries as spire.api.types.Entry, whole or through an EntryMask."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import selector as selectors_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.types import entry_pb2

Message = entry_pb2.Entry
Mask = entry_pb2.EntryMask


def to_proto(entry: Entry, mask: Mask | None = None) -> Message:
    """The message with the fields the mask names (all without a mask); the ID is always there."""
    message = Message()
    fill(message, entry, left_out(mask))
    return message


def left_out(mask: Mask | None) -> tuple[str, ...]:
    """The fields that the mask does not name."""
    return () if mask is None else tuple(name for name in _MASKED if not getattr(mask, name))


def fill(message: Message, entry: Entry, without: Sequence[str] = ()) -> None:
    """Write the entry into an empty message, but for these fields.

    For messages inside of others: filling them in their place is half the work of making them and copying them there.
    """
    message.id = entry.id
    _fill_ids(message, entry)
    _fill_lists(message, entry)
    _fill_values(message, entry)
    if entry.disable_x509_svid_prefetch or entry.jwt_svid_include_jti:
        # SPIRE sends the message only for entries that were given one; both values false is as good as none.
        message.additional_attributes.disable_x509_svid_prefetch = entry.disable_x509_svid_prefetch
        message.additional_attributes.jwt_svid_include_jti = entry.jwt_svid_include_jti
    for name in without:
        message.ClearField(name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - the mask's names are the message's


def from_proto(message: Message) -> Entry:
    """The value; nothing is checked beyond what the value itself demands.

    Raises:
        InvalidArgumentError: SPIFFE ID, parent ID, a selector or a trust domain is missing or malformed.
    """
    # The parent is looked at first, as in SPIRE: its clients are told of the first error only.
    parent_id = _parent_id(message)
    attributes = message.additional_attributes
    return Entry(
        id=message.id,
        spiffe_id=_spiffe_id(message, parent_id.trust_domain),
        parent_id=parent_id,
        selectors=selectors_wire.set_from_proto(message.selectors),
        x509_svid_ttl=message.x509_svid_ttl,
        jwt_svid_ttl=message.jwt_svid_ttl,
        federates_with=_trust_domains(message),
        dns_names=tuple(message.dns_names),
        hint=message.hint,
        admin=message.admin,
        downstream=message.downstream,
        store_svid=message.store_svid,
        expires_at=message.expires_at,
        revision=message.revision_number,
        created_at=message.created_at,
        disable_x509_svid_prefetch=attributes.disable_x509_svid_prefetch,
        jwt_svid_include_jti=attributes.jwt_svid_include_jti,
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
        changes["parent_id"] = _parent_id(message)
    if mask.spiffe_id:
        changes["spiffe_id"] = _spiffe_id(message)
    for name, fields in _READ.items():
        if getattr(mask, name):
            changes.update({field: read(message) for field, read in fields.items()})
    return replace(entry, **changes)


def _fill_ids(message: Message, entry: Entry) -> None:
    spiffe_id, parent_id = message.spiffe_id, message.parent_id
    spiffe_id.trust_domain = entry.spiffe_id.trust_domain.name
    spiffe_id.path = entry.spiffe_id.path
    parent_id.trust_domain = entry.parent_id.trust_domain.name
    parent_id.path = entry.parent_id.path


def _fill_lists(message: Message, entry: Entry) -> None:
    add = message.selectors.add
    for selector in entry.selectors:
        add(type=selector.type, value=selector.value)
    if entry.federates_with:
        message.federates_with.extend([trust_domain.name for trust_domain in entry.federates_with])
    if entry.dns_names:
        message.dns_names.extend(entry.dns_names)


def _fill_values(message: Message, entry: Entry) -> None:
    # What most entries do not have is not set: the field of an empty message is zero.
    if entry.x509_svid_ttl:
        message.x509_svid_ttl = entry.x509_svid_ttl
    if entry.jwt_svid_ttl:
        message.jwt_svid_ttl = entry.jwt_svid_ttl
    if entry.hint:
        message.hint = entry.hint
    if entry.admin:
        message.admin = True
    if entry.downstream:
        message.downstream = True
    if entry.store_svid:
        message.store_svid = True
    if entry.expires_at:
        message.expires_at = entry.expires_at
    if entry.revision:
        message.revision_number = entry.revision
    if entry.created_at:
        message.created_at = entry.created_at


def _spiffe_id(message: Message, known: TrustDomain | None = None) -> SpiffeId:
    """`known` is a trust domain that it may well be in, so that its name need not be checked once more."""
    try:
        if known is not None and message.spiffe_id.trust_domain == known.name:
            return SpiffeId(known, message.spiffe_id.path)
        return spiffeid_wire.in_field(message, "spiffe_id")
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid spiffe ID: {error.message}", hint=error.hint) from None


def _parent_id(message: Message) -> SpiffeId:
    try:
        return spiffeid_wire.in_field(message, "parent_id")
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid parent ID: {error.message}", hint=error.hint) from None


def _trust_domains(message: Message) -> tuple[TrustDomain, ...]:
    if not message.federates_with:
        return ()
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

_MASKED = (*_READ, "spiffe_id", "parent_id")
