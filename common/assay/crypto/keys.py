"""Private and public keys and their two standard encodings, PKCS #8 and PKIX (both DER)."""

from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from assay.crypto import der
from assay.errors import InvalidArgumentError
from assay.keymanager.base import KeyType, SigningKey

SignatureHash: TypeAlias = SHA256 | SHA384 | SHA512
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey

MIN_RSA_BITS = 2048
RSA_EXPONENT = 65537
CURVE_HASHES: dict[str, type[SignatureHash]] = {"secp256r1": SHA256, "secp384r1": SHA384, "secp521r1": SHA512}

_EC_P256 = der.sequence(der.object_identifier("1.2.840.10045.2.1"), der.object_identifier("1.2.840.10045.3.1.7"))
P256_POINT = 65
"""Octets of a point of P-256 that is not compressed: a 4 and two numbers of 32 each."""
_P256_PKIX = der.sequence(_EC_P256, der.bit_string(b"\4" + bytes(P256_POINT - 1)))
_P256_HEAD = _P256_PKIX[: 1 - P256_POINT]


def generate(key_type: KeyType) -> SigningKey:
    """A new private key of that type."""
    match key_type:
        case KeyType.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.RSA_2048:
            return rsa.generate_private_key(RSA_EXPONENT, 2048)
        case KeyType.RSA_4096:
            return rsa.generate_private_key(RSA_EXPONENT, 4096)


def to_pkcs8(key: SigningKey) -> bytes:
    """PKCS #8 DER, not encrypted."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def to_pem(key: SigningKey) -> bytes:
    """PKCS #8 PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def from_pkcs8(der: bytes) -> SigningKey:
    """From PKCS #8 DER.

    Raises:
        InvalidArgumentError: not a private key, or of a kind that does not sign SVIDs. The text never has key bytes.
    """
    try:
        key = load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidArgumentError("private key is not PKCS #8 DER of a known kind") from None
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        accepted(key.public_key())
        return key
    raise InvalidArgumentError("private key is neither EC nor RSA")


def to_pkix(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_canonical_p256(pkix: bytes) -> bool:
    """Whether a SubjectPublicKeyInfo (DER) is a P-256 key's in just the form that `to_pkix` writes.

    That it is a key at all, its point on the curve, is for the library to find.
    """
    return len(pkix) == len(_P256_PKIX) and pkix.startswith(_P256_HEAD)


def from_pkix(der: bytes) -> PublicKey:
    """From SubjectPublicKeyInfo DER.

    Raises:
        InvalidArgumentError: not a public key, or of a kind that no SVID carries.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidArgumentError("public key is not PKIX DER of a known kind") from None
    return accepted(key)


def accepted(key: object) -> PublicKey:
    """The key itself if an SVID may carry it: EC on a NIST curve, RSA of 2048 bits or more, Ed25519.

    Raises:
        InvalidArgumentError: any other key.
    """
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in CURVE_HASHES:
            return key
        case rsa.RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            return key
        case rsa.RSAPublicKey():
            raise InvalidArgumentError(f"RSA key has {key.key_size} bits", hint=f"use {MIN_RSA_BITS} bits or more")
        case Ed25519PublicKey():
            return key
        case _:
            raise InvalidArgumentError("unsupported kind of public key", hint="use EC P-256 or P-384, RSA or Ed25519")


def signature_hash(key: SigningKey) -> SignatureHash:
    """The hash that goes with a signing key: by the curve for EC, SHA-256 for RSA whatever its size."""
    if isinstance(key, rsa.RSAPrivateKey):
        return SHA256()
    return CURVE_HASHES[key.curve.name]()


def same_key(one: PublicKey, other: PublicKey) -> bool:
    """Whether both are the same public key."""
    return to_pkix(one) == to_pkix(other)
