"""JWT-SVIDs, signed directly so that keys which only sign, wherever they live, serve as well (JWT-SVID section 2).

The signer serves WIT-SVIDs as well, whose claims are in `assay_server.credential.wit`.
"""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from assay.crypto.signing import Signing
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.spiffeid import SpiffeId
from assay_server.credential.authorities import JwtSigner, WitSigner

_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. Times are Unix seconds; an empty issuer is left out, and so is a `jti` that is not wanted.

    With `include_jti` there is a random one unless `jti` says which. `more` are claims beside those.
    """

    spiffe_id: SpiffeId
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    issuer: str = ""
    include_jti: bool = False
    jti: str = ""
    more: Mapping[str, object] = field(default_factory=dict[str, object])

    def encode(self) -> bytes:
        """The payload as JSON."""
        claims: dict[str, object] = {**self.more, "aud": self.audience, "exp": self.expires_at, "iat": self.issued_at}
        if self.issuer:
            claims["iss"] = self.issuer
        if self.include_jti:
            claims["jti"] = self.jti or _base64url(uuid.uuid4().bytes).decode()
        claims["sub"] = str(self.spiffe_id)
        return _JSON.encode(claims).encode()


class Payload(Protocol):
    """What a token says."""

    def encode(self) -> bytes:
        """As JSON."""
        ...


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Signs tokens with one key; `header` is the same for all, and so is the `size` of ECDSA's numbers (RSA: 0)."""

    signing: Signing
    size: int
    header: bytes

    @classmethod
    def of(cls, signer: JwtSigner | WitSigner, kind: str = "") -> "TokenSigner":
        """For the active key of that kind; tokens of another `kind` (`typ`) are no SVIDs."""
        key, kind = signer.key, kind or ("JWT" if isinstance(signer, JwtSigner) else "wit+jwt")
        header = {"alg": _algorithm(key), "kid": signer.key_id, "typ": kind}
        size = (key.key_size + 7) // 8 if isinstance(key, ec.EllipticCurvePrivateKey) else 0
        return cls(Signing.by(key), size, _base64url(_JSON.encode(header).encode()))

    def sign(self, claims: Payload) -> str:
        """The token in compact form."""
        signed = b"%b.%b" % (self.header, _base64url(claims.encode()))
        return (b"%b.%b" % (signed, _base64url(self._signature(signed)))).decode()

    def _signature(self, data: bytes) -> bytes:
        signature = self.signing.sign(data)
        if not self.size:
            return signature
        # JWS wants the two numbers side by side (RFC 7518, section 3.4), X.509 wants DER.
        r, s = decode_dss_signature(signature)
        return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")


def audience_of(values: Sequence[str]) -> tuple[str, ...]:
    """The values without empty ones.

    Raises:
        InvalidArgumentError: none is left.
    """
    audience = tuple(value for value in values if value)
    if not audience:
        raise InvalidArgumentError("invalid JWT-SVID audience: cannot be empty")
    return audience


def _algorithm(key: SigningKey) -> str:
    return _EC_ALGORITHMS[key.curve.name] if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
