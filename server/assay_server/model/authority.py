"""The CA journal: which signing keys there are, which slot each is in and how far it has come."""

from dataclasses import dataclass
from enum import Enum


class AuthorityKind(Enum):
    """What a signing key signs."""

    X509 = "x509"
    JWT = "jwt"
    WIT = "wit"


class Slot(Enum):
    """One of the two places a kind of authority rotates through."""

    A = "A"
    B = "B"


class AuthorityStatus(Enum):
    """Prepared: published and not signing yet. Active: signing. Old: published and not signing any more."""

    PREPARED = "prepared"
    ACTIVE = "active"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class AuthorityRecord:
    """One journal line. Times are Unix seconds.

    `key_id` names the key in the key manager; `authority_id` is the hex subject key identifier of an X.509
    authority or the `kid` of a JWT or WIT key; `document` is the CA certificate (DER) or the PKIX public key (DER).
    """

    kind: AuthorityKind
    slot: Slot
    status: AuthorityStatus
    key_id: str
    authority_id: str
    issued_at: int
    not_after: int
    document: bytes
