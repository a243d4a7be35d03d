"""WIT-SVIDs: what a verifier takes and what it refuses."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, RSAKey

from assay.bundle import Bundle, JwtAuthority, WitAuthority
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.svid import WitSvid, jwt, wit, witkey
from assay.svid.jws import ALGORITHMS
from assay.svid.refusal import Reason, SvidRefusedError
from assay.svid.wit import LEEWAY
from assay.testing.authority import Authority
from assay.testing.clock import START

HOME = Authority(wit=True)
BUNDLES = {HOME.trust_domain: HOME.bundle}
WORKLOAD = HOME.id("/workload")
NOW = int(START.timestamp())
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = to_pkix(KEY.public_key())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
P384_JWK = ECKey.import_key(to_pkix(P384.public_key())).as_dict(private=False)
RSA_JWK = RSAKey.import_key(to_pkix(RSA.public_key())).as_dict(private=False)
JWK: dict[str, Any] = {**ECKey.import_key(PUBLIC).as_dict(private=False), "alg": "ES256"}

# WIT-SVID appendix A: one of somebody else's making.
SAMPLE = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImxRU2kzaFpGbmRhMkQtWEprajF6bDdmb0pvdWl3STRuckF5aHk0alppSmciLCJ0eXAiOiJ3aXQrand0In0."
    "eyJjbmYiOnsiandrIjp7ImFsZyI6IkVTMjU2IiwiY3J2IjoiUC0yNTYiLCJrdHkiOiJFQyIsIngiOiJyelA3bUxDS0FIV21zTTZYMEV3VklTQ19o"
    "STN1amN1OTVmZlVreWVER0dvIiwieSI6InVPcmZEbGp0WDltM2pZLWhzeWhMSllheHRHa3pEdjVlNWttQ2U1OFo5N2cifX0sImV4cCI6MTc2NTQ1"
    "NjUwMywiaWF0IjoxNzY1NDUyOTAzLCJqdGkiOiIxeWoxOVY0TWNPQXpNY0ZpN3F2c2dfQWdDeGxyWTVFX3g1MDl3bEtLUXRjIiwic3ViIjoic3Bp"
    "ZmZlOi8vZXhhbXBsZS5jb20vbXktd29ya2xvYWQifQ.sfhEvZNdY_kWrICF08lX0u__rn39YnTavnW-VPBS20zgowDh6-X43v5eOUKZbjZf06yLB"
    "QM-Mry5w1g1QFsCkg"
)


def payload(**claims: object) -> dict[str, Any]:
    """Ordinary claims with these over them; None leaves one out."""
    whole = {"sub": str(WORKLOAD), "cnf": {"jwk": JWK}, "exp": NOW + 300, **claims}
    return {name: value for name, value in whole.items() if value is not None}


def check(token: str, seconds: float = 0) -> WitSvid:
    return wit.verify(token, BUNDLES, START + timedelta(seconds=seconds))


def refused(token: str, seconds: float = 0) -> SvidRefusedError:
    with pytest.raises(SvidRefusedError) as caught:
        check(token, seconds)
    return caught.value


def join(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token of that very header; its signature is nobody's."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, "AAAA"])


@pytest.mark.spec("WIT-1-a", "WIT-3.1-a", "WIT-3.2-b")
def test_a_token_says_who_and_which_key() -> None:
    svid = check(HOME.wit_token({}, payload(jti="x")))
    assert (svid.spiffe_id, svid.public_key, svid.algorithm) == (WORKLOAD, PUBLIC, "ES256")
    assert (svid.expires_at, svid.claims["jti"], svid.key) == (NOW + 300, "x", None)


@pytest.mark.spec("WIT-3.2-a", "WIT-3.2-b", "WIT-1-a")
def test_the_standards_own_sample_is_read() -> None:
    svid = wit.parse(SAMPLE)
    assert (str(svid.spiffe_id), svid.algorithm) == ("spiffe://example.com/my-workload", "ES256")
    assert (
        ECKey.import_key(svid.public_key).as_dict(private=False)["x"] == "rzP7mLCKAHWmsM6X0EwVISC_hI3ujcu95ffUkyeDGGo"
    )


def test_a_repr_shows_no_token_and_no_key() -> None:
    svid = wit.with_key(check(HOME.wit_token({}, payload())), KEY)
    assert svid.token not in repr(svid)
    assert "EllipticCurve" not in repr(svid)


@pytest.mark.parametrize("typ", [None, "JWT", "JOSE", "WIT+JWT", "wit", "application/wit+jwt", "", 7, ["wit+jwt"]])
@pytest.mark.spec("WIT-2.2-a")
def test_the_type_is_wit_jwt(typ: object) -> None:
    header = {"alg": "ES256", "kid": HOME.wit_key_id} | ({} if typ is None else {"typ": typ})
    error = refused(join(header, payload()))
    assert (error.reason, error.message) == (Reason.NOT_AN_SVID, "token header type not equal to wit+jwt")


@pytest.mark.parametrize("kid", [None, "", 7])
@pytest.mark.spec("WIT-2.1-a")
def test_a_token_names_its_key(kid: object) -> None:
    header = {"alg": "ES256", "typ": "wit+jwt"} | ({} if kid is None else {"kid": kid})
    assert refused(join(header, payload())).reason is Reason.UNKNOWN_KEY


@pytest.mark.spec("WIT-2.1-b")
def test_a_key_id_is_compared_letter_by_letter() -> None:
    assert refused(HOME.wit_token({"kid": HOME.wit_key_id.upper()}, payload())).reason is Reason.UNKNOWN_KEY
    assert refused(HOME.wit_token({"kid": f"{HOME.wit_key_id} "}, payload())).reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "EdDSA", "ES256K", "", None, 7, "es256"])
@pytest.mark.spec("WIT-2.3-b")
def test_algorithms_that_are_none_of_the_nine(alg: object) -> None:
    header = {"kid": HOME.wit_key_id, "typ": "wit+jwt"} | ({} if alg is None else {"alg": alg})
    assert refused(join(header, payload())).reason is Reason.UNSUPPORTED_ALGORITHM


@pytest.mark.spec("WIT-2.4-b")
def test_other_header_parameters_are_passed_over_but_critical_ones_refused() -> None:
    assert check(HOME.wit_token({"private": "y"}, payload())).spiffe_id == WORKLOAD
    for critical in (["exp"], ["b64"], []):
        header = {"alg": "ES256", "kid": HOME.wit_key_id, "typ": "wit+jwt", "crit": critical}
        assert "critical" in refused(join(header, payload())).message


@pytest.mark.parametrize(
    "sub", [None, "", 7, "workload", "spiffe://example.org", "spiffe://example.org/", "spiffe://Example.org/x"]
)
@pytest.mark.spec("WIT-3.1-a")
def test_a_subject_is_a_workloads_id(sub: object) -> None:
    error = refused(HOME.wit_token({}, payload(sub=sub)))
    assert error.reason is Reason.NOT_AN_SVID
    assert "subject claim" in error.message


def changed(**members: object) -> dict[str, Any]:
    whole = {**JWK, **members}
    return {"jwk": {name: value for name, value in whole.items() if value is not None}}


CONFIRMATIONS: dict[str, tuple[object, str]] = {
    "missing": (None, "missing cnf"),
    "text": ("x", "cnf claim is not an object"),
    "list": ([JWK], "cnf claim is not an object"),
    "empty": ({}, "cnf.jwk is not an object"),
    "kid alone": ({"kid": "x"}, "cnf.jwk is not an object"),
    "thumbprint alone": ({"x5t#S256": "x"}, "cnf.jwk is not an object"),
    "jwk as text": ({"jwk": json.dumps(JWK)}, "cnf.jwk is not an object"),
    "two keys": ({"jwk": JWK, "jku": "https://example.org"}, "more than one key"),
    "an encrypted one beside": ({"jwk": JWK, "jwe": "x"}, "more than one key"),
    "private": (changed(d="AAAA"), "a private key"),
    "another curve": ({"jwk": {**P384_JWK, "alg": "ES256"}}, "not a key for"),
    "RSA for ES256": ({"jwk": {**RSA_JWK, "alg": "ES256"}}, "not a key for"),
    "EC for RS256": (changed(alg="RS256"), "not a key for"),
    "off the curve": (changed(x="AAAA"), "no public key of a workload"),
    "without x": (changed(x=None), "no public key of a workload"),
    "symmetric": ({"jwk": {"kty": "oct", "k": "AAAA", "alg": "ES256"}}, "no public key of a workload"),
    "Edwards": ({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "alg": "ES256"}}, "no public key of a workload"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIRMATIONS)
@pytest.mark.spec("WIT-3.2-a", "WIT-3.2-b", "WIT-3.2-d")
def test_confirmations_that_name_no_key_of_a_workload(name: str) -> None:
    confirmation, reason = CONFIRMATIONS[name]
    token = HOME.wit_token({}, payload(cnf=confirmation))
    error = refused(token)
    assert (error.reason, error.spiffe_id) == (Reason.NOT_AN_SVID, WORKLOAD)
    assert reason in error.message
    with pytest.raises(SvidRefusedError):
        wit.parse(token)


@pytest.mark.parametrize("alg", [None, "", "none", "HS256", "EdDSA", "ES256K", 7, ["ES256"]])
@pytest.mark.spec("WIT-3.2-c")
def test_confirmations_whose_algorithm_is_none_of_the_nine(alg: object) -> None:
    assert refused(HOME.wit_token({}, payload(cnf=changed(alg=alg)))).reason is Reason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.spec("WIT-3.2-c")
def test_all_nine_algorithms_of_confirmations(algorithm: str) -> None:
    keys = {"ES256": KEY, "ES384": P384, "ES512": ec.generate_private_key(ec.SECP521R1())}
    public = to_pkix((keys.get(algorithm) or RSA).public_key())
    svid = check(HOME.wit_svid(public_key=public, algorithm=algorithm))
    assert (svid.public_key, svid.algorithm) == (public, algorithm)


@pytest.mark.parametrize("aud", ["a", ["a"], [], "", {}])
@pytest.mark.spec("WIT-3.8-a")
def test_an_audience_is_none_of_its_claims(aud: object) -> None:
    token = HOME.wit_token({}, {**payload(), "aud": aud})
    assert "aud claim" in refused(token).message
    assert "aud claim" in refused(HOME.wit_token({}, {**payload(), "aud": None})).message
    with pytest.raises(SvidRefusedError):
        wit.parse(token)


@pytest.mark.parametrize("exp", [None, str(NOW + 300), True, [NOW + 300]])
@pytest.mark.spec("WIT-3.4-b")
def test_a_token_without_an_end_is_refused(exp: object) -> None:
    assert "exp claim" in refused(HOME.wit_token({}, payload(exp=exp))).message


@pytest.mark.parametrize(("seconds", "valid"), [(300, True), (300 + LEEWAY, True), (300 + LEEWAY + 0.5, False)])
@pytest.mark.spec("WIT-3.4-c", "WIT-3.4-d")
def test_expiry_with_leeway(seconds: float, valid: bool) -> None:
    token = HOME.wit_token({}, payload())
    if valid:
        assert check(token, seconds).spiffe_id == WORKLOAD
    else:
        assert refused(token, seconds).reason is Reason.EXPIRED


@pytest.mark.spec("WIT-3.4-d")
def test_the_leeway_is_two_minutes_at_most() -> None:
    assert LEEWAY <= 120


@pytest.mark.parametrize(("ahead", "valid"), [(LEEWAY, True), (LEEWAY + 1, False)])
@pytest.mark.spec("WIT-3.5-a")
def test_not_before_with_leeway(ahead: int, valid: bool) -> None:
    token = HOME.wit_token({}, payload(nbf=NOW + ahead))
    if valid:
        assert check(token).spiffe_id == WORKLOAD
    else:
        assert refused(token).reason is Reason.NOT_YET_VALID


@pytest.mark.parametrize("iat", [NOW + 3600, "then", [NOW], None])
@pytest.mark.spec("WIT-3.6-a")
def test_the_issue_date_limits_nothing(iat: object) -> None:
    assert check(HOME.wit_token({}, payload(iat=iat))).spiffe_id == WORKLOAD


@pytest.mark.spec("WIT-3.3-b")
def test_an_id_may_come_again() -> None:
    token = HOME.wit_token({}, payload(jti="same"))
    assert check(token) == check(token)


@pytest.mark.spec("WIT-3.8-b", "WIT-3.8-c")
def test_claims_that_are_not_known_are_passed_over() -> None:
    assert check(HOME.wit_token({}, payload(iss="x", scope="admin", act={"sub": "y"}))).claims["scope"] == "admin"


@pytest.mark.spec("WIT-6.2-a")
def test_a_jwt_key_does_not_verify_it_nor_the_other_way_round() -> None:
    public = to_pkix(HOME.wit_key.public_key())
    as_jwt = Bundle(
        HOME.trust_domain, (), (JwtAuthority(HOME.wit_key_id, public),), 0, 0, HOME.bundle.wit_authorities[:0]
    )
    with pytest.raises(SvidRefusedError) as caught:
        wit.verify(HOME.wit_svid(), {HOME.trust_domain: as_jwt}, START)
    assert caught.value.reason is Reason.UNKNOWN_TRUST_DOMAIN
    jwt_public = to_pkix(HOME.jwt_key.public_key())
    as_wit = Bundle(HOME.trust_domain, wit_authorities=(WitAuthority(HOME.jwt_key_id, jwt_public),))
    with pytest.raises(SvidRefusedError) as caught:
        jwt.verify(HOME.jwt_svid(), {HOME.trust_domain: as_wit}, "audience", START)
    assert caught.value.reason is Reason.UNKNOWN_TRUST_DOMAIN


@pytest.mark.spec("WIT-6.2-b")
def test_a_domain_without_wit_keys_has_no_wit_svids() -> None:
    token = Authority("other.test").wit_svid()
    for bundles in ({}, BUNDLES, {**BUNDLES, Authority("other.test").trust_domain: Authority("other.test").bundle}):
        with pytest.raises(SvidRefusedError) as caught:
            wit.verify(token, bundles, START)
        assert caught.value.reason is Reason.UNKNOWN_TRUST_DOMAIN


@pytest.mark.spec("WIT-7.1-a")
def test_it_does_not_pass_for_a_jwt_svid() -> None:
    for token in (HOME.wit_svid(), HOME.wit_token({}, {**payload(), "aud": ["audience"]})):
        with pytest.raises(SvidRefusedError, match="header type"):
            jwt.verify(token, BUNDLES, "audience", START)
    assert refused(HOME.jwt_svid()).reason is Reason.NOT_AN_SVID


def test_an_impostors_signature() -> None:
    assert refused(Authority(wit=True).wit_svid()).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "\ud800.a.b"])
def test_what_is_no_token(token: str) -> None:
    assert refused(token).reason in {Reason.NO_CREDENTIAL, Reason.MALFORMED}


@pytest.mark.parametrize("key", [KEY, P384, RSA], ids=["p256", "p384", "rsa"])
@pytest.mark.spec("WAPI-7.1-a")
def test_a_private_key_goes_there_and_back_and_joserfc_reads_it(key: Any) -> None:  # noqa: ANN401 - of two kinds
    algorithm = witkey.algorithm_of(key)
    text = witkey.emit(key, algorithm)
    assert witkey.parse(text).private_numbers() == key.private_numbers()
    members = json.loads(text)
    kind = RSAKey if isinstance(key, rsa.RSAPrivateKey) else ECKey
    read: Any = kind.import_key(members).raw_value
    assert read.private_numbers() == key.private_numbers()
    assert members["alg"] == algorithm
    foreign = kind.import_key(key).as_dict(private=True)
    assert witkey.parse(json.dumps(foreign)).private_numbers() == key.private_numbers()
    svid = check(HOME.wit_svid(public_key=to_pkix(key.public_key()), algorithm=algorithm))
    found = wit.with_key(svid, text).key
    assert found is not None
    assert found.private_numbers() == key.private_numbers()


@pytest.mark.spec("WAPI-7.1-a")
def test_a_key_that_is_not_the_tokens() -> None:
    svid = check(HOME.wit_svid(public_key=PUBLIC))
    with pytest.raises(InvalidArgumentError, match="does not belong to the key in cnf"):
        wit.with_key(svid, ec.generate_private_key(ec.SECP256R1()))


SECRET = json.loads(witkey.emit(KEY, "ES256"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", json.dumps(JWK)),
        *(json.dumps({**SECRET, **one}) for one in ({"d": "AAAA"}, {"d": ""}, {"d": 7}, {"d": "!"}, {"x": "AAAA"})),
        json.dumps({**json.loads(witkey.emit(RSA, "RS256")), "d": "AQAB"}),
        json.dumps({"kty": "oct", "k": "AAAA"}),
        json.dumps(SECRET)[:-1] + ',"d":"AAAA"}',
    ],
)  # fmt: skip
def test_keys_that_are_none_are_refused_without_a_word_of_them(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        witkey.parse(text)
    assert SECRET["d"] not in str(caught.value)
