"""Certificates as SPIRE's debug APIs describe them."""

from typing import TypedDict

from cryptography import x509
from cryptography.x509.oid import NameOID

from assay.svid.x509 import certificate_id
from assay.wire import spiffeid
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID

# Go's name for it; RFC 4514 has none.
_NAMES = {NameOID.SERIAL_NUMBER: "SERIALNUMBER"}


class Described(TypedDict):
    """The fields of GetInfoResponse.Cert, which the server's and the agent's API each have."""

    id: SPIFFEID | None
    expires_at: int
    subject: str


def described(one: x509.Certificate) -> Described:
    """A certificate of a chain."""
    spiffe_id = certificate_id(one)
    return Described(
        id=None if spiffe_id is None else spiffeid.to_proto(spiffe_id),
        expires_at=int(one.not_valid_after_utc.timestamp()),
        subject=one.subject.rfc4514_string(_NAMES),
    )
