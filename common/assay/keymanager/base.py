"""The key manager's port."""

from enum import Enum
from typing import Protocol, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# cryptography's builders sign with these; a key that lives elsewhere is a subclass whose `sign` asks its owner.
SigningKey: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey


class KeyType(Enum):
    """Kinds of key; the values are the configuration's words."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_4096 = "rsa-4096"


class KeyManager(Protocol):
    """Holds keys under IDs such as `x509-CA-A`."""

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        """Make a key and put it in place of the one with that ID; durable when this returns."""
        ...

    async def get(self, key_id: str) -> SigningKey | None:
        """The key with that ID, if there is one."""
        ...
