"""Subject key identifiers: SHA-1 over the public key's bits (RFC 5280, 4.2.1.2, method 1), as SPIRE makes them."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes


def subject_key_id(public_key: CertificatePublicKeyTypes) -> bytes:
    """The 20 bytes that name this key in certificates."""
    return x509.SubjectKeyIdentifier.from_public_key(public_key).digest


def authority_id(public_key: CertificatePublicKeyTypes) -> str:
    """The name of an X.509 authority in the API and the journal: its key identifier in hex."""
    return subject_key_id(public_key).hex()
