"""Certificates from bytes that a stranger may have written: whatever is wrong with them is one kind of error."""

import base64
import hashlib
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from assay.crypto import der as asn1
from assay.crypto.keys import PublicKey, accepted
from assay.errors import InvalidArgumentError

# cryptography has no common base for these; parts of a certificate are parsed only when they are asked for.
DAMAGE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

# In a Certificate, and in its TBSCertificate of version 3 (RFC 5280, section 4.1).
_BODY, _PUBLIC_KEY = 0, 6


def load(der: bytes) -> x509.Certificate:
    """The certificate, its outer structure parsed.

    Raises:
        InvalidArgumentError: the bytes are not one.
    """
    try:
        return x509.load_der_x509_certificate(der)
    except DAMAGE as error:
        raise InvalidArgumentError(f"malformed certificate: {error}") from None


def extensions_of(certificate: x509.Certificate) -> x509.Extensions:
    """Its extensions, all parsed.

    Raises:
        InvalidArgumentError: one is malformed or there twice.
    """
    try:
        return certificate.extensions
    except DAMAGE as error:
        raise InvalidArgumentError(f"malformed certificate: {error}") from None


def pkix_in(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate that `load` takes, byte for byte as it stands there."""
    body = asn1.contents(asn1.part(asn1.contents(der), _BODY))
    return asn1.part(body, _PUBLIC_KEY)


def thumbprint(der: bytes) -> str:
    """A certificate's name in tokens that are bound to it, `x5t#S256` (RFC 8705 section 3.1)."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def public_key_of(certificate: x509.Certificate) -> PublicKey:
    """Its public key.

    Raises:
        InvalidArgumentError: malformed, or of a kind that no SVID or authority has.
    """
    try:
        key = certificate.public_key()
    except DAMAGE as error:
        raise InvalidArgumentError(f"malformed certificate: {error}") from None
    return accepted(key)


def dates_of(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Its first and its last second, aware, in UTC.

    Raises:
        InvalidArgumentError: one is in a year that no calendar here has, such as 0.
    """
    try:
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except DAMAGE as error:
        raise InvalidArgumentError(f"malformed certificate: {error}") from None
