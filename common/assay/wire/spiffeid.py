"""SPIFFE IDs as spire.api.types.SPIFFEID."""

from google.protobuf.message import Message

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID


def to_proto(spiffe_id: SpiffeId) -> SPIFFEID:
    """The message; the path keeps its leading slash."""
    return SPIFFEID(trust_domain=spiffe_id.trust_domain.name, path=spiffe_id.path)


def from_proto(message: SPIFFEID) -> SpiffeId:
    """The value; the trust domain may be a name or `spiffe://name`, as SPIRE takes both.

    Raises:
        InvalidArgumentError: it is no SPIFFE ID.
    """
    return SpiffeId(TrustDomain.parse(message.trust_domain), message.path)


def in_field(message: Message, name: str) -> SpiffeId:
    """The value of a message's field.

    Raises:
        InvalidArgumentError: it is not set, or it is no SPIFFE ID.
    """
    if not message.HasField(name):
        raise InvalidArgumentError("request must specify SPIFFE ID")
    value: SPIFFEID = getattr(message, name)
    return from_proto(value)
