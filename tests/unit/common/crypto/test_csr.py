import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from assay.crypto import csr, der
from assay.crypto.keys import generate, same_key
from assay.errors import InvalidArgumentError
from assay.keymanager import KeyType
from assay.testing.authority import subject

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_keeps_the_key(key_type: KeyType) -> None:
    key = generate(key_type)
    request = csr.parse(csr.create(key))
    assert same_key(request.public_key, key.public_key())
    assert (request.uris, request.dns_names, len(request.subject)) == ((), (), 0)


def test_tells_the_names_asked_for() -> None:
    names = (x509.UniformResourceIdentifier("spiffe://td/x"), x509.DNSName("a.b"), x509.DNSName("c.d"))
    request = csr.parse(csr.create(KEY, subject("web"), *names))
    assert request.uris == ("spiffe://td/x",)
    assert request.dns_names == ("a.b", "c.d")
    assert request.subject == subject("web")


def test_takes_edwards_keys() -> None:
    key = Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(""))
    assert same_key(csr.parse(builder.sign(key, None).public_bytes(Encoding.DER)).public_key, key.public_key())


def test_refuses_a_signature_that_does_not_hold() -> None:
    for key in (KEY, generate(KeyType.RSA_2048)):
        request = bytearray(csr.create(key, subject("web")))
        request[request.index(b"web")] ^= 1
        with pytest.raises(InvalidArgumentError, match="invalid CSR signature"):
            csr.parse(bytes(request))


def test_refuses_the_signature_of_another() -> None:
    body, algorithm, _ = der.split(der.contents(csr.create(KEY)))
    signature = der.split(der.contents(csr.create(ec.generate_private_key(ec.SECP256R1()))))[2]
    with pytest.raises(InvalidArgumentError, match="invalid CSR signature"):
        csr.parse(der.sequence(body, algorithm, signature))


def test_refuses_short_keys() -> None:
    with pytest.raises(InvalidArgumentError, match="malformed CSR: RSA key has 1024 bits"):
        csr.parse(csr.create(rsa.generate_private_key(65537, 1024)))  # noqa: S505 - refused for it


def test_refuses_unusual_curves() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(""))
    with pytest.raises(InvalidArgumentError, match="malformed CSR: unsupported kind of public key"):
        csr.parse(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))


def test_refuses_weak_hashes() -> None:
    body, _, signature = der.split(der.contents(csr.create(KEY)))
    ecdsa_with_sha1 = der.sequence(der.object_identifier("1.2.840.10045.4.1"))
    with pytest.raises(InvalidArgumentError, match="insecure hash algorithm"):
        csr.parse(der.sequence(body, ecdsa_with_sha1, signature))


@pytest.mark.parametrize("data", [b"junk", b"\x30\x00", b"\x30\x03\x02\x01\x00"])
def test_refuses_what_is_no_request(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="malformed CSR"):
        csr.parse(data)


def test_refuses_nothing() -> None:
    with pytest.raises(InvalidArgumentError, match="missing CSR"):
        csr.parse(b"")
