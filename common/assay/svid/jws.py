"""Signatures of JSON Web Signatures (RFC 7518, sections 3.3 to 3.5), made and checked by cryptography.

A key serves the algorithms of its own type and, for EC, of its own curve. An ECDSA signature is two numbers of the
curve's size one after the other, of just that length. RSASSA-PSS has a salt as long as the hash.

ECDSA signatures can be rewritten without the key, (r, s) to (r, n - s), and both verify: RFC 7518 demands no low s and
some signers make high ones. So a token's text is not its identity, though what it says cannot be changed.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from assay.crypto.keys import CURVE_HASHES, PublicKey, SignatureHash, from_pkix
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey

_HASHES: Mapping[str, SignatureHash] = MappingProxyType({"256": SHA256(), "384": SHA384(), "512": SHA512()})
ALGORITHMS = tuple(f"{family}{size}" for family in ("RS", "ES", "PS") for size in _HASHES)
"""The algorithms of JWT-SVID section 2.1."""

# Parsed keys that are kept: a trust domain signs with one or two.
_KEYS = 64


def holds(algorithm: str, public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether the key (PKIX DER) made this signature by this algorithm, which is one of ALGORITHMS."""
    chosen = _HASHES[algorithm[2:]]
    try:
        match algorithm[:2], _key(public_key):
            case "ES", ec.EllipticCurvePublicKey() as key:
                return _ecdsa_holds(key, chosen, signature, signed)
            case "RS", rsa.RSAPublicKey() as key:
                key.verify(signature, signed, padding.PKCS1v15(), chosen)
            case "PS", rsa.RSAPublicKey() as key:
                key.verify(signature, signed, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
            case _:
                return False
    except (InvalidSignature, InvalidArgumentError, ValueError):
        return False
    return True


def _ecdsa_holds(key: ec.EllipticCurvePublicKey, chosen: SignatureHash, signature: bytes, signed: bytes) -> bool:
    size = (key.curve.key_size + 7) // 8
    if not isinstance(chosen, CURVE_HASHES[key.curve.name]) or len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(chosen))
    return True


def sign(algorithm: str, key: SigningKey, data: bytes) -> bytes:
    """The signature by this algorithm, one of ALGORITHMS, which is one for the key."""
    chosen = _HASHES[algorithm[2:]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(chosen)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if algorithm.startswith("PS"):
        return key.sign(data, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
    return key.sign(data, padding.PKCS1v15(), chosen)


@lru_cache(maxsize=_KEYS)
def _key(public_key: bytes) -> PublicKey:
    return from_pkix(public_key)
