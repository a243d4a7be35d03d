"""Subject key identifiers: SHA-1 over the public key's bits (RFC 5280, 4.2.1.2, method 1), as SPIRE makes them."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from assay.crypto import der
from assay.crypto.keys import P256_POINT, is_canonical_p256

_BITS, _UNUSED_COUNT = 1, 1


def subject_key_id(public_key: CertificatePublicKeyTypes) -> bytes:
    """The 20 bytes that name this key in certificates."""
    return x509.SubjectKeyIdentifier.from_public_key(public_key).digest


def pkix_key_id(pkix: bytes) -> bytes:
    """The same from the key as SubjectPublicKeyInfo DER."""
    if is_canonical_p256(pkix):
        return _sha1(pkix[-P256_POINT:])
    bits = der.contents(der.part(der.contents(pkix), _BITS))[_UNUSED_COUNT:]
    return _sha1(bits)


def _sha1(bits: bytes) -> bytes:
    return hashlib.sha1(bits, usedforsecurity=False).digest()


def authority_id(public_key: CertificatePublicKeyTypes) -> str:
    """The name of an X.509 authority in the API and the journal: its key identifier in hex."""
    return subject_key_id(public_key).hex()
