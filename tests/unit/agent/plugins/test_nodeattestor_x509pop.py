import base64
import hashlib
import json
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, UnavailableError
from assay.testing.authority import Ca, leaf_extensions
from assay.testing.workloadapi import WorkloadApiServer
from assay_agent.plugins.nodeattestor_x509pop import X509PopAttestor, configure

NONCE = bytes(range(32))
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def write_key(path: Path, key: Key | ed25519.Ed25519PrivateKey) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca.create("nodes")


@pytest.fixture(scope="module", params=["p256", "p384", "rsa"])
def key(request: pytest.FixtureRequest) -> Key:
    if request.param == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1() if request.param == "p256" else ec.SECP384R1())


def enrol(folder: Path, ca: Ca, key: Key) -> X509PopAttestor:
    der, _ = ca.issue(leaf_extensions(), key=cast("ec.EllipticCurvePrivateKey", key))  # RSA does as well
    certificate = x509.load_der_x509_certificate(der)
    (folder / "crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    write_key(folder / "key", key)
    return X509PopAttestor(folder / "crt", folder / "key")


def challenge(key: Key, nonce: bytes = NONCE) -> bytes:
    kind = "rsa_signature" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa_signature"
    message = {"rsa_signature": None, "ecdsa_signature": None, kind: {"nonce": base64.b64encode(nonce).decode()}}
    return json.dumps(message).encode()


async def test_the_payload_is_the_chain_leaf_first(tmp_path: Path, ca: Ca, key: Key) -> None:
    attestor = enrol(tmp_path, ca, key)
    (tmp_path / "chain").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    attestor = X509PopAttestor(tmp_path / "crt", tmp_path / "key", tmp_path / "chain")
    payload = json.loads((await attestor.begin()).payload)
    leaf, second = (x509.load_der_x509_certificate(base64.b64decode(one)) for one in payload["certificates"])
    assert leaf.public_key() == key.public_key()
    assert second == ca.certificate
    assert attestor.type == "x509pop"


async def test_the_answer_proves_the_key_over_both_nonces(tmp_path: Path, ca: Ca, key: Key) -> None:
    conversation = await enrol(tmp_path, ca, key).begin()
    response = json.loads(await conversation.answer(challenge(key)))
    kind, other = ("rsa_signature", "ecdsa_signature")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        kind, other = other, kind
    assert response[other] is None
    part = {name: base64.b64decode(value) for name, value in response[kind].items()}
    assert len(part["nonce"]) == 32
    digest = hashlib.sha256(NONCE + part["nonce"]).digest()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = encode_dss_signature(int.from_bytes(part["r"], "big"), int.from_bytes(part["s"], "big"))
        key.public_key().verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
    else:
        pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO)
        key.public_key().verify(part["signature"], digest, pss, Prehashed(SHA256()))


async def test_no_two_answers_are_alike(tmp_path: Path, ca: Ca, key: Key) -> None:
    conversation = await enrol(tmp_path, ca, key).begin()
    assert await conversation.answer(challenge(key)) != await conversation.answer(challenge(key))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "unable to unmarshal challenge"),
        (b"[]", "unable to unmarshal challenge"),
        (b"{}", "expecting ECDSA challenge"),
        (b'{"rsa_signature": {"nonce": "AAAA"}}', "expecting ECDSA challenge"),
        (b'{"ecdsa_signature": {}}', "unable to unmarshal challenge"),
        (b'{"ecdsa_signature": {"nonce": 5}}', "unable to unmarshal challenge"),
        (b'{"ecdsa_signature": {"nonce": "%"}}', "unable to unmarshal challenge"),
        (b'{"ecdsa_signature": {"nonce": "AAAA"}}', "invalid challenge nonce"),
    ],
)
async def test_a_wrong_challenge_gets_no_signature(message: bytes, words: str, tmp_path: Path, ca: Ca) -> None:
    conversation = await enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1())).begin()
    with pytest.raises(AssayError, match=words):
        await conversation.answer(message)


async def test_a_renewed_certificate_is_seen(tmp_path: Path, ca: Ca) -> None:
    attestor = enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1()))
    before = (await attestor.begin()).payload
    enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1()))
    assert (await attestor.begin()).payload != before


async def test_certificate_and_key_must_belong_together(tmp_path: Path, ca: Ca) -> None:
    attestor = enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1()))
    write_key(tmp_path / "key", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(FailedPreconditionError, match="private key does not match"):
        await attestor.begin()


async def test_an_ed25519_key_is_refused(tmp_path: Path, ca: Ca) -> None:
    attestor = enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1()))
    write_key(tmp_path / "key", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(FailedPreconditionError, match="unsupported private key type"):
        await attestor.begin()


@pytest.mark.parametrize("missing", ["crt", "key"])
async def test_a_missing_or_broken_file_is_refused(missing: str, tmp_path: Path, ca: Ca) -> None:
    attestor = enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / missing).write_text("nonsense")
    with pytest.raises(FailedPreconditionError, match="unable to load"):
        await attestor.begin()
    (tmp_path / missing).unlink()
    with pytest.raises(FailedPreconditionError, match="unable to load"):
        await attestor.begin()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "private_key_path is required"),
        ({"private_key_path": "k"}, "certificate_path is required"),
        ({"private_key_path": "k", "certificate_path": "c", "extra": 1}, "unknown key extra"),
        ({"spiffe_endpoint_socket": "unix:///s", "extra": 1}, "unknown key extra"),
        ({"spiffe_endpoint_socket": "relative"}, r"nodeattestor\(x509pop\): spiffe_endpoint_socket: "),
    ],
)
def test_faults_of_the_configuration_are_named(data: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        configure(data)


async def test_the_configuration_names_the_files(tmp_path: Path, ca: Ca) -> None:
    enrol(tmp_path, ca, ec.generate_private_key(ec.SECP256R1()))
    data = {"private_key_path": str(tmp_path / "key"), "certificate_path": str(tmp_path / "crt")}
    for intermediates in ({}, {"intermediates_path": "  "}, {"intermediates_path": str(tmp_path / "crt")}):
        payload = json.loads((await configure({**data, **intermediates}).begin()).payload)
        assert len(payload["certificates"]) == 1 + bool(intermediates.get("intermediates_path", "").strip())


async def test_an_svid_of_a_workload_api_in_place_of_files() -> None:
    async with WorkloadApiServer() as api:
        attestor = configure({"spiffe_endpoint_socket": api.address, "private_key_path": "unread"})
        with pytest.raises(UnavailableError, match="unable to fetch SVID from workload API: no identity issued"):
            await attestor.begin()
        api.serve("/spire-exchange/node")
        api.serve("/other")
        conversation = await attestor.begin()
        payload = json.loads(conversation.payload)
        leaf = x509.load_der_x509_certificate(base64.b64decode(payload["certificates"][0]))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org/spire-exchange/node"]
        key = cast("ec.EllipticCurvePublicKey", leaf.public_key())
        response = json.loads(
            await conversation.answer(
                json.dumps({"ecdsa_signature": {"nonce": base64.b64encode(NONCE).decode()}}).encode()
            )
        )
        part = {name: base64.b64decode(value) for name, value in response["ecdsa_signature"].items()}
        signature = encode_dss_signature(int.from_bytes(part["r"], "big"), int.from_bytes(part["s"], "big"))
        digest = hashlib.sha256(NONCE + part["nonce"]).digest()
        key.verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
        api.rotate()
        assert (await attestor.begin()).payload != conversation.payload
    assert attestor.type == "x509pop"
    with pytest.raises(UnavailableError, match="unable to fetch SVID from workload API"):
        await attestor.begin()
