"""What a trust domain signs with at one time: a CA, a JWT key and a WIT key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay.testing.authority import HOUR, Ca, ca_extensions, leaf_extensions
from assay.testing.jwtkey import JwtKey, encoded

DAY = 24 * HOUR
_COORDINATE_BYTES = 32
# A CA is older than what it signs, so that SVIDs of the past have one, and outlives every test.
_AGE, _LIFETIME = DAY, 3650 * DAY


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs whatever it is told, for any ID: an impostor is an issuer with the same trust domain and other keys."""

    trust_domain: TrustDomain
    ca: Ca
    jwt_key: JwtKey
    wit_key: JwtKey = field(default_factory=JwtKey.create)

    @classmethod
    def create(cls, trust_domain: TrustDomain, now: datetime) -> "Issuer":
        """With new keys."""
        return cls(trust_domain, create_ca(trust_domain, now), JwtKey.create())

    def x509_svid(
        self,
        spiffe_id: SpiffeId,
        now: datetime,
        ttl: int,
        *,
        dns_names: Sequence[str] = (),
        intermediate: bool = False,
    ) -> X509Svid:
        """An X.509-SVID with a new key."""
        extensions = leaf_extensions(str(spiffe_id), dns_names=dns_names)
        signer = Ca.create(f"{self.trust_domain} intermediate", issuer=self.ca, now=now) if intermediate else self.ca
        leaf, key = signer.issue(extensions, now=now, lifetime=ttl)
        return X509Svid.parse([leaf, signer.der] if intermediate else [leaf], key)


def create_ca(trust_domain: TrustDomain, now: datetime) -> Ca:
    """A new root of that trust domain, whose ID it bears (X509-SVID, section 3.2)."""
    name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(trust_domain.id))])
    extensions = [*ca_extensions(), (name, False)]
    start = now - timedelta(seconds=_AGE)
    return Ca.create(f"{trust_domain} root", now=start, lifetime=_LIFETIME, extensions=extensions)


def stranger(now: datetime) -> Issuer:
    """An issuer of another trust domain, which knows nobody and whom nobody knows."""
    return Issuer.create(TrustDomain("stranger.example"), now)


def jwt_payload(spiffe_id: SpiffeId, audience: Sequence[str], now: datetime, ttl: int) -> dict[str, object]:
    """The claims of an ordinary JWT-SVID."""
    issued = int(now.timestamp())
    return {"sub": str(spiffe_id), "aud": list(audience), "iat": issued, "exp": issued + ttl}


def wit_payload(spiffe_id: SpiffeId, key: ec.EllipticCurvePublicKey, now: datetime, ttl: int) -> dict[str, object]:
    """The claims of an ordinary WIT-SVID for the holder of that P-256 key."""
    issued, point = int(now.timestamp()), key.public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "alg": "ES256",
        "x": encoded(point.x.to_bytes(_COORDINATE_BYTES, "big")),
        "y": encoded(point.y.to_bytes(_COORDINATE_BYTES, "big")),
    }
    return {"sub": str(spiffe_id), "cnf": {"jwk": jwk}, "iat": issued, "exp": issued + ttl}
