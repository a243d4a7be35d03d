import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.crypto import csr, der
from assay.crypto.keys import generate, same_key, signature_hash, to_pkix
from assay.crypto.signing import Signing
from assay.errors import InvalidArgumentError, NotFoundError
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


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_request_without_names_is_what_cryptography_would_write(key_type: KeyType) -> None:
    key = generate(key_type)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    theirs = builder.sign(key, signature_hash(key)).public_bytes(Encoding.DER)
    ours = csr.create(key)
    assert der.split(der.contents(ours))[:2] == der.split(der.contents(theirs))[:2]
    assert x509.load_der_x509_csr(ours).is_signature_valid


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_tells_the_key_as_a_certificate_carries_it(key_type: KeyType) -> None:
    key = generate(key_type)
    assert csr.parse(csr.create(key)).pkix == to_pkix(key.public_key())


def test_a_point_that_came_compressed_is_written_in_full() -> None:
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    algorithm = der.part(der.contents(to_pkix(KEY.public_key())), 0)
    compressed = der.sequence(algorithm, der.bit_string(point))
    body = der.sequence(der.integer(0), der.sequence(), compressed, der.element(0xA0, b""))
    request = csr.parse(Signing.by(KEY).signed(body))
    assert request.pkix == to_pkix(KEY.public_key()) != compressed


def test_requests_of_a_batch_are_refused_alone() -> None:
    earlier = NotFoundError("gone")
    good, forged = csr.create(KEY), bytearray(csr.create(KEY, subject("web")))
    forged[forged.index(b"web")] ^= 1
    parsed, *refused = csr.parse_each([good, earlier, b"", b"junk", bytes(forged)])
    assert isinstance(parsed, csr.SigningRequest)
    assert same_key(parsed.public_key, KEY.public_key())
    words = ["gone", "missing CSR", "malformed CSR", "invalid CSR signature"]
    assert [str(error)[: len(word)] for error, word in zip(refused, words, strict=True)] == words
