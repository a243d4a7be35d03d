import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey, OKPKey, RSAKey

from assay.bundle import jwk
from assay.crypto.keys import PublicKey, same_key, to_pkix
from assay.errors import InvalidArgumentError

EC_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def small_x() -> ec.EllipticCurvePublicKey:
    """A key one of whose coordinates begins with a zero octet."""
    while True:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        if key.public_numbers().x < 1 << 248:
            return key


@pytest.mark.parametrize(
    "key",
    [
        EC_KEY,
        small_x(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ],
)
def test_says_what_another_library_says(key: PublicKey) -> None:
    library = ECKey if isinstance(key, ec.EllipticCurvePublicKey) else RSAKey
    assert jwk.emit(key) == library.import_key(to_pkix(key)).as_dict(private=False)
    assert same_key(jwk.parse(jwk.emit(key)), key)


def test_emits_edwards_keys_of_authorities() -> None:
    key = Ed25519PrivateKey.generate().public_key()
    assert jwk.emit(key) == OKPKey.import_key(to_pkix(key)).as_dict(private=False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kty": "FOO"}, "unknown key type"),
        ({"kty": None}, "unknown key type"),
        ({"kty": "oct", "k": "AAAA"}, "unknown key type"),
        ({"kty": ["EC"]}, "unknown key type"),
        ({"crv": "secp256k1"}, "unknown curve"),
        ({"crv": "P-384"}, "not those of a public key"),
        ({"d": "AAAA"}, "private key"),
        ({"x": None}, '"x" is missing'),
        ({"y": 7}, '"y" is missing'),
        ({"x": "!!!"}, "base64url"),
        ({"x": "\u00e9"}, "base64url"),
        ({"x": "AAAA"}, "not those of a public key"),
        ({"kty": "RSA"}, '"e" is missing'),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "not those of a public key|RSA key has"),
    ],
)
def test_refuses_what_is_no_public_key_it_knows(change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        jwk.parse({**jwk.emit(EC_KEY), **change})


def test_refuses_short_rsa_keys() -> None:
    key = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - refused for it
    with pytest.raises(InvalidArgumentError, match="1024 bits"):
        jwk.parse(jwk.emit(key))
