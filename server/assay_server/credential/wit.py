"""What WIT-SVIDs say (WIT-SVID section 3), and which keys of workloads they may name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from assay.crypto.keys import PublicKey
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.svid import witkey

_JSON = json.JSONEncoder(separators=(",", ":"))
_KEY_NAMES = {"secp256r1": "ec-p256 key", "secp384r1": "ec-p384 key", "secp521r1": "ec-p521 key"}


@dataclass(frozen=True, slots=True)
class WitClaims:
    """What a token says. Times are Unix seconds; an empty issuer or `jti` is left out. There is never an audience.

    `more` are claims beside those.
    """

    spiffe_id: SpiffeId
    confirmation: dict[str, str]
    issued_at: int
    expires_at: int
    issuer: str = ""
    jti: str = ""
    more: Mapping[str, object] = field(default_factory=dict[str, object])

    def encode(self) -> bytes:
        """The payload as JSON."""
        claims: dict[str, object] = {
            **self.more,
            "cnf": {"jwk": self.confirmation},
            "exp": self.expires_at,
            "iat": self.issued_at,
        }
        if self.issuer:
            claims["iss"] = self.issuer
        if self.jti:
            claims["jti"] = self.jti
        claims["sub"] = str(self.spiffe_id)
        return _JSON.encode(claims).encode()


def confirmation(key: PublicKey, algorithm: str) -> dict[str, str]:
    """The JWK of the workload's key for `cnf`.

    Raises:
        InvalidArgumentError: the algorithm is none of the nine, or the key is not one for it.
    """
    if not witkey.fits(key, algorithm):
        raise InvalidArgumentError(f"invalid signing algorithm or key type: {_misfit(key, algorithm)}")
    return witkey.public_members(key, algorithm)


def _misfit(key: PublicKey, algorithm: str) -> str:
    match key:
        case ec.EllipticCurvePublicKey():
            return f"unsupported signing algorithm for {_KEY_NAMES[key.curve.name]}: {algorithm}"
        case rsa.RSAPublicKey():
            return f"unsupported signing algorithm for RSA key: {algorithm}"
        case _:
            return "unsupported key type 'ed25519.PublicKey'"
