"""The bundle as a value: whatever its wire form, these are its contents."""

from dataclasses import dataclass

from assay.spiffeid import TrustDomain


@dataclass(frozen=True, slots=True)
class X509Authority:
    """One CA certificate (DER). A tainted one still verifies, and nothing under it may be kept in use."""

    der: bytes
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class JwtAuthority:
    """One JWT signing key: PKIX public key (DER), its `kid`, and its end in Unix seconds (0: not known)."""

    key_id: str
    public_key: bytes
    expires_at: int = 0
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class WitAuthority:
    """One WIT signing key, described as a JWT key is; neither verifies what the other signed."""

    key_id: str
    public_key: bytes
    expires_at: int = 0
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """A trust domain's authorities. `refresh_hint` is in seconds, `sequence` grows with every change."""

    trust_domain: TrustDomain
    x509_authorities: tuple[X509Authority, ...] = ()
    jwt_authorities: tuple[JwtAuthority, ...] = ()
    refresh_hint: int = 0
    sequence: int = 0
    wit_authorities: tuple[WitAuthority, ...] = ()
