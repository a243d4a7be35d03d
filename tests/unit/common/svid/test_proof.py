"""Proofs of possession: Workload Proof Tokens, made and checked."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws as jose
from joserfc.jwk import ECKey, RSAKey

from assay.authorize import member_of, one_of
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.svid import WitSvid, jws, proof, wit
from assay.svid.proof import LIFE, MAX_LIFE
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay.verify import FixedBundles, WitVerifier

HOME = Authority(wit=True)
BUNDLES = {HOME.trust_domain: HOME.bundle}
AUDIENCE = "https://orders.example.org/api"
NOW = int(START.timestamp())
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def svid_of(key: SigningKey = KEY, algorithm: str = "ES256", path: str = "/workload") -> WitSvid:
    token = HOME.wit_svid(path, public_key=to_pkix(key.public_key()), algorithm=algorithm)
    return wit.with_key(wit.verify(token, BUNDLES, START), key)


SVID = svid_of()


def check(token: str, svid: WitSvid = SVID, seconds: float = 0, **more: Any) -> None:  # noqa: ANN401 - of the call
    proof.verify(token, svid, AUDIENCE, START + timedelta(seconds=seconds), **more)


def reason(token: str, svid: WitSvid = SVID, seconds: float = 0, **more: Any) -> Reason:  # noqa: ANN401 - of the call
    with pytest.raises(SvidRefusedError) as caught:
        check(token, svid, seconds, **more)
    assert caught.value.spiffe_id == svid.spiffe_id
    return caught.value.reason


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, body, _ = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(head), json.loads(body)


def made(header: dict[str, Any], claims: dict[str, Any], key: ec.EllipticCurvePrivateKey = KEY) -> str:
    """A proof with these members over the ordinary ones; None leaves one out."""
    ordinary_header, ordinary = parts(proof.prove(SVID, AUDIENCE, START))
    whole = [{**ordinary_header, **header}, {**ordinary, **claims}]
    texts = [json.dumps({name: value for name, value in one.items() if value is not None}).encode() for one in whole]
    signed = ".".join(base64.urlsafe_b64encode(text).rstrip(b"=").decode() for text in texts)
    signature = jws.sign("ES256", key, signed.encode())
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.spec("WIT-5-a", "WIT-5-d", "WIT-4-c")
def test_the_holder_of_the_key_proves_it() -> None:
    token = proof.prove(SVID, AUDIENCE, START)
    check(token)
    header, claims = parts(token)
    assert header == {"alg": "ES256", "typ": "wpt+jwt"}
    assert set(claims) == {"aud", "exp", "jti", "wth"}
    assert (claims["aud"], claims["exp"]) == (AUDIENCE, NOW + LIFE)
    digest = hashlib.sha256(SVID.token.encode()).digest()
    assert claims["wth"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", jws.ALGORITHMS)
def test_all_nine_algorithms_and_joserfc_verifies(algorithm: str) -> None:
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    key: SigningKey = ec.generate_private_key(curves[algorithm]) if algorithm in curves else RSA
    svid = svid_of(key, algorithm)
    token = proof.prove(svid, AUDIENCE, START)
    check(token, svid)
    kind = ECKey if algorithm in curves else RSAKey
    registry = jose.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    read = jose.deserialize_compact(token, kind.import_key(to_pkix(key.public_key())), registry=registry)
    assert read.headers()["typ"] == "wpt+jwt"


@pytest.mark.spec("WIT-5-a", "WIT-5-b", "WIT-4-c")
def test_a_token_alone_or_with_anothers_proof_proves_nothing() -> None:
    assert reason("") is Reason.NO_PROOF
    assert reason(SVID.token) is Reason.BAD_PROOF
    assert reason(made({}, {}, OTHER)) is Reason.BAD_SIGNATURE
    assert reason(proof.prove(svid_of(OTHER), AUDIENCE, START)) is Reason.BAD_SIGNATURE
    # The same key, another token: of another identity, or the one before.
    assert reason(proof.prove(svid_of(path="/other"), AUDIENCE, START)) is Reason.BAD_PROOF


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], Reason]] = {
    "type of a JWT": ({"typ": "JWT"}, {}, Reason.BAD_PROOF),
    "no type": ({"typ": None}, {}, Reason.BAD_PROOF),
    "critical": ({"crit": ["x"]}, {}, Reason.BAD_PROOF),
    "another algorithm": ({"alg": "ES384"}, {}, Reason.BAD_PROOF),
    "no algorithm": ({"alg": "none"}, {}, Reason.UNSUPPORTED_ALGORITHM),
    "another audience": ({}, {"aud": "https://other.example.org"}, Reason.WRONG_AUDIENCE),
    "a list": ({}, {"aud": [AUDIENCE]}, Reason.WRONG_AUDIENCE),
    "no audience": ({}, {"aud": None}, Reason.WRONG_AUDIENCE),
    "no end": ({}, {"exp": None}, Reason.NOT_AN_SVID),
    "the end is text": ({}, {"exp": "soon"}, Reason.MALFORMED),
    "expired": ({}, {"exp": NOW - 61}, Reason.EXPIRED),
    "too long a life": ({}, {"exp": NOW + MAX_LIFE + 61}, Reason.BAD_PROOF),
    "not yet": ({}, {"nbf": NOW + 61}, Reason.NOT_YET_VALID),
    "no ID": ({}, {"jti": None}, Reason.BAD_PROOF),
    "an empty ID": ({}, {"jti": ""}, Reason.BAD_PROOF),
    "no hash": ({}, {"wth": None}, Reason.BAD_PROOF),
    "another hash": ({}, {"wth": "AAAA"}, Reason.BAD_PROOF),
    "a hash that is none": ({}, {"wth": 7}, Reason.BAD_PROOF),
    "an access token that is not here": ({}, {"ath": "AAAA"}, Reason.BAD_PROOF),
    "a transaction token that is not here": ({}, {"tth": "AAAA"}, Reason.BAD_PROOF),
    "other tokens that are not here": ({}, {"oth": {"x": "AAAA"}}, Reason.BAD_PROOF),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.spec("WIT-5-a", "WIT-7.2-a")
def test_proofs_of_something_else(name: str) -> None:
    header, claims, why = WRONG[name]
    assert reason(made(header, claims)) is why
    check(made({}, {}))


@pytest.mark.spec("WIT-7.2-a")
def test_a_proof_lives_a_minute_unless_told_otherwise() -> None:
    token = proof.prove(SVID, AUDIENCE, START)
    check(token, seconds=LIFE + 60)
    assert reason(token, seconds=LIFE + 61) is Reason.EXPIRED
    for life in (0, -1, MAX_LIFE + 1):
        with pytest.raises(InvalidArgumentError, match="lives at most"):
            proof.prove(SVID, AUDIENCE, START, life=life)


def test_an_access_token_is_bound_in() -> None:
    token = proof.prove(SVID, AUDIENCE, START, access_token="access")
    check(token, access_token="access")
    for other in ("", "another"):
        assert reason(token, access_token=other) is Reason.BAD_PROOF
    assert reason(proof.prove(SVID, AUDIENCE, START), access_token="access") is Reason.BAD_PROOF


def test_each_proof_has_an_id_of_its_own() -> None:
    ids = {parts(proof.prove(SVID, AUDIENCE, START))[1]["jti"] for _ in range(50)}
    assert len(ids) == 50
    assert all(len(base64.urlsafe_b64decode(one + "==")) == 16 for one in ids)


def test_who_has_no_key_or_names_no_audience_proves_nothing() -> None:
    with pytest.raises(InvalidArgumentError, match="no private key"):
        proof.prove(wit.parse(SVID.token), AUDIENCE, START)
    with pytest.raises(InvalidArgumentError, match="audience"):
        proof.prove(SVID, "", START)
    with pytest.raises(InvalidArgumentError, match="audience"):
        proof.verify(proof.prove(SVID, AUDIENCE, START), SVID, "", START)


@pytest.mark.spec("WIT-5-c")
def test_the_headers_are_their_own() -> None:
    assert (proof.TOKEN_HEADER, proof.PROOF_HEADER) == ("Workload-Identity-Token", "Workload-Proof-Token")


@pytest.mark.spec("WIT-4-c", "WIT-5-b", "WIT-3.3-b")
def test_a_verifier_wants_both_and_asks_who() -> None:
    verifier = WitVerifier(FixedBundles(HOME.bundle), AUDIENCE, member_of("example.org"), FakeClock())
    token = proof.prove(SVID, AUDIENCE, START)
    assert verifier.verify(SVID.token, token) == SVID
    assert verifier.verify(SVID.token, proof.prove(SVID, AUDIENCE, START)) == SVID
    for presented in (("", token), (SVID.token, ""), (HOME.jwt_svid(), token), (SVID.token, SVID.token)):
        with pytest.raises(SvidRefusedError):
            verifier.verify(*presented)
    picky = WitVerifier(FixedBundles(HOME.bundle), AUDIENCE, one_of("spiffe://example.org/other"), FakeClock())
    with pytest.raises(RefusedError) as caught:
        picky.verify(SVID.token, token)
    assert caught.value.reason is Reason.NOT_AUTHORIZED
    with pytest.raises(InvalidArgumentError, match="audience"):
        WitVerifier(FixedBundles(HOME.bundle), "", member_of("example.org"))
