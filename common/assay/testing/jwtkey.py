"""Keys that sign tokens for tests, right and wrong ones: what goes into header and payload is the test's affair."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.bundle import JwtAuthority, WitAuthority

_COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class JwtKey:
    """A P-256 key and its `kid`."""

    key: ec.EllipticCurvePrivateKey
    key_id: str

    @classmethod
    def create(cls, key_id: str = "") -> "JwtKey":
        """A new key, under a random ID if none is given."""
        return cls(ec.generate_private_key(ec.SECP256R1()), key_id or secrets.token_urlsafe(16))

    @property
    def authority(self) -> JwtAuthority:
        """What others need to verify its tokens."""
        return JwtAuthority(self.key_id, self._public)

    @property
    def wit_authority(self) -> WitAuthority:
        """The same where it signs WIT-SVIDs."""
        return WitAuthority(self.key_id, self._public)

    @property
    def _public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def token(self, payload: Mapping[str, object] | bytes, header: Mapping[str, object] | None = None) -> str:
        """Signed by ES256; `header` goes over `alg`, `kid` and `typ`, and None leaves a member out."""
        signed = f"{encoded(self.header(header or {}))}.{encoded(payload)}"
        return f"{signed}.{encoded(self.signature(signed))}"

    def header(self, members: Mapping[str, object]) -> dict[str, object]:
        """An ordinary header with these members over its own."""
        whole = {"alg": "ES256", "kid": self.key_id, "typ": "JWT", **members}
        return {name: value for name, value in whole.items() if value is not None}

    def signature(self, signed: str, algorithm: HashAlgorithm | None = None) -> bytes:
        """Of a token's first two parts (RFC 7518, section 3.4)."""
        der = self.key.sign(signed.encode(), ec.ECDSA(algorithm or SHA256()))
        return b"".join(number.to_bytes(_COORDINATE_BYTES, "big") for number in decode_dss_signature(der))


def encoded(part: Mapping[str, object] | bytes) -> str:
    """One part of a token: bytes as they are, anything else as JSON."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
