"""Bundles as spire.api.types.Bundle, whole or through a BundleMask."""

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.crypto import certificate, der
from assay.crypto.keys import from_pkix
from assay.errors import InvalidArgumentError, prefixed
from assay.spiffeid import TrustDomain
from assay_proto.spire.api.types import bundle_pb2


def to_proto(bundle: Bundle, mask: bundle_pb2.BundleMask | None = None) -> bundle_pb2.Bundle:
    """The message with the fields the mask names (all without a mask); the trust domain is always there."""
    message = bundle_pb2.Bundle(trust_domain=bundle.trust_domain.name)
    if mask is None or mask.x509_authorities:
        message.x509_authorities.extend(map(_x509_to_proto, bundle.x509_authorities))
    if mask is None or mask.jwt_authorities:
        message.jwt_authorities.extend(map(jwt_key_to_proto, bundle.jwt_authorities))
    if mask is None or mask.wit_authorities:
        message.wit_authorities.extend(map(wit_key_to_proto, bundle.wit_authorities))
    if mask is None or mask.refresh_hint:
        message.refresh_hint = bundle.refresh_hint
    if mask is None or mask.sequence_number:
        message.sequence_number = bundle.sequence
    return message


def from_proto(message: bundle_pb2.Bundle) -> Bundle:
    """The value, every authority parsed.

    Raises:
        InvalidArgumentError: the trust domain, a certificate or a key is missing or malformed.
    """
    trust_domain = _trust_domain(message.trust_domain)
    with prefixed("unable to parse X.509 authority"):
        x509 = tuple(each for one in message.x509_authorities for each in x509_from_proto(one))
    with prefixed("unable to parse JWT authority"):
        jwt = tuple(map(jwt_key_from_proto, message.jwt_authorities))
    with prefixed("unable to parse WIT authority"):
        wit = tuple(map(wit_key_from_proto, message.wit_authorities))
    return Bundle(
        trust_domain=trust_domain,
        x509_authorities=x509,
        jwt_authorities=jwt,
        refresh_hint=message.refresh_hint,
        sequence=message.sequence_number,
        wit_authorities=wit,
    )


def x509_from_proto(message: bundle_pb2.X509Certificate) -> tuple[X509Authority, ...]:
    """The certificates of one message: SPIRE admits several concatenated ones.

    Raises:
        InvalidArgumentError: one of them does not parse.
    """
    try:
        authorities = tuple(X509Authority(one, tainted=message.tainted) for one in der.split(message.asn1))
        for authority in authorities:
            certificate.load(authority.der)
    except InvalidArgumentError:  # in the words of Go's library, which SPIRE's clients know
        raise InvalidArgumentError("x509: malformed certificate") from None
    if not authorities:
        raise InvalidArgumentError("no certificate")
    return authorities


def jwt_key_from_proto(message: bundle_pb2.JWTKey) -> JwtAuthority:
    """One JWT authority.

    Raises:
        InvalidArgumentError: the key does not parse or has no ID.
    """
    _check_key(message)
    return JwtAuthority(message.key_id, message.public_key, message.expires_at, tainted=message.tainted)


def wit_key_from_proto(message: bundle_pb2.WITKey) -> WitAuthority:
    """One WIT authority; raises as `jwt_key_from_proto` does."""
    _check_key(message)
    return WitAuthority(message.key_id, message.public_key, message.expires_at, tainted=message.tainted)


def jwt_key_to_proto(authority: JwtAuthority) -> bundle_pb2.JWTKey:
    """One message."""
    return bundle_pb2.JWTKey(
        public_key=authority.public_key,
        key_id=authority.key_id,
        expires_at=authority.expires_at,
        tainted=authority.tainted,
    )


def wit_key_to_proto(authority: WitAuthority) -> bundle_pb2.WITKey:
    """One message."""
    return bundle_pb2.WITKey(
        public_key=authority.public_key,
        key_id=authority.key_id,
        expires_at=authority.expires_at,
        tainted=authority.tainted,
    )


def _check_key(message: bundle_pb2.JWTKey | bundle_pb2.WITKey) -> None:
    from_pkix(message.public_key)
    if not message.key_id:
        raise InvalidArgumentError("missing key ID")


def _x509_to_proto(authority: X509Authority) -> bundle_pb2.X509Certificate:
    return bundle_pb2.X509Certificate(asn1=authority.der, tainted=authority.tainted)


def _trust_domain(name: str) -> TrustDomain:
    with prefixed("invalid trust domain"):
        return TrustDomain.parse(name)
