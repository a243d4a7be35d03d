import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from assay.crypto.keys import (
    accepted,
    from_pkcs8,
    from_pkix,
    generate,
    same_key,
    signature_hash,
    to_pkcs8,
    to_pkix,
)
from assay.crypto.ski import authority_id, subject_key_id
from assay.errors import InvalidArgumentError
from assay.keymanager import KeyType


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_goes_there_and_back(key_type: KeyType) -> None:
    key = generate(key_type)
    assert same_key(from_pkcs8(to_pkcs8(key)).public_key(), key.public_key())
    assert same_key(from_pkix(to_pkix(key.public_key())), key.public_key())


@pytest.mark.parametrize(
    ("key_type", "size", "hash_name"),
    [(KeyType.EC_P256, 256, "sha256"), (KeyType.EC_P384, 384, "sha384"), (KeyType.RSA_4096, 4096, "sha256")],
)
def test_each_type_has_its_size_and_hash(key_type: KeyType, size: int, hash_name: str) -> None:
    key = generate(key_type)
    assert key.key_size == size
    assert signature_hash(key).name == hash_name


def test_refuses_private_keys_that_do_not_sign_svids() -> None:
    other = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidArgumentError, match="neither EC nor RSA"):
        from_pkcs8(other)


@pytest.mark.parametrize("der", [b"", b"junk"])
def test_refuses_junk(der: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        from_pkcs8(der)
    with pytest.raises(InvalidArgumentError):
        from_pkix(der)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - refused for it
        ec.generate_private_key(ec.SECP256K1()),
        x25519.X25519PrivateKey.generate(),
        dsa.generate_private_key(1024),  # noqa: S505 - refused for it
    ],
)
def test_refuses_public_keys_no_svid_may_carry(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | dsa.DSAPrivateKey,
) -> None:
    with pytest.raises(InvalidArgumentError):
        from_pkix(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_carries_edwards_keys() -> None:
    key = Ed25519PrivateKey.generate().public_key()
    assert accepted(key) is key


def test_key_identifiers_are_the_sha1_of_the_keys_bits() -> None:
    key = generate(KeyType.EC_P256).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert subject_key_id(key) == hashlib.sha1(point, usedforsecurity=False).digest()
    assert authority_id(key) == subject_key_id(key).hex()
