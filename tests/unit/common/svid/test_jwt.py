"""Validation of JWT-SVIDs: tokens of every wrong kind."""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from assay.bundle import Bundle, JwtAuthority
from assay.errors import InvalidArgumentError
from assay.keymanager import SigningKey
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid
from assay.svid.jwt import LEEWAY, parse, verify
from assay.svid.refusal import SvidRefusedError
from assay.testing.authority import Authority
from assay.testing.clock import START

WORKLOAD = SpiffeId.parse("spiffe://example.org/workload")
NOW = int(START.timestamp())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def check(authority: Authority, token: str, audience: str = "audience", *, seconds: float = 0) -> JwtSvid:
    return verify(token, {authority.trust_domain: authority.bundle}, audience, START + timedelta(seconds=seconds))


def payload(**claims: object) -> dict[str, object]:
    whole = {"sub": "spiffe://example.org/workload", "aud": ["audience"], "exp": NOW + 300, "iat": NOW, **claims}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.spec("JWT-3-a")
def test_a_token_of_the_domain_is_what_it_says(authority: Authority) -> None:
    token = authority.jwt_svid(audience=["a", "audience"], jti="1", iss="https://example.org", scope="x")
    svid = check(authority, token)
    assert str(svid.spiffe_id) == "spiffe://example.org/workload"
    assert svid.audience == ("a", "audience")
    assert svid.expires_at == NOW + 300
    assert svid.claims["scope"] == "x"
    assert svid.token == token


@pytest.mark.spec("JWT-7.1-a")
def test_the_same_token_serves_twice(authority: Authority) -> None:
    token = authority.jwt_svid(jti="1")
    assert check(authority, token) == check(authority, token)


@pytest.mark.spec("JWT-7.3-a")
def test_shows_no_token(authority: Authority) -> None:
    token = authority.jwt_svid()
    assert token not in repr(check(authority, token))


@pytest.mark.spec("JWT-3.2-e")
def test_an_audience_may_be_a_string(authority: Authority) -> None:
    assert check(authority, authority.token({}, payload(aud="audience"))).audience == ("audience",)


@pytest.mark.parametrize(
    ("aud", "reason"),
    [
        (None, "missing audience"),
        ([], "missing audience"),
        (7, "missing audience"),
        ([7], "invalid audience"),
        (["Audience"], "expected audience in"),
        (["audience2"], "expected audience in"),
        (["audienc"], "expected audience in"),
        ("", "expected audience in"),
    ],
)
@pytest.mark.spec("JWT-3.2-b", "JWT-3.2-c", "JWT-4-b")
def test_a_token_for_another_audience_is_refused(authority: Authority, aud: object, reason: str) -> None:
    with pytest.raises(SvidRefusedError, match=reason):
        check(authority, authority.token({}, payload(aud=aud)))


@pytest.mark.spec("JWT-3.2-b", "JWT-A-a")
def test_a_validator_says_who_it_is(authority: Authority) -> None:
    with pytest.raises(InvalidArgumentError, match="audience must be specified"):
        check(authority, authority.jwt_svid(), audience="")


@pytest.mark.spec("JWT-4-c", "JWT-3.3-b")
@pytest.mark.parametrize(("seconds", "valid"), [(300, True), (300 + LEEWAY, True), (300 + LEEWAY + 0.5, False)])
def test_expiry_with_leeway(authority: Authority, seconds: float, valid: bool) -> None:
    token = authority.jwt_svid(lifetime=300)
    if valid:
        assert check(authority, token, seconds=seconds).spiffe_id == WORKLOAD
        return
    with pytest.raises(SvidRefusedError, match="token has expired"):
        check(authority, token, seconds=seconds)


@pytest.mark.spec("JWT-4-c")
def test_the_leeway_is_a_minute_at_most() -> None:
    assert LEEWAY <= 60


@pytest.mark.parametrize(("seconds", "valid"), [(-LEEWAY, True), (-LEEWAY - 1, False)])
def test_not_before_with_leeway(authority: Authority, seconds: int, valid: bool) -> None:
    token = authority.jwt_svid(nbf=NOW)
    if valid:
        assert check(authority, token, seconds=seconds).spiffe_id == WORKLOAD
        return
    with pytest.raises(SvidRefusedError, match="not valid yet"):
        check(authority, token, seconds=seconds)


@pytest.mark.parametrize(("ahead", "valid"), [(LEEWAY, True), (LEEWAY + 1, False)])
def test_an_issue_date_in_the_future_with_leeway(authority: Authority, ahead: int, valid: bool) -> None:
    """The standard is silent; SPIRE's agent and go-spiffe refuse such a token."""
    token = authority.jwt_svid(iat=NOW + ahead)
    if valid:
        assert check(authority, token).spiffe_id == WORKLOAD
        return
    with pytest.raises(SvidRefusedError, match="issued in the future"):
        check(authority, token)


@pytest.mark.parametrize("iat", [str(NOW), True, [NOW]])
def test_an_issue_date_is_a_number(authority: Authority, iat: object) -> None:
    with pytest.raises(SvidRefusedError, match="invalid iat claim"):
        check(authority, authority.jwt_svid(iat=iat))


def test_an_issue_date_is_not_needed(authority: Authority) -> None:
    assert check(authority, authority.jwt_svid(iat=None)).spiffe_id == WORKLOAD


@pytest.mark.parametrize(("header", "claims"), [({"x": "y" * 2000}, {}), ({}, {"x": "y" * 200_000})])
def test_a_long_token_is_as_good_as_a_short_one(
    authority: Authority, header: dict[str, Any], claims: dict[str, object]
) -> None:
    assert check(authority, authority.token(header, payload(**claims))).spiffe_id == WORKLOAD


def test_a_token_cannot_break_the_line_that_refuses_it(authority: Authority) -> None:
    with pytest.raises(SvidRefusedError) as refusal:
        check(authority, authority.jwt_svid(audience=['a"b', "c\nd"]))
    assert refusal.value.message == r'expected audience in ["audience"] (audience=["a\"b" "c\nd"])'


@pytest.mark.parametrize("claims", [{"aud": ["x" * 100_000]}, {"aud": ["x"] * 100_000}])
@pytest.mark.parametrize("header", [{}, {"kid": "k" * 100_000}, {"alg": "a" * 100_000}])
def test_a_token_cannot_fill_the_log_that_refuses_it(
    authority: Authority, header: dict[str, Any], claims: dict[str, object]
) -> None:
    token = authority.token({}, payload(**claims))
    if header:
        token = f"{_encode({'alg': 'ES256', 'kid': 'k', **header})}.{token.partition('.')[2]}"
    with pytest.raises(SvidRefusedError) as refusal:
        check(authority, token)
    assert len(refusal.value.message) < 1200


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_claims_are_utf_8_and_nothing_else(authority: Authority, encoding: str) -> None:
    with pytest.raises(SvidRefusedError, match="JWT payload is not JSON"):
        check(authority, authority.token({}, json.dumps(payload()).encode(encoding)))


@pytest.mark.parametrize("exp", [None, str(NOW + 300), True, [NOW + 300]])
@pytest.mark.spec("JWT-3.3-b")
def test_a_token_without_an_end_is_refused(authority: Authority, exp: object) -> None:
    with pytest.raises(SvidRefusedError, match="exp claim"):
        check(authority, authority.token({}, payload(exp=exp)))


def test_an_infinite_end_is_refused(authority: Authority) -> None:
    text = json.dumps(payload()).replace(str(NOW + 300), "1e999")
    with pytest.raises(SvidRefusedError, match="exp claim"):
        check(authority, authority.token({}, text.encode()))


def test_an_end_may_have_a_fraction(authority: Authority) -> None:
    assert check(authority, authority.jwt_svid(exp=NOW + 0.5)).expires_at == NOW


@pytest.mark.parametrize(
    "sub",
    [None, "", 7, "workload", "spiffe://example.org", "spiffe://example.org/", "spiffe://Example.org/x", "https://a/b"],
)
@pytest.mark.spec("JWT-3.1-a")
def test_a_subject_is_a_workloads_id(authority: Authority, sub: object) -> None:
    with pytest.raises(SvidRefusedError, match="subject claim"):
        check(authority, authority.token({}, payload(sub=sub)))


@pytest.mark.parametrize("typ", [None, "JWT", "JOSE"])
@pytest.mark.spec("JWT-2.3-a", "JWT-2.3-b")
def test_types_that_are_right(authority: Authority, typ: str | None) -> None:
    assert check(authority, authority.token({"typ": typ}, payload())).spiffe_id == WORKLOAD


@pytest.mark.parametrize("typ", ["wit+jwt", "at+jwt", "jwt", "", 7])
@pytest.mark.spec("JWT-2.3-b", "WIT-7.1-a")
@pytest.mark.spec("ID-3.3-a")
def test_other_types_are_refused(authority: Authority, typ: object) -> None:
    with pytest.raises(SvidRefusedError, match="header type"):
        check(authority, _join({"alg": "ES256", "kid": authority.jwt_key_id, "typ": typ}, payload()))


@pytest.mark.spec("JWT-2-a")
def test_other_header_parameters_are_passed_over_but_critical_ones_refused(authority: Authority) -> None:
    assert check(authority, authority.token({"cty": "x", "private": "y"}, payload())).spiffe_id == WORKLOAD
    for critical in (["exp"], ["b64"], []):
        header = {"alg": "ES256", "kid": authority.jwt_key_id, "crit": critical, "b64": True}
        with pytest.raises(SvidRefusedError, match="critical"):
            check(authority, _join(header, payload()))


@pytest.mark.parametrize("kid", [None, "", 7])
@pytest.mark.spec("JWT-2.2-a")
def test_a_token_names_its_key(authority: Authority, kid: object) -> None:
    header = {"alg": "ES256"} | ({} if kid is None else {"kid": kid})
    with pytest.raises(SvidRefusedError, match="missing key id"):
        check(authority, _join(header, payload()))


def test_an_unknown_key_is_named(authority: Authority) -> None:
    with pytest.raises(SvidRefusedError, match=r'public key "other" not found in trust domain "example.org"'):
        check(authority, authority.token({"kid": "other"}, payload()))


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "EdDSA", "ES256K", "RSA1_5", "", None, 7, "es256"])
@pytest.mark.spec("JWT-2.1-b", "JWT-4-a")
def test_other_algorithms_are_refused_before_anything_else_is_read(authority: Authority, alg: object) -> None:
    header = _encode({"alg": alg, "kid": authority.jwt_key_id} if alg is not None else {})
    for rest in (".!!!.", f".{_encode(payload())}."):
        with pytest.raises(SvidRefusedError, match="unexpected signature algorithm"):
            check(authority, header + rest)


@pytest.mark.spec("JWT-2.1-b")
def test_the_public_key_is_no_shared_secret(authority: Authority) -> None:
    signed = f"{_encode({'alg': 'HS256', 'kid': authority.jwt_key_id})}.{_encode(payload())}"
    mac = hmac.digest(authority.bundle.jwt_authorities[0].public_key, signed.encode(), "sha256")
    token = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(SvidRefusedError, match="unexpected signature algorithm"):
        check(authority, token)


ALGORITHMS: Mapping[str, SigningKey] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "RS256": (rsa_key := rsa.generate_private_key(65537, 2048)),
    **dict.fromkeys(("RS384", "RS512", "PS256", "PS384", "PS512"), rsa_key),
}


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.spec("JWT-2.1-a")
def test_all_nine_algorithms_serve(authority: Authority, alg: str) -> None:
    bundles = {authority.trust_domain: _bundle(ALGORITHMS[alg])}
    assert verify(_signed(alg, ALGORITHMS[alg]), bundles, "audience", START).spiffe_id == WORKLOAD


@pytest.mark.parametrize(
    ("alg", "key"), [("ES256", "ES384"), ("ES256", "RS256"), ("RS256", "ES256"), ("PS256", "ES512")]
)
@pytest.mark.spec("JWT-2.1-c")
def test_the_algorithm_fits_the_key(authority: Authority, alg: str, key: str) -> None:
    with pytest.raises(SvidRefusedError, match="does not verify"):
        verify(_signed(alg, ALGORITHMS[alg]), {authority.trust_domain: _bundle(ALGORITHMS[key])}, "audience", START)


@pytest.mark.spec("JWT-4-d", "ID-3-a")
@pytest.mark.spec("TDB-3-a", "FED-4.2-e", "FED-7.3-a")
def test_only_the_subjects_own_domain_vouches(authority: Authority) -> None:
    other = Authority("other.org")
    foreign = authority.token({}, payload(sub="spiffe://other.org/workload"))
    bundles = {authority.trust_domain: authority.bundle, other.trust_domain: other.bundle}
    with pytest.raises(SvidRefusedError, match=r'not found in trust domain "other.org"'):
        verify(foreign, bundles, "audience", START)
    with pytest.raises(SvidRefusedError, match="does not verify"):
        verify(
            authority.token({"kid": other.jwt_key_id}, payload(sub="spiffe://other.org/x")), bundles, "audience", START
        )


@pytest.mark.spec("JWT-6.2-b", "TDB-4.1.3-d")
def test_a_domain_without_keys_has_no_svids(authority: Authority) -> None:
    for bundles in ({}, {authority.trust_domain: Bundle(authority.trust_domain)}):
        with pytest.raises(SvidRefusedError, match=r'no keys found for trust domain "example.org"'):
            verify(authority.jwt_svid(), bundles, "audience", START)


@pytest.mark.spec("JWT-4-d", "ID-3.2-a")
def test_a_changed_byte_breaks_the_signature(authority: Authority) -> None:
    head, _, tail = authority.jwt_svid().split(".")
    with pytest.raises(SvidRefusedError, match="does not verify"):
        check(authority, f"{head}.{_encode(payload(sub='spiffe://example.org/admin'))}.{tail}")
    with pytest.raises(SvidRefusedError, match="does not verify"):
        check(authority, f"{head}.{_encode(payload())}.")


def test_refusals_do_not_quote_the_token(authority: Authority) -> None:
    head, body, tail = authority.jwt_svid().split(".")
    with pytest.raises(SvidRefusedError) as caught:
        check(authority, f"{head}.{body}.{tail[:-4]}AAAA")
    assert tail[:20] not in str(caught.value)


@pytest.mark.parametrize(
    "token",
    [
        *("", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "..", "!.!.!", "e30.e30.e30", "W10.W10.W10"),
        *('{"payload":"e30","signatures":[]}', '{"payload":"e30","protected":"e30","signature":""}'),
    ],
)
@pytest.mark.spec("JWT-1-a", "JWT-2-b")
def test_refuses_what_is_no_compact_jws(authority: Authority, token: str) -> None:
    with pytest.raises(SvidRefusedError):
        check(authority, token)


@pytest.mark.spec("JWT-5.1-a")
def test_padding_and_the_other_alphabet_are_refused(authority: Authority) -> None:
    head, body, tail = authority.jwt_svid().split(".")
    for wrong in (f"{head}=", f"{head}+", f"{head}/", f"{head}\u00e9"):
        with pytest.raises(SvidRefusedError, match="not base64url"):
            check(authority, f"{wrong}.{body}.{tail}")


def test_a_claim_that_appears_twice_is_refused(authority: Authority) -> None:
    text = json.dumps(payload())[:-1] + ', "sub": "spiffe://example.org/admin"}'
    with pytest.raises(SvidRefusedError, match='"sub" twice'):
        check(authority, authority.token({}, text.encode()))


@pytest.mark.parametrize("body", [b"[]", b"7", b"not json", b"\xff\xfe"])
def test_a_payload_is_an_object(authority: Authority, body: bytes) -> None:
    with pytest.raises(SvidRefusedError, match="JWT payload is not"):
        check(authority, authority.token({}, body))


def test_parse_looks_at_neither_signature_nor_dates(authority: Authority) -> None:
    head, body, _ = authority.jwt_svid(lifetime=-3600).split(".")
    svid = parse(f"{head}.{body}.")
    assert (str(svid.spiffe_id), svid.expires_at) == ("spiffe://example.org/workload", NOW - 3600)


def _encode(members: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def _join(header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    return f"{_encode(header)}.{_encode(claims)}.AAAA"


def _signed(alg: str, key: SigningKey) -> str:
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    imported = ECKey.import_key(der) if alg.startswith("ES") else RSAKey.import_key(der)
    registry = jws.JWSRegistry(algorithms=[alg])
    return jws.serialize_compact({"alg": alg, "kid": "k"}, json.dumps(payload()), imported, registry=registry)


def _bundle(key: SigningKey) -> Bundle:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Bundle(Authority().trust_domain, jwt_authorities=(JwtAuthority("k", public),))
