"""WIT-SVIDs that were altered after they were signed, and nonsense that is signed: never valid, never a fault."""

import base64
import json
import string
from collections.abc import Iterable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from assay.bundle import jwks
from assay.errors import InvalidArgumentError
from assay.svid import proof, wit, witkey
from assay.svid.refusal import SvidRefusedError
from assay.testing.authority import Authority
from assay.testing.clock import START

HOME = Authority(wit=True)
BUNDLES = {HOME.trust_domain: HOME.bundle}
KEY = ec.generate_private_key(ec.SECP256R1())
JWK = witkey.public_members(KEY.public_key(), "ES256")
CLAIMS: dict[str, object] = {
    "sub": "spiffe://example.org/workload",
    "cnf": {"jwk": JWK},
    "exp": int(START.timestamp()) + 300,
}
HEADER: dict[str, object] = {"alg": "ES256", "kid": HOME.wit_key_id, "typ": "wit+jwt"}
ALPHABET = string.ascii_letters + string.digits + "-_"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict[str, object], claims: dict[str, object], key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """A token of these parts, whatever they are, validly signed."""
    text = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    r, s = decode_dss_signature((key or HOME.wit_key).sign(text.encode(), ec.ECDSA(SHA256())))
    return f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


TOKEN = signed(HEADER, CLAIMS)
SVID = wit.with_key(wit.verify(TOKEN, BUNDLES, START), KEY)
PROOF = proof.prove(SVID, "here", START)


def accepted(tokens: Iterable[str]) -> list[str]:
    """Those that pass; whatever is raised but a refusal fails the test."""
    passed: list[str] = []
    for token in tokens:
        try:
            wit.verify(token, BUNDLES, START)
        except SvidRefusedError:
            continue
        passed.append(token)
    return passed


def altered(token: str) -> Iterator[str]:
    for at, character in enumerate(token):
        other = ALPHABET[(ALPHABET.find(character) + 1) % len(ALPHABET)]
        for changed in {other, "A", "_", "."} - {character}:
            yield token[:at] + changed + token[at + 1 :]
        for more in ("A", ".", "=", "\n", "é"):
            yield token[:at] + more + token[at:]
        yield token[:at] + token[at + 1 :]
        yield token[:at]
    yield from (token + more for more in ("A", ".", "=", "\n", f".{token}"))


def test_what_is_altered_here_is_valid_before() -> None:
    assert accepted([TOKEN]) == [TOKEN]
    proof.verify(PROOF, SVID, "here", START)


@pytest.mark.spec("WIT-2.3-b", "WIT-3.2-a")
def test_no_altered_token_passes() -> None:
    assert accepted(altered(TOKEN)) == []


@pytest.mark.spec("WIT-5-a")
def test_no_altered_proof_passes() -> None:
    for text in altered(PROOF):
        with pytest.raises(SvidRefusedError):
            proof.verify(text, SVID, "here", START)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers(10**300, 10**310),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip"]), JSON)
PAYLOADS = st.dictionaries(st.sampled_from(["sub", "cnf", "aud", "exp", "nbf", "iat", "jti", "iss"]), JSON)
KEYS = st.dictionaries(st.sampled_from(["kty", "crv", "alg", "x", "y", "n", "e", "d", "k", "use"]), JSON)


@given(HEADERS, PAYLOADS, KEYS)
def test_signed_nonsense_is_refused_and_never_an_internal_error(
    header: dict[str, object], claims: dict[str, object], key: dict[str, object]
) -> None:
    for confirmation in ({}, {"cnf": {"jwk": {**JWK, **key}}}):
        token = signed({**HEADER, **header}, {**CLAIMS, **confirmation, **claims})
        try:
            svid = wit.verify(token, BUNDLES, START)
        except SvidRefusedError:
            continue
        assert "aud" not in svid.claims
        assert svid.claims["sub"] == str(svid.spiffe_id)


@given(HEADERS, st.dictionaries(st.sampled_from(["aud", "exp", "jti", "wth", "ath", "tth", "oth", "nbf"]), JSON))
def test_signed_nonsense_is_no_proof(header: dict[str, object], claims: dict[str, object]) -> None:
    token = signed({"alg": "ES256", "typ": "wpt+jwt", **header}, claims, KEY)
    with pytest.raises(SvidRefusedError):
        proof.verify(token, SVID, "here", START)


@given(st.text() | st.lists(st.text(ALPHABET + "=+/ ."), max_size=5).map(".".join))
def test_text_is_refused(token: str) -> None:
    assert accepted([token]) == []


@given(st.text() | JSON.map(json.dumps) | KEYS.map(lambda key: json.dumps({**JWK, **key})))
def test_keys_are_keys_or_refused(text: str) -> None:
    try:
        key = witkey.parse(text)
    except InvalidArgumentError:
        return
    assert witkey.parse(witkey.emit(key, witkey.algorithm_of(key))).private_numbers() == key.private_numbers()


@given(st.binary() | JSON.map(lambda value: json.dumps({"keys": [value]}).encode()))
def test_sets_of_keys_are_read_or_refused(data: bytes) -> None:
    try:
        bundle = jwks.parse_wit(HOME.trust_domain, data)
    except InvalidArgumentError:
        return
    assert jwks.parse_wit(HOME.trust_domain, jwks.emit_wit(bundle)) == bundle
