"""What signs: the active X.509 CA, JWT key and WIT key, as the issuer sees them."""

from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509

from assay.keymanager.base import SigningKey


@dataclass(frozen=True, slots=True)
class X509Signer:
    """A signing certificate with its key; `chain` (DER) follows the leaf in what is issued: none under a root.

    `authority_id` is the hex of the certificate's subject key identifier.
    """

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)
    chain: tuple[bytes, ...]
    authority_id: str


@dataclass(frozen=True, slots=True)
class JwtSigner:
    """A JWT key, its `kid` and its end in Unix seconds."""

    key: SigningKey = field(repr=False)
    key_id: str
    not_after: int


@dataclass(frozen=True, slots=True)
class WitSigner:
    """A WIT key, its `kid` and its end in Unix seconds."""

    key: SigningKey = field(repr=False)
    key_id: str
    not_after: int


class Authorities(Protocol):
    """The active authorities; the same object until the next one is activated."""

    @property
    def x509(self) -> X509Signer:
        """The active X.509 CA (UnavailableError if there is none)."""
        ...

    @property
    def jwt(self) -> JwtSigner:
        """The active JWT key (UnavailableError if there is none)."""
        ...

    @property
    def wit(self) -> WitSigner:
        """The active WIT key (UnavailableError if there is none)."""
        ...
