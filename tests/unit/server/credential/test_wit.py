"""Issued WIT-SVIDs, read with joserfc."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from assay.crypto.keys import generate, to_pkix
from assay.errors import AssayError, UnavailableError, UnimplementedError
from assay.keymanager import KeyType
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import wit
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay_server.credential import CredentialSettings, Issuer, JwtSigner, WitSigner, X509Signer
from assay_server.credential.validate import InvalidCredentialError, check_wit
from assay_server.credential.wit import confirmation

NOW = int(START.timestamp())
HOME = Authority(wit=True)
WEB = HOME.id("/web")
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
JWK = confirmation(KEY, "ES256")


class Signers:
    def __init__(self, key_type: KeyType = KeyType.EC_P256, not_after: int = 2**40) -> None:
        self.key = generate(key_type)
        self.x509 = X509Signer(HOME.root.certificate, HOME.root.key, (), "")
        self.jwt = JwtSigner(HOME.jwt_key, HOME.jwt_key_id, 2**40)
        self.wit = WitSigner(self.key, "kid", not_after)


def issuer(signers: Signers | None = None, clock: FakeClock | None = None, **settings: Any) -> Issuer:  # noqa: ANN401
    chosen = CredentialSettings(**{"wit": True, **settings})
    return Issuer(HOME.trust_domain, signers or Signers(), clock or FakeClock(), chosen)


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, body, _ = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(head), json.loads(body)


@pytest.mark.parametrize(
    ("key_type", "alg"),
    [(KeyType.EC_P256, "ES256"), (KeyType.EC_P384, "ES384"), (KeyType.RSA_2048, "RS256")],
)
@pytest.mark.spec("WIT-1-a", "WIT-2.1-a", "WIT-2.2-a", "WIT-2.3-a", "WIT-2.4-a")
def test_the_header_is_alg_kid_and_typ_and_joserfc_verifies(key_type: KeyType, alg: str) -> None:
    signers = Signers(key_type)
    token = issuer(signers).workload_wit(WEB, KEY, "ES256").token
    assert parts(token)[0] == {"alg": alg, "kid": "kid", "typ": "wit+jwt"}
    kind = RSAKey if isinstance(signers.key, rsa.RSAPrivateKey) else ECKey
    key = kind.import_key(to_pkix(signers.key.public_key()))
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    assert json.loads(jws.deserialize_compact(token, key, registry=registry).payload)["sub"] == str(WEB)


@pytest.mark.spec("WIT-3.1-a", "WIT-3.2-a", "WIT-3.2-b", "WIT-3.2-c", "WIT-3.2-d", "WIT-3.4-a", "WIT-3.8-a", "WIT-4-a")
@pytest.mark.spec("WIT-3.7-a", "WIT-3.3-a")
def test_the_claims_are_those_of_a_wit_in_spires_order() -> None:
    issued = issuer().workload_wit(WEB, KEY, "ES256", ttl=60)
    claims = parts(issued.token)[1]
    assert list(claims) == ["cnf", "exp", "iat", "sub"]
    assert claims == {"cnf": {"jwk": JWK}, "exp": NOW + 60, "iat": NOW, "sub": "spiffe://example.org/web"}
    assert list(claims["cnf"]["jwk"]) == ["kty", "crv", "alg", "x", "y"]
    assert ECKey.import_key(claims["cnf"]["jwk"]).raw_value == KEY
    assert (issued.spiffe_id, issued.issued_at, issued.expires_at) == (WEB, NOW, NOW + 60)


def test_an_rsa_key_is_described_by_its_numbers() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    claims = parts(issuer().workload_wit(WEB, key, "PS256").token)[1]
    assert list(claims["cnf"]["jwk"]) == ["kty", "alg", "n", "e"]
    assert RSAKey.import_key(claims["cnf"]["jwk"]).raw_value == key


def test_an_issuer_is_named_where_one_is_configured() -> None:
    claims = parts(issuer(wit_issuer="example.org").workload_wit(WEB, KEY, "ES256").token)[1]
    assert (list(claims), claims["iss"]) == (["cnf", "exp", "iat", "iss", "sub"], "example.org")


@pytest.mark.parametrize(
    ("ttl", "key_left", "left"), [(0, 2**39, 3600), (60, 2**39, 60), (0, 100, 100), (200, 100, 100)]
)
def test_lifetimes(ttl: int, key_left: int, left: int) -> None:
    signers = Signers(not_after=NOW + key_left)
    assert issuer(signers).workload_wit(WEB, KEY, "ES256", ttl=ttl).expires_at == NOW + left


def test_an_expired_key_signs_nothing() -> None:
    clock = FakeClock()
    made = issuer(Signers(not_after=NOW + 100), clock)
    made.workload_wit(WEB, KEY, "ES256")
    clock.advance(100)
    with pytest.raises(UnavailableError, match="WIT key is not available"):
        made.workload_wit(WEB, KEY, "ES256")


def test_a_new_key_signs_at_once() -> None:
    signers = Signers()
    made = issuer(signers)
    assert parts(made.workload_wit(WEB, KEY, "ES256").token)[0]["kid"] == "kid"
    signers.wit = WitSigner(generate(KeyType.EC_P384), "next", 2**40)
    assert parts(made.workload_wit(WEB, KEY, "ES256").token)[0] == {"alg": "ES384", "kid": "next", "typ": "wit+jwt"}


@pytest.mark.spec("STAB-2.3-b")
def test_it_is_off_unless_asked_for() -> None:
    made = Issuer(HOME.trust_domain, Signers(), FakeClock(), CredentialSettings())
    with pytest.raises(UnimplementedError, match="WIT functionality is disabled"):
        made.workload_wit(WEB, KEY, "ES256")


@pytest.mark.parametrize("spiffe_id", [SpiffeId(TrustDomain("other.test"), "/web"), SpiffeId(HOME.trust_domain)])
def test_ids_that_are_not_ours_to_give(spiffe_id: SpiffeId) -> None:
    with pytest.raises(AssayError):
        issuer().workload_wit(spiffe_id, KEY, "ES256")


def test_a_ttl_below_zero_is_the_default() -> None:
    assert issuer().workload_wit(WEB, KEY, "ES256", ttl=-1).expires_at == NOW + 3600


def test_what_is_shown_has_no_token() -> None:
    issued = issuer().workload_wit(WEB, KEY, "ES256")
    assert issued.token not in repr(issued)


@pytest.mark.parametrize(
    ("header", "claims", "reason"),
    [
        ({"typ": "JWT"}, {}, "unexpected type"),
        ({"typ": None}, {}, "header parameters"),
        ({"x": "y"}, {}, "header parameters"),
        ({"kid": ""}, {}, "no key ID"),
        ({}, {"sub": "spiffe://example.org/other"}, '"sub"'),
        ({}, {"cnf": None}, '"cnf"'),
        ({}, {"cnf": {"jwk": {**JWK, "x": JWK["y"]}}}, '"cnf"'),
        ({}, {"cnf": {"kid": "x"}}, '"cnf"'),
        ({}, {"aud": ["a"]}, '"aud"'),
        ({}, {"exp": None}, '"exp"'),
        ({}, {"exp": NOW}, "already expired"),
    ],
)
@pytest.mark.spec("WIT-3.8-a")
def test_the_last_look_stops_what_is_no_wit_svid(header: dict[str, Any], claims: dict[str, Any], reason: str) -> None:
    whole = {"sub": str(WEB), "cnf": {"jwk": JWK}, "exp": NOW + 60, **claims}
    token = HOME.wit_token(header, {name: value for name, value in whole.items() if value is not None})
    with pytest.raises(InvalidCredentialError, match=reason):
        check_wit(token, spiffe_id=WEB, confirmation=JWK, now=START)
    right = HOME.wit_token({}, {"sub": str(WEB), "cnf": {"jwk": JWK}, "exp": NOW + 60})
    check_wit(right, spiffe_id=WEB, confirmation=JWK, now=START)


def test_a_verifier_takes_what_is_issued() -> None:
    signers = Signers()
    signers.wit = WitSigner(HOME.wit_key, HOME.wit_key_id, 2**40)
    read = wit.verify(issuer(signers).workload_wit(WEB, KEY, "ES256").token, {HOME.trust_domain: HOME.bundle}, START)
    assert (read.spiffe_id, read.public_key, read.algorithm) == (WEB, to_pkix(KEY), "ES256")
