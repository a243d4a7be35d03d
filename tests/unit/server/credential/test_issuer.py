"""Issued SVIDs, read with cryptography and OpenSSL."""

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from assay.bundle import Bundle, JwtAuthority, X509Authority
from assay.crypto.keys import generate, to_pkix
from assay.crypto.ski import authority_id, subject_key_id
from assay.errors import AssayError, InvalidArgumentError, NotFoundError, UnavailableError
from assay.keymanager import KeyType, SigningKey
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt
from assay.svid.x509 import verify
from assay.testing.authority import Authority, key_usage
from assay.testing.clock import START, FakeClock
from assay_server.credential import (
    CredentialSettings,
    IssuedX509,
    Issuer,
    JwtSigner,
    LeafOrder,
    WitSigner,
    X509Signer,
    template,
)
from assay_server.credential.sign import CertificateSigner
from assay_server.credential.subject import DEFAULT_CA_SUBJECT

NOW = int(START.timestamp())
DAY = 24 * 3600
HOME = TrustDomain("example.org")
WEB = SpiffeId(HOME, "/web")
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


class Signers:
    """Authorities with keys of a chosen type; both can be replaced."""

    def __init__(self, key_type: KeyType = KeyType.EC_P256, chain: tuple[bytes, ...] = ()) -> None:
        self.key: SigningKey = generate(key_type)
        drawn = template.self_signed_ca(
            HOME,
            subject_key_id(self.key.public_key()),
            to_pkix(self.key.public_key()),
            DEFAULT_CA_SUBJECT,
            now=NOW,
            ttl=DAY,
        )
        self.root = x509.load_der_x509_certificate(CertificateSigner(drawn.subject, self.key).sign(drawn))
        self.x509 = X509Signer(self.root, self.key, chain, authority_id(self.key.public_key()))
        self.jwt = JwtSigner(self.key, "kid", NOW + DAY)
        self.wit = WitSigner(self.key, "wit", 2**40)

    @property
    def bundle(self) -> Bundle:
        key = JwtAuthority("kid", to_pkix(self.key.public_key()))
        return Bundle(HOME, (X509Authority(self.root.public_bytes(Encoding.DER)),), (key,))


def issuer_of(signers: Signers, clock: FakeClock, **settings: int | str) -> Issuer:
    return Issuer(HOME, signers, clock, CredentialSettings(**settings))  # type: ignore[arg-type]


def load(chain: tuple[bytes, ...]) -> x509.Certificate:
    return x509.load_der_x509_certificate(chain[0])


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_what_is_issued_is_valid(key_type: KeyType) -> None:
    signers = Signers(key_type)
    issuer = issuer_of(signers, FakeClock())
    bundles = {HOME: signers.bundle}
    assert verify(issuer.workload_x509(KEY, WEB).chain, bundles, START) == WEB
    token = issuer.workload_jwt(WEB, ["audience"]).token
    assert jwt.verify(token, bundles, "audience", START).spiffe_id == WEB


@pytest.mark.parametrize(
    ("key_type", "oid", "alg"),
    [
        (KeyType.EC_P256, SignatureAlgorithmOID.ECDSA_WITH_SHA256, "ES256"),
        (KeyType.EC_P384, SignatureAlgorithmOID.ECDSA_WITH_SHA384, "ES384"),
        (KeyType.RSA_2048, SignatureAlgorithmOID.RSA_WITH_SHA256, "RS256"),
        (KeyType.RSA_4096, SignatureAlgorithmOID.RSA_WITH_SHA256, "RS256"),
    ],
)
@pytest.mark.spec("JWT-2.1-a", "JWT-2.1-c")
def test_each_key_has_its_algorithm(key_type: KeyType, oid: x509.ObjectIdentifier, alg: str) -> None:
    issuer = issuer_of(Signers(key_type), FakeClock())
    assert load(issuer.workload_x509(KEY, WEB).chain).signature_algorithm_oid == oid
    assert header_of(issuer.workload_jwt(WEB, ["a"]).token) == {"alg": alg, "kid": "kid", "typ": "JWT"}


@pytest.mark.spec("X509-2-a", "X509-4.1-c", "X509-4.3-a", "X509-4.3-b", "X509-4.3-e", "X509-4.3-g", "X509-4.4-a")
@pytest.mark.spec("X509-4.4-c")
def test_a_leaf_has_the_profile_of_a_leaf(clock: FakeClock) -> None:
    signers = Signers()
    issued = issuer_of(signers, clock).workload_x509(KEY, WEB)
    leaf = load(issued.chain)
    extensions = {type(one.value): (one.value, one.critical) for one in leaf.extensions}
    assert extensions == {
        x509.KeyUsage: (key_usage("digital_signature", "key_encipherment", "key_agreement"), True),
        x509.ExtendedKeyUsage: (
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            False,
        ),
        x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(KEY), False),
        x509.AuthorityKeyIdentifier: (
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signers.key.public_key()),
            False,
        ),
        x509.SubjectAlternativeName: (
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example.org/web")]),
            False,
        ),
    }
    assert leaf.subject.rfc4514_string() == "O=SPIRE,C=US"
    assert leaf.issuer == signers.root.subject
    assert issued.serial == str(leaf.serial_number)
    assert len(issued.chain) == 1


AGENT = SpiffeId(HOME, "/spire/agent/x509pop/1")
KINDS: dict[str, tuple[Callable[[Issuer], IssuedX509], SpiffeId, int]] = {
    "workload": (lambda issuer: issuer.workload_x509(KEY, WEB), WEB, 1800),
    "agent": (lambda issuer: issuer.agent_x509(KEY, AGENT), AGENT, 7200),
    "server": (lambda issuer: issuer.server_x509(KEY), SpiffeId(HOME, "/spire/server"), 1800),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_id_and_lifetime(clock: FakeClock, kind: str) -> None:
    issue, spiffe_id, ttl = KINDS[kind]
    issued = issue(issuer_of(Signers(), clock, x509_svid_ttl=1800, agent_ttl=7200))
    leaf = load(issued.chain)
    assert issued.spiffe_id == spiffe_id
    assert (issued.not_before, issued.not_after) == (NOW - 10, NOW + ttl)
    assert leaf.not_valid_before_utc == START - timedelta(seconds=10)
    assert leaf.not_valid_after_utc == START + timedelta(seconds=ttl)


@pytest.mark.parametrize(("ttl", "expected"), [(0, 3600), (1, 1), (60, 60), (2 * DAY, DAY), (2**62, DAY)])
@pytest.mark.spec("FED-4.1-c")
def test_a_lifetime_is_as_asked_and_cut_to_the_signers(clock: FakeClock, ttl: int, expected: int) -> None:
    issuer = issuer_of(Signers(), clock)
    assert issuer.workload_x509(KEY, WEB, ttl=ttl).not_after == NOW + expected
    jwt_default = 300 if ttl == 0 else expected
    assert issuer.workload_jwt(WEB, ["a"], ttl=ttl).expires_at == NOW + jwt_default


def test_a_lifetime_below_zero_is_the_default(issuer: Issuer) -> None:
    assert issuer.workload_x509(KEY, WEB, ttl=-1).not_after == NOW + 3600
    assert issuer.workload_jwt(WEB, ["a"], ttl=-1).expires_at == NOW + 300


def test_fractions_of_a_second_are_dropped() -> None:
    clock = FakeClock(START + timedelta(microseconds=999_999))
    issuer = issuer_of(Signers(), clock)
    assert issuer.workload_x509(KEY, WEB).not_before == NOW - 10
    assert issuer.workload_jwt(WEB, ["a"]).issued_at == NOW


def test_dns_names_are_carried_and_the_first_is_the_common_name(clock: FakeClock) -> None:
    signers = Signers()
    names = ["a.example.org", "*.b.example.org", "c_d.example.org"]
    issued = issuer_of(signers, clock).workload_x509(KEY, WEB, dns_names=names)
    leaf = load(issued.chain)
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == names
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [str(WEB)]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "a.example.org"
    assert verify(issued.chain, {HOME: signers.bundle}, START) == WEB


def test_a_subject_that_is_given_is_kept_but_for_its_common_name(issuer: Issuer) -> None:
    given = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Org"),
            x509.NameAttribute(NameOID.COMMON_NAME, "web"),
        ]
    )
    assert load(issuer.workload_x509(KEY, WEB, subject=given).chain).subject.rfc4514_string() == "CN=web,O=Org"
    named = issuer.workload_x509(KEY, WEB, subject=given, dns_names=["a.b"])
    assert load(named.chain).subject.rfc4514_string() == "CN=a.b,O=Org"


def test_an_empty_subject_stands_for_the_default(issuer: Issuer) -> None:
    leaf = load(issuer.workload_x509(KEY, WEB, subject=x509.Name([])).chain)
    assert leaf.subject.rfc4514_string() == "O=SPIRE,C=US"


@pytest.mark.spec("X509-3.1-c")
def test_a_subject_of_unknown_attributes_is_empty_and_the_names_critical(issuer: Issuer) -> None:
    given = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b")])
    leaf = load(issuer.workload_x509(KEY, WEB, subject=given).chain)
    assert len(leaf.subject) == 0
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize("name", ["", "a b", "-a", "a..b", "\u00fc.org", "a.*", "a.org.", "a" * 64])
def test_names_that_are_none_are_refused(issuer: Issuer, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid DNS name"):
        issuer.workload_x509(KEY, WEB, dns_names=["a.b", name])


@pytest.mark.spec("X509-3.1-b", "JWT-3.1-a", "ID-4.1.2-a")
@pytest.mark.parametrize(
    ("text", "reason"), [("spiffe://other.org/web", "not a member"), ("spiffe://example.org", "path is empty")]
)
def test_ids_that_are_not_ours_to_give_are_refused(issuer: Issuer, text: str, reason: str) -> None:
    spiffe_id = SpiffeId.parse(text)
    with pytest.raises(InvalidArgumentError, match=f"invalid X509-SVID ID: .*{reason}"):
        issuer.workload_x509(KEY, spiffe_id)
    with pytest.raises(InvalidArgumentError, match=f"invalid X509-SVID ID: .*{reason}"):
        issuer.agent_x509(KEY, spiffe_id)
    with pytest.raises(InvalidArgumentError, match=f"invalid JWT-SVID ID: .*{reason}"):
        issuer.workload_jwt(spiffe_id, ["a"])


@pytest.mark.spec("ID-2.3-a")
def test_the_longest_id_is_carried(clock: FakeClock) -> None:
    signers = Signers()
    issuer = issuer_of(signers, clock)
    longest = SpiffeId(HOME, "/" + "a" * (2048 - len("spiffe://example.org/")))
    bundles = {HOME: signers.bundle}
    assert verify(issuer.workload_x509(KEY, longest).chain, bundles, START) == longest
    assert jwt.verify(issuer.workload_jwt(longest, ["a"]).token, bundles, "a", START).spiffe_id == longest


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), Ed25519PrivateKey.generate()])
def test_other_kinds_of_keys_are_certified(clock: FakeClock, key: rsa.RSAPrivateKey | Ed25519PrivateKey) -> None:
    signers = Signers()
    issued = issuer_of(signers, clock).workload_x509(key.public_key(), WEB)
    assert load(issued.chain).public_key() == key.public_key()


def test_the_orders_of_a_batch_are_refused_alone(clock: FakeClock) -> None:
    signers = Signers()
    foreign = LeafOrder(KEY, SpiffeId.parse("spiffe://other.org/web"))
    earlier = NotFoundError("gone")
    orders: list[LeafOrder | AssayError] = [
        LeafOrder(to_pkix(KEY), WEB, ["a.b"], 60),
        earlier,
        foreign,
        LeafOrder(KEY, WEB, ["-"]),
        LeafOrder(KEY, SpiffeId(HOME, "/last")),
    ]
    first, *refused, last = issuer_of(signers, clock).workload_x509_each(orders)
    assert isinstance(first, IssuedX509)
    assert isinstance(last, IssuedX509)
    assert (first.spiffe_id, first.not_after, last.spiffe_id.path) == (WEB, NOW + 60, "/last")
    for issued in (first, last):
        assert verify(issued.chain, {HOME: signers.bundle}, START) == issued.spiffe_id
        assert load(issued.chain).public_key() == KEY
    words = ["gone", "invalid X509-SVID ID", "invalid DNS name"]
    assert [str(error)[: len(word)] for error, word in zip(refused, words, strict=True)] == words


def test_a_batch_under_an_expired_authority_is_refused_as_one(clock: FakeClock) -> None:
    issuer = issuer_of(Signers(), clock)
    clock.advance(DAY)
    with pytest.raises(UnavailableError, match="X509 CA is not available for signing"):
        issuer.workload_x509_each([LeafOrder(KEY, WEB)])


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384])
def test_the_numbers_of_a_tokens_signature_have_one_size(key_type: KeyType) -> None:
    # One token in 128 has a number that begins with a zero octet.
    signers = Signers(key_type)
    issuer, size = issuer_of(signers, FakeClock()), 64 if key_type is KeyType.EC_P256 else 96
    for _ in range(300):
        token = issuer.workload_jwt(WEB, ["a"]).token
        assert len(base64.urlsafe_b64decode(token.rpartition(".")[2] + "==")) == size
        assert jwt.verify(token, {HOME: signers.bundle}, "a", START).spiffe_id == WEB


def test_intermediates_follow_the_leaf(clock: FakeClock) -> None:
    signers = Signers(chain=(b"upstream",))
    assert issuer_of(signers, clock).workload_x509(KEY, WEB).chain[1:] == (b"upstream",)


def test_a_new_authority_signs_from_the_moment_it_is_active(clock: FakeClock) -> None:
    signers, following = Signers(), Signers()
    issuer = issuer_of(signers, clock)
    issuer.workload_x509(KEY, WEB)
    issuer.workload_jwt(WEB, ["a"])
    signers.x509, signers.jwt = following.x509, JwtSigner(following.key, "next", NOW + DAY)
    assert verify(issuer.workload_x509(KEY, WEB).chain, {HOME: following.bundle}, START) == WEB
    assert header_of(issuer.workload_jwt(WEB, ["a"]).token)["kid"] == "next"


def test_an_expired_authority_signs_nothing(clock: FakeClock) -> None:
    issuer = issuer_of(Signers(), clock)
    clock.advance(DAY)
    with pytest.raises(UnavailableError, match="X509 CA is not available for signing"):
        issuer.workload_x509(KEY, WEB)
    with pytest.raises(UnavailableError, match="JWT key is not available for signing"):
        issuer.workload_jwt(WEB, ["a"])


@pytest.mark.spec("JWT-2-a", "JWT-2.2-a", "JWT-2.3-b", "JWT-3.3-a", "JWT-5.1-a")
@pytest.mark.spec("JWT-3-b")
def test_a_token_says_what_spires_says(clock: FakeClock) -> None:
    issued = issuer_of(Signers(), clock).workload_jwt(WEB, ["b", "a"])
    assert header_of(issued.token) == {"alg": "ES256", "kid": "kid", "typ": "JWT"}
    assert claims_of(issued.token) == {"sub": str(WEB), "aud": ["b", "a"], "iat": NOW, "exp": NOW + 300}
    assert (issued.spiffe_id, issued.issued_at, issued.expires_at) == (WEB, NOW, NOW + 300)
    assert "=" not in issued.token
    assert issued.token not in repr(issued)


def test_a_token_names_its_issuer_when_one_is_configured(clock: FakeClock) -> None:
    issuer = issuer_of(Signers(), clock, jwt_issuer="https://example.org")
    assert claims_of(issuer.workload_jwt(WEB, ["a"]).token)["iss"] == "https://example.org"


@pytest.mark.spec("JWT-7.1-a")
def test_a_token_is_numbered_when_that_is_asked(issuer: Issuer) -> None:
    tokens = [claims_of(issuer.workload_jwt(WEB, ["a"], include_jti=True).token)["jti"] for _ in range(2)]
    assert len(set(tokens)) == 2
    assert all(len(base64.urlsafe_b64decode(f"{jti}==")) == 16 for jti in tokens)


@pytest.mark.spec("JWT-3.2-a")
def test_an_audience_has_a_value(issuer: Issuer) -> None:
    assert claims_of(issuer.workload_jwt(WEB, ["", "a"]).token)["aud"] == ["a"]
    for audience in ([], [""]):
        with pytest.raises(InvalidArgumentError, match="audience: cannot be empty"):
            issuer.workload_jwt(WEB, audience)


@pytest.mark.spec("JWT-3.3-c")
def test_default_lifetimes_are_spires() -> None:
    settings = CredentialSettings()
    assert (settings.x509_svid_ttl, settings.agent_ttl, settings.jwt_svid_ttl) == (3600, 3600, 300)


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_openssl_agrees(tmp_path: Path, key_type: KeyType) -> None:
    signers = Signers(key_type)
    issued = issuer_of(signers, FakeClock()).workload_x509(KEY, WEB, dns_names=["a.example.org"])
    (tmp_path / "ca.pem").write_bytes(signers.root.public_bytes(Encoding.PEM))
    (tmp_path / "leaf.pem").write_bytes(load(issued.chain).public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-attime", str(NOW), "-purpose", "sslserver"]
    done = subprocess.run(
        [*command, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"], capture_output=True, check=False, text=True
    )
    assert done.stdout.endswith("leaf.pem: OK\n"), done.stderr


def test_an_authority_of_the_test_kit_serves_as_well(authority: Authority, issuer: Issuer) -> None:
    issued = issuer.workload_x509(KEY, WEB)
    assert verify(issued.chain, {HOME: authority.bundle}, START) == WEB


def header_of(token: str) -> dict[str, Any]:
    return _part(token, 0)


def claims_of(token: str) -> dict[str, Any]:
    return _part(token, 1)


def _part(token: str, index: int) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[index] + "=="))
    return members
