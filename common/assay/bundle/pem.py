"""X.509 authorities as PEM: the form in which operators hand trust bundles around."""

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.bundle.bundle import X509Authority
from assay.crypto.certificate import DAMAGE
from assay.errors import InvalidArgumentError


def parse(text: bytes) -> tuple[X509Authority, ...]:
    """The certificates of a PEM text, in its order.

    Raises:
        InvalidArgumentError: there is none, or one does not parse.
    """
    try:
        certificates = x509.load_pem_x509_certificates(text)
    except DAMAGE as error:
        raise InvalidArgumentError(
            f"unable to parse PEM bundle: {error}", hint="a bundle is one or more BEGIN CERTIFICATE blocks"
        ) from None
    return tuple(X509Authority(certificate.public_bytes(Encoding.DER)) for certificate in certificates)


def emit(authorities: Iterable[X509Authority]) -> bytes:
    """PEM text of these certificates, one after another."""
    return b"".join(x509.load_der_x509_certificate(one.der).public_bytes(Encoding.PEM) for one in authorities)
