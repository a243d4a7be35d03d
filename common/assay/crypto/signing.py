"""Signatures over DER structures: X.509 certificates (RFC 5280, 4.1.1) and requests (RFC 2986, 4.2) end alike."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, padding

from assay.crypto import der
from assay.crypto.keys import signature_hash
from assay.keymanager.base import SigningKey

_ECDSA_WITH = {
    "secp256r1": der.sequence(der.object_identifier("1.2.840.10045.4.3.2")),
    "secp384r1": der.sequence(der.object_identifier("1.2.840.10045.4.3.3")),
    "secp521r1": der.sequence(der.object_identifier("1.2.840.10045.4.3.4")),
}
_SHA256_WITH_RSA = der.sequence(der.object_identifier("1.2.840.113549.1.1.11"), der.NULL)


@dataclass(frozen=True, slots=True)
class Signing:
    """How one key signs, found out once: its AlgorithmIdentifier (DER) and the call, which gives X.509's form.

    The hash is the one that goes with the key; RSA pads as in PKCS #1 v1.5.
    """

    algorithm: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)

    @classmethod
    def by(cls, key: SigningKey) -> "Signing":
        """By that key."""
        digest = signature_hash(key)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            ecdsa = ec.ECDSA(digest)
            return cls(_ECDSA_WITH[key.curve.name], lambda data: key.sign(data, ecdsa))
        scheme = padding.PKCS1v15()
        return cls(_SHA256_WITH_RSA, lambda data: key.sign(data, scheme, digest))

    def signed(self, body: bytes) -> bytes:
        """The structure that begins with `body` (DER) and ends with the signature over it."""
        return der.sequence(body, self.algorithm, der.bit_string(self.sign(body)))
