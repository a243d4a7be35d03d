import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.crypto.keys import PublicKey, generate, is_canonical_p256, to_pkix
from assay.crypto.ski import pkix_key_id, subject_key_id
from assay.keymanager import KeyType

KEYS: list[PublicKey] = [
    *(generate(key_type).public_key() for key_type in (KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048)),
    ec.generate_private_key(ec.SECP521R1()).public_key(),
    Ed25519PrivateKey.generate().public_key(),
]


@pytest.mark.parametrize("key", KEYS)
def test_the_id_of_an_encoded_key_is_the_keys(key: PublicKey) -> None:
    # cryptography's own, which finds the bits in its own way.
    assert pkix_key_id(to_pkix(key)) == subject_key_id(key)


def test_only_p256_in_its_usual_form_is_taken_for_it() -> None:
    p256, *others = map(to_pkix, KEYS)
    assert is_canonical_p256(p256)
    for other in (*others, p256 + b"\0", p256[:-1], p256.replace(b"\0\4", b"\0\6", 1)):
        assert not is_canonical_p256(other)
