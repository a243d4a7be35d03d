"""X.509-SVIDs as values (X509-SVID section 2 and 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from assay.crypto.certificate import DAMAGE, dates_of, load, pkix_in, public_key_of
from assay.crypto.keys import from_pkcs8, same_key, to_pem, to_pkcs8, to_pkix
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.spiffeid import SpiffeId
from assay.svid.x509 import leaf_id


@dataclass(frozen=True, slots=True)
class X509Svid:
    """A certificate chain (DER, leaf first), its SPIFFE ID and perhaps its private key. Times are Unix seconds."""

    spiffe_id: SpiffeId
    chain: tuple[bytes, ...] = field(repr=False)
    key: SigningKey | None = field(repr=False, compare=False)
    not_before: int
    not_after: int

    @classmethod
    def parse(cls, chain: Sequence[bytes], key: SigningKey | bytes | None = None) -> "X509Svid":
        """From a chain as DER, leaf first, and the private key (PKCS #8 DER if bytes).

        Signatures and dates are not checked: that is `assay.svid.x509.verify`.

        Raises:
            InvalidArgumentError: no chain, a certificate that does not parse, a leaf that is no X.509-SVID, or a
                key that is not the leaf's.
        """
        certificates = _load(chain)
        leaf = certificates[0]
        spiffe_id = leaf_id(leaf)
        private = from_pkcs8(key) if isinstance(key, bytes) else key
        if private is not None and not _belongs(private, leaf, chain[0]):
            raise InvalidArgumentError("private key does not belong to the leaf certificate")
        begin, end = dates_of(leaf)
        return cls(
            spiffe_id=spiffe_id,
            chain=tuple(chain),
            key=private,
            not_before=int(begin.timestamp()),
            not_after=int(end.timestamp()),
        )

    @classmethod
    def from_pem(cls, chain: bytes, key: bytes | None = None) -> "X509Svid":
        """From PEM text; other blocks between the certificates are an error.

        Raises:
            InvalidArgumentError: as in `parse`.
        """
        try:
            certificates = x509.load_pem_x509_certificates(chain)
            private = load_pem_private_key(key, password=None) if key is not None else None
        except (*DAMAGE, TypeError) as error:
            raise InvalidArgumentError(f"not a PEM chain and key: {error}") from None
        raw = [certificate.public_bytes(Encoding.DER) for certificate in certificates]
        if private is None:
            return cls.parse(raw)
        return cls.parse(raw, private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def leaf(self) -> x509.Certificate:
        """The leaf certificate, parsed anew at each call."""
        return x509.load_der_x509_certificate(self.chain[0])

    @property
    def serial(self) -> str:
        """The leaf's serial number in decimal."""
        return str(self.leaf.serial_number)

    @property
    def key_pkcs8(self) -> bytes:
        """The private key as PKCS #8 DER.

        Raises:
            InvalidArgumentError: this SVID came without its key.
        """
        return to_pkcs8(self._required_key())

    def chain_pem(self) -> bytes:
        """The chain as PEM, leaf first."""
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in _load(self.chain))

    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS #8, not encrypted); raises as `key_pkcs8` does."""
        return to_pem(self._required_key())

    def _required_key(self) -> SigningKey:
        if self.key is None:
            raise InvalidArgumentError("X.509-SVID has no private key")
        return self.key


def _belongs(key: SigningKey, leaf: x509.Certificate, der: bytes) -> bool:
    # To compare what stands there takes a tenth of loading it, and only what is written in another way needs that.
    return pkix_in(der) == to_pkix(key.public_key()) or same_key(public_key_of(leaf), key.public_key())


def _load(chain: Sequence[bytes]) -> list[x509.Certificate]:
    if not chain:
        raise InvalidArgumentError("certificate chain is empty")
    return [load(one) for one in chain]
