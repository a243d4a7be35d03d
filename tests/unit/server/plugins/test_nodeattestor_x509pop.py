"""Proof of possession: every way in which a node is not what it says."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError
from assay.spiffeid import TrustDomain
from assay.testing.authority import Ca, ca_extensions, key_usage, subject
from assay.testing.clock import START, FakeClock
from assay.testing.pop import Prover, pop_payload
from assay_server.plugins.nodeattestor_x509pop import X509PopAttestor, X509PopConfig

TD = TrustDomain("example.org")
Extensions = list[tuple[x509.ExtensionType, bool]]
Answer = Callable[[bytes], Awaitable[bytes]]
DATA, RESPONSE = "failed to unmarshal data: ", "unable to unmarshal challenge response: "
SIGNING: Extensions = [(key_usage("digital_signature"), True)]


@pytest.fixture(scope="module")
def root() -> Ca:
    return Ca.create("node root")


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def attestor(root: Ca, tmp_path: Path, clock: FakeClock) -> X509PopAttestor:
    return attestor_for(tmp_path, clock, root)


def attestor_for(folder: Path, clock: FakeClock, *roots: Ca, **settings: object) -> X509PopAttestor:
    bundle = folder / "ca.pem"
    bundle.write_bytes(b"".join(root.certificate.public_bytes(Encoding.PEM) for root in roots))
    config = X509PopConfig.parse({"ca_bundle_path": str(bundle), **settings})
    return X509PopAttestor(config, TD, clock)


def sign(
    public_key: CertificatePublicKeyTypes, issuer: Ca, extensions: Sequence[tuple[x509.ExtensionType, bool]]
) -> bytes:
    """A leaf for keys that the kit's Ca does not issue to."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject("node"))
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(0xABC)
        .not_valid_before(START - timedelta(seconds=10))
        .not_valid_after(START + timedelta(hours=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)


async def unasked(_challenge: bytes) -> bytes:
    raise AssertionError("nothing may be asked of a node whose certificate does not admit it")


async def refused(attestor: X509PopAttestor, payload: bytes, answer: Answer = unasked) -> AssayError:
    with pytest.raises(AssayError) as error:
        await attestor.attest(payload, answer)
    return error.value


async def test_an_ecdsa_node(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    der, key = root.issue(SIGNING, name=subject("node one"))
    one = Prover(key)
    node = await attestor.attest(pop_payload(der), one.answer)
    fingerprint = hashlib.sha1(der, usedforsecurity=False).hexdigest()
    assert str(node.spiffe_id) == f"spiffe://example.org/spire/agent/x509pop/{fingerprint}"
    assert node.can_reattest
    serial = f"{x509.load_der_x509_certificate(der).serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    root_print = hashlib.sha1(root.der, usedforsecurity=False).hexdigest()
    assert [str(selector) for selector in node.selectors] == [
        "x509pop:subject:cn:node one", f"x509pop:ca:fingerprint:{root_print}", f"x509pop:serialnumber:{serial}",
    ]  # fmt: skip
    (challenge,) = one.challenges
    assert challenge["rsa_signature"] is None
    assert len(challenge["ecdsa_signature"]["nonce"]) == 44


async def test_an_rsa_node(
    attestor: X509PopAttestor,
    root: Ca,
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    one = Prover(rsa_key)
    node = await attestor.attest(pop_payload(sign(rsa_key.public_key(), root, SIGNING)), one.answer)
    assert "x509pop:serialnumber:0abc" in [str(selector) for selector in node.selectors]
    assert one.challenges[0]["ecdsa_signature"] is None


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
async def test_other_curves(
    attestor: X509PopAttestor,
    root: Ca,
    curve: ec.EllipticCurve,
) -> None:
    key = ec.generate_private_key(curve)
    await attestor.attest(pop_payload(sign(key.public_key(), root, SIGNING)), Prover(key).answer)


async def test_nonces_differ(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    der, key = root.issue(SIGNING)
    one = Prover(key)
    for _ in range(2):
        await attestor.attest(pop_payload(der), one.answer)
    first, second = (challenge["ecdsa_signature"]["nonce"] for challenge in one.challenges)
    assert first != second


async def test_an_answer_cannot_be_replayed(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    der, key = root.issue(SIGNING)
    answers: list[bytes] = []

    async def first(challenge: bytes) -> bytes:
        answers.append(await Prover(key).answer(challenge))
        return answers[0]

    async def replay(_challenge: bytes) -> bytes:
        return answers[0]

    await attestor.attest(pop_payload(der), first)
    error = await refused(attestor, pop_payload(der), replay)
    assert error.message == "challenge response verification failed: ECDSA signature verify failed"


async def test_intermediates_up_to_four(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    chain = [root]
    for number in range(5):
        chain.append(Ca.create(f"intermediate {number}", issuer=chain[-1]))
    der, key = chain[4].issue(SIGNING)
    node = await attestor.attest(pop_payload(der, *(one.der for one in chain[1:5])), Prover(key).answer)
    assert sum("ca:fingerprint" in str(selector) for selector in node.selectors) == 5
    der, key = chain[5].issue(SIGNING)
    error = await refused(attestor, pop_payload(der, *(one.der for one in chain[1:])))
    assert (type(error), error.message) == (InvalidArgumentError, "too many intermediate certificates")


async def test_any_extended_key_usage_will_do(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    usage = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)
    der, key = root.issue([*SIGNING, usage])
    await attestor.attest(pop_payload(der), Prover(key).answer)


async def test_names_become_selectors(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    uris = (
        "x509pop://example.org/cluster/one", "x509pop://example.org/rack/a/b", "x509pop://other.test/cluster/two",
        "x509pop://example.org/lonely", "spiffe://example.org/x", "x509pop://example.org/sp%20ace/c%2Fd",
    )  # fmt: skip
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    der, key = root.issue([*SIGNING, (names, False)])
    node = await attestor.attest(pop_payload(der), Prover(key).answer)
    assert [s.value for s in node.selectors if s.value.startswith("san:")] == [
        "san:cluster:one", "san:rack:a/b", "san:sp ace:c/d",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense", DATA + "invalid character 'n' looking for beginning of value"),
        (b"", DATA + "unexpected end of JSON input"),
        (b'{"certificates": [', DATA + "unexpected end of JSON input"),
        (b'{"certificates": ["MA', DATA + "unexpected end of JSON input"),
        (b"{} x", DATA + "invalid character 'x' after top-level value"),
        (b"{1}", DATA + "invalid character '1' looking for beginning of object key string"),
        (b"NaN", DATA + "invalid character 'N' looking for beginning of value"),
        (b"true", DATA + "json: cannot unmarshal bool into Go value of type x509pop.AttestationData"),
        (b"[]", DATA + "json: cannot unmarshal array into Go value of type x509pop.AttestationData"),
        (b"{}", "no certificate to attest"),
        (b"null", "no certificate to attest"),
        (b'{"certificates": null}', "no certificate to attest"),
        (b'{"certificates": []}', "no certificate to attest"),
        (
            b'{"certificates": "MA=="}',
            DATA + "json: cannot unmarshal string into Go struct field AttestationData.certificates of type [][]uint8",
        ),
        (
            b'{"certificates": [1]}',
            DATA + "json: cannot unmarshal number into Go struct field AttestationData.certificates of type []uint8",
        ),
        (b'{"certificates": ["***"]}', DATA + "illegal base64 data at input byte 0"),
        (b'{"certificates": ["MAAAMA"]}', DATA + "illegal base64 data at input byte 4"),
        (b'{"certificates": [null]}', "unable to parse leaf certificate: x509: malformed certificate"),
        (b'{"certificates": ["MAA="]}', "unable to parse leaf certificate: x509: malformed certificate"),
        (b"[" * 100_000, "failed to unmarshal data: "),
    ],
)
async def test_malformed_payloads(attestor: X509PopAttestor, data: bytes, reason: str) -> None:
    error = await refused(attestor, data)
    assert isinstance(error, InvalidArgumentError)
    assert error.message.startswith(reason)


async def test_a_malformed_intermediate(
    attestor: X509PopAttestor,
    root: Ca,
) -> None:
    der, _ = root.issue(SIGNING)
    error = await refused(attestor, pop_payload(der, b"\x30\x00"))
    assert error.message.startswith("unable to parse intermediate certificate 0: ")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda root, ext: [root.issue(ext, now=START - timedelta(hours=3))[0]], id="expired"),
        pytest.param(lambda root, ext: [root.issue(ext, now=START + timedelta(hours=3))[0]], id="not yet valid"),
        pytest.param(lambda _, ext: [Ca.create("stranger").issue(ext)[0]], id="another root"),
        pytest.param(lambda _, ext: [Ca.create("node root").issue(ext)[0]], id="another root of the same name"),
        pytest.param(lambda root, ext: [Ca.create("i", issuer=root).issue(ext)[0]], id="intermediate missing"),
        pytest.param(
            lambda root, ext: [(i := Ca.create("i", issuer=root, now=START - timedelta(days=3))).issue(ext)[0], i.der],
            id="intermediate expired",
        ),
        pytest.param(
            lambda root, ext: [(i := Ca.create("i", issuer=root, extensions=[])).issue(ext)[0], i.der],
            id="issuer without constraints",
        ),
        pytest.param(
            lambda root, ext: [
                (i := Ca.create("i", issuer=root, extensions=[(x509.BasicConstraints(False, None), True)])).issue(ext)[
                    0
                ],
                i.der,
            ],
            id="issuer is a leaf",
        ),
        pytest.param(
            lambda root, ext: [
                (
                    i := Ca.create(
                        "i",
                        issuer=root,
                        extensions=[(x509.BasicConstraints(True, None), True), (key_usage("crl_sign"), True)],
                    )
                ).issue(ext)[0],
                i.der,
            ],
            id="issuer may not sign certificates",
        ),
        pytest.param(
            lambda root, ext: [
                (j := Ca.create("j", issuer=(i := Ca.create("i", issuer=root, extensions=ca_extensions(0))))).issue(
                    ext
                )[0],
                j.der,
                i.der,
            ],
            id="path too long",
        ),
        pytest.param(
            lambda root, ext: [
                root.issue([*ext, (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)])[0]
            ],
            id="unknown critical extension",
        ),
    ],
)
async def test_chains_that_do_not_admit(
    attestor: X509PopAttestor,
    root: Ca,
    make: Callable[[Ca, Extensions], list[bytes]],
) -> None:
    error = await refused(attestor, pop_payload(*make(root, SIGNING)))
    assert isinstance(error, PermissionDeniedError)
    assert error.message.startswith("certificate verification failed: ")


async def test_why_a_chain_does_not_admit_is_said_in_gos_words(attestor: X509PopAttestor, root: Ca) -> None:
    stranger, late = Ca.create("stranger").issue(SIGNING)[0], root.issue(SIGNING, now=START - timedelta(hours=3))[0]
    words = [(await refused(attestor, pop_payload(der))).message.partition(": ")[2] for der in (stranger, late)]
    assert words == [
        "x509: certificate signed by unknown authority", "x509: certificate has expired or is not yet valid"
    ]  # fmt: skip


@pytest.mark.parametrize("extensions", [[], [(key_usage("key_agreement"), True)]])
async def test_a_certificate_that_is_not_for_SIGNING(
    attestor: X509PopAttestor, root: Ca, extensions: Extensions
) -> None:
    der, _ = root.issue(extensions)
    error = await refused(attestor, pop_payload(der))
    assert error.message == "unable to generate challenge: certificate not intended for digital signature use"


async def test_ed25519_has_no_proof(attestor: X509PopAttestor, root: Ca) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    error = await refused(attestor, pop_payload(sign(key.public_key(), root, SIGNING)))
    assert error.message == "unable to generate challenge: unsupported public key type"


async def test_rsa_keys_have_a_limit(root: Ca, rsa_key: rsa.RSAPrivateKey, tmp_path: Path, clock: FakeClock) -> None:
    attestor = attestor_for(tmp_path, clock, root, max_rsa_key_size=1024)
    error = await refused(attestor, pop_payload(sign(rsa_key.public_key(), root, SIGNING)))
    assert (type(error), error.message) == (InvalidArgumentError, "leaf certificate key size too large")


def _bend(**changes: str | int | None) -> Callable[[dict[str, Any]], Any]:
    def bend(answer: dict[str, Any]) -> dict[str, Any]:
        answer["ecdsa_signature"] = {**answer["ecdsa_signature"], **changes}
        return answer

    return bend


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda _: [], RESPONSE + "json: cannot unmarshal array into Go value of type x509pop.Response"),
        (lambda _: None, "challenge response verification failed: expecting ECDSA response"),
        (
            lambda _: {"ecdsa_signature": 5},
            RESPONSE + "json: cannot unmarshal number into "
            "Go struct field Response.ecdsa_signature of type x509pop.ECDSASignatureResponse",
        ),
        (lambda _: {}, "challenge response verification failed: expecting ECDSA response"),
        (
            lambda answer: {"rsa_signature": answer["ecdsa_signature"]},
            "challenge response verification failed: expecting ECDSA response",
        ),
        (_bend(nonce="AAAA"), "challenge response verification failed: invalid response nonce"),
        (_bend(nonce="A" * 43 + "="), "challenge response verification failed: ECDSA signature verify failed"),
        (_bend(r="AA=="), "challenge response verification failed: ECDSA signature verify failed"),
        (_bend(r=""), "challenge response verification failed: ECDSA signature verify failed"),
        (_bend(s="AAAA" * 10_000), "challenge response verification failed: ECDSA signature verify failed"),
        (
            _bend(r=7),
            RESPONSE + "json: cannot unmarshal number into "
            "Go struct field ECDSASignatureResponse.ecdsa_signature.r of type []uint8",
        ),
    ],
)
async def test_answers_that_prove_nothing(
    attestor: X509PopAttestor,
    root: Ca,
    bend: Callable[[dict[str, Any]], object],
    reason: str,
) -> None:
    der, key = root.issue(SIGNING)
    error = await refused(attestor, pop_payload(der), Prover(key, bend).answer)
    assert error.message == reason


async def test_another_key_proves_nothing(
    attestor: X509PopAttestor,
    root: Ca,
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    der, _ = root.issue(SIGNING)
    error = await refused(attestor, pop_payload(der), Prover(ec.generate_private_key(ec.SECP256R1())).answer)
    assert isinstance(error, PermissionDeniedError)
    other = rsa.generate_private_key(65537, 2048)
    error = await refused(attestor, pop_payload(sign(rsa_key.public_key(), root, SIGNING)), Prover(other).answer)
    assert error.message == "challenge response verification failed: RSA signature verify failed"


async def test_a_template_names_the_agent(
    root: Ca,
    tmp_path: Path,
    clock: FakeClock,
) -> None:
    template = "/{{ .PluginName }}/{{.TrustDomain}}/{{- .Subject.CommonName -}}/{{ .SerialNumberHex }}"
    attestor = attestor_for(tmp_path, clock, root, agent_path_template=template)
    der, key = root.issue(SIGNING, name=subject("node-1"))
    node = await attestor.attest(pop_payload(der), Prover(key).answer)
    assert node.spiffe_id.path.startswith("/spire/agent/x509pop/example.org/node-1/")


@pytest.mark.parametrize(("name", "reason"), [("", "certificate has no Subject.CommonName"), ("a b", "characters")])
async def test_a_certificate_that_does_not_fit_the_template(
    root: Ca,
    tmp_path: Path,
    clock: FakeClock,
    name: str,
    reason: str,
) -> None:
    attestor = attestor_for(tmp_path, clock, root, agent_path_template="/x/{{ .Subject.CommonName }}")
    der, key = root.issue(SIGNING, name=subject(name))
    error = await refused(attestor, pop_payload(der), Prover(key).answer)
    assert error.message.startswith("failed to make spiffe id: ")
    assert reason in error.message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "one of ca_bundle_path or ca_bundle_paths must be configured"),
        ({"ca_bundle_path": "{pem}", "ca_bundle_paths": ["{pem}"]}, "only one of"),
        ({"ca_bundle_path": "/nonexistent"}, 'unable to load trust bundle "/nonexistent": No such file'),
        ({"ca_bundle_path": "{junk}"}, "unable to load trust bundle"),
        ({"mode": "other"}, "mode can only be either spiffe or external_pki"),
        (
            {"mode": "spiffe", "ca_bundle_path": "{pem}"},
            "you can not use ca_bundle_path or ca_bundle_paths in spiffe mode",
        ),
        (
            {"mode": "spiffe", "ca_bundle_paths": ["x"]},
            "you can not use ca_bundle_path or ca_bundle_paths in spiffe mode",
        ),
        ({"ca_bundle_path": "{pem}", "verify_client_ip": True}, "verify_client_ip is not built yet"),
        ({"ca_bundle_path": "{pem}", "max_intermediates": 0}, "max_intermediates must be greater than 0"),
        ({"ca_bundle_path": "{pem}", "max_rsa_key_size": "big"}, "max_rsa_key_size must be greater than 0"),
        ({"ca_bundle_path": "{pem}", "agent_path_template": "/{{ .Nope }}"}, "failed to parse agent svid template"),
        (
            {"ca_bundle_path": "{pem}", "agent_path_template": "/{{ lower .Fingerprint }}"},
            r"\{\{ lower .Fingerprint \}\} is not built",
        ),
    ],
)
def test_wrong_settings(tmp_path: Path, root: Ca, data: dict[str, Any], reason: str) -> None:
    (tmp_path / "pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "junk").write_text("junk")
    text = json.dumps(data).replace("{pem}", str(tmp_path / "pem")).replace("{junk}", str(tmp_path / "junk"))
    with pytest.raises(InvalidArgumentError, match=reason):
        X509PopConfig.parse(json.loads(text))


async def test_several_bundles(
    root: Ca,
    tmp_path: Path,
    clock: FakeClock,
) -> None:
    other = Ca.create("second root")
    for name, one in (("a", root), ("b", other)):
        (tmp_path / name).write_bytes(one.certificate.public_bytes(Encoding.PEM))
    config = X509PopConfig.parse({"ca_bundle_paths": [str(tmp_path / "a"), str(tmp_path / "b")]})
    der, key = other.issue(SIGNING)
    await X509PopAttestor(config, TD, clock).attest(pop_payload(der), Prover(key).answer)
