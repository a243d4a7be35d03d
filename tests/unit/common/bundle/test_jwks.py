import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import KeySet
from spiffe import JwtBundle
from spiffe import TrustDomain as SpiffeTrustDomain

from assay.bundle import Bundle, JwtAuthority, WitAuthority, jwk, jwks
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.testing.authority import Authority, Ca

SPIRE_BUNDLE = (Path(__file__).parent / "spire-bundle.json").read_bytes()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def document(authority: Authority) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(jwks.emit(authority.bundle))
    return whole


def parse(authority: Authority, document: object) -> Bundle:
    return jwks.parse(authority.trust_domain, json.dumps(document).encode())


def changed(document: dict[str, Any], index: int, **members: object) -> dict[str, Any]:
    """The document with members of one key changed; None takes one away."""
    keys = [dict(key) for key in document["keys"]]
    keys[index] = {name: value for name, value in {**keys[index], **members}.items() if value is not None}
    return {**document, "keys": keys}


def test_goes_there_and_back(authority: Authority) -> None:
    assert jwks.parse(authority.trust_domain, jwks.emit(authority.bundle)) == authority.bundle


def test_reads_and_writes_what_spire_writes(authority: Authority) -> None:
    bundle = jwks.parse(authority.trust_domain, SPIRE_BUNDLE)
    assert (len(bundle.x509_authorities), len(bundle.jwt_authorities), bundle.sequence) == (1, 1, 1)
    assert json.loads(jwks.emit(bundle)) == json.loads(SPIRE_BUNDLE)


@pytest.mark.spec("X509-6.1-a", "X509-6.1-b", "X509-6.1-c", "X509-6.1-d", "X509-6.1-e", "X509-6.1-g")
def test_an_x509_entry_holds_one_certificate_and_its_key(authority: Authority) -> None:
    bundle = Bundle(authority.trust_domain, authority.bundle.x509_authorities)
    (entry,) = json.loads(jwks.emit(bundle))["keys"]
    assert set(entry) == {"use", "kty", "crv", "x", "y", "x5c"}
    assert entry["use"] == "x509-svid"
    assert [base64.standard_b64decode(one) for one in entry["x5c"]] == [authority.root.der]
    assert jwk.emit(authority.root.key.public_key()).items() <= entry.items()


@pytest.mark.spec("JWT-6.1-a", "JWT-6.1-b", "JWT-6.1-c", "TDB-4.2-a", "TDB-4.2.1-a", "TDB-4.2.2-a")
def test_a_jwt_entry_holds_its_key_and_name(authority: Authority) -> None:
    entry = json.loads(jwks.emit(authority.bundle))["keys"][1]
    assert set(entry) == {"use", "kid", "kty", "crv", "x", "y"}
    assert (entry["use"], entry["kid"]) == ("jwt-svid", authority.jwt_key_id)


@pytest.mark.spec("TDB-4.1.1-a", "TDB-4.1.2-b")
def test_sequence_and_hint_are_integers_when_they_are_known(authority: Authority) -> None:
    bundle = Bundle(authority.trust_domain, refresh_hint=300, sequence=7)
    assert json.loads(jwks.emit(bundle)) == {"keys": [], "spiffe_sequence": 7, "spiffe_refresh_hint": 300}
    assert json.loads(jwks.emit(Bundle(authority.trust_domain))) == {"keys": []}


@pytest.mark.spec("TDB-4-a")
def test_other_libraries_read_it(authority: Authority) -> None:
    keys = KeySet.import_key_set(json.loads(jwks.emit_jwt(authority.bundle)))
    assert [key.kid for key in keys.keys] == [authority.jwt_key_id]
    whole = JwtBundle.parse(SpiffeTrustDomain("example.org"), jwks.emit_jwt(authority.bundle))
    assert list(whole.jwt_authorities) == [authority.jwt_key_id]


def test_the_workload_apis_form_says_nothing_of_spiffe(authority: Authority) -> None:
    document = json.loads(jwks.emit_jwt(authority.bundle))
    (entry,) = document["keys"]
    assert set(document) == {"keys"}
    assert list(entry) == ["kty", "kid", "crv", "x", "y"]  # in SPIRE's order
    again = jwks.parse_jwt(authority.trust_domain, jwks.emit_jwt(authority.bundle))
    assert again == Bundle(authority.trust_domain, jwt_authorities=authority.bundle.jwt_authorities)


@pytest.mark.parametrize(
    ("use", "taken"), [(None, 1), ("jwt-svid", 1), ("sig", 1), ("enc", 0), ("x509-svid", 0), ("wit-svid", 0)]
)
@pytest.mark.spec("WAPI-6.2.2-c")
def test_a_set_of_jwt_keys_may_say_what_they_are_for(authority: Authority, use: str | None, taken: int) -> None:
    document = json.loads(jwks.emit_jwt(authority.bundle))
    document["keys"][0] |= {} if use is None else {"use": use}
    again = jwks.parse_jwt(authority.trust_domain, json.dumps(document).encode())
    assert len(again.jwt_authorities) == taken


@pytest.mark.spec("TDB-4.1-a")
def test_unknown_members_are_passed_over(authority: Authority, document: dict[str, Any]) -> None:
    assert parse(authority, {**changed(document, 1, alg="ES256", foo=1), "bar": {}}) == authority.bundle


@pytest.mark.spec("X509-6.1-c")
def test_a_name_on_an_x509_entry_is_passed_over(authority: Authority, document: dict[str, Any]) -> None:
    assert parse(authority, changed(document, 0, kid="x")) == authority.bundle


@pytest.mark.parametrize(
    "members",
    [
        *({"use": None}, {"use": "JWT-SVID"}, {"use": "X509-SVID"}, {"use": "foo"}, {"use": 7}),
        *({"kty": None}, {"kty": "FOO"}, {"kty": "ec"}),
    ],
)
@pytest.mark.spec("TDB-4.1.3-b", "TDB-4.2.1-b", "TDB-4.2.2-b", "TDB-4.2.2-c")
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.spec("ID-3.3-a")
def test_a_key_of_unknown_type_or_use_costs_only_itself(
    authority: Authority,
    document: dict[str, Any],
    index: int,
    members: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle = parse(authority, changed(document, index, **members))
    assert (len(bundle.x509_authorities), len(bundle.jwt_authorities)) == ((0, 1) if index == 0 else (1, 0))
    assert caplog.messages == ["Ignoring key of bundle"]
    assert vars(caplog.records[0])["fields"]["trust_domain_id"] == "spiffe://example.org"


@pytest.mark.parametrize(
    "members",
    [
        *({"x5c": None}, {"x5c": []}, {"x5c": "text"}, {"x5c": [7]}, {"x5c": ["!"]}, {"x5c": ["AAAA"]}),
        {"x": "AAAA"},
        {"d": "AAAA"},
    ],
)
@pytest.mark.spec("X509-6.2-a")
def test_an_x509_entry_without_its_certificate_costs_only_itself(
    authority: Authority, document: dict[str, Any], members: dict[str, Any]
) -> None:
    good = {**document["keys"][0]}
    bad = changed(document, 0, **members)
    bundle = parse(authority, {**bad, "keys": [*bad["keys"], good]})
    assert bundle.x509_authorities == authority.bundle.x509_authorities


def test_the_certificate_of_another_key_costs_only_itself(authority: Authority, document: dict[str, Any]) -> None:
    other = base64.b64encode(Ca.create("other").der).decode()
    assert parse(authority, changed(document, 0, x5c=[other])).x509_authorities == ()


@pytest.mark.spec("X509-6.2-b")
def test_of_several_certificates_the_first_counts(authority: Authority, document: dict[str, Any]) -> None:
    x5c = [*document["keys"][0]["x5c"], "junk", base64.b64encode(Ca.create("other").der).decode()]
    assert parse(authority, changed(document, 0, x5c=x5c)) == authority.bundle


@pytest.mark.parametrize(
    "members",
    [
        *({"kid": None}, {"kid": ""}, {"kid": 7}, {"crv": "secp256k1"}, {"crv": None}, {"x": None}, {"d": "AAAA"}),
        {"kty": "oct", "k": "AAAA"},
    ],
)
@pytest.mark.spec("JWT-6.2-a")
def test_a_jwt_entry_that_is_no_named_public_key_costs_only_itself(
    authority: Authority, document: dict[str, Any], members: dict[str, Any]
) -> None:
    bundle = parse(authority, changed(document, 1, **members))
    assert bundle.jwt_authorities == ()
    assert bundle.x509_authorities == authority.bundle.x509_authorities


def test_entries_that_repeat_count_once(authority: Authority, document: dict[str, Any]) -> None:
    assert parse(authority, {**document, "keys": document["keys"] * 2}) == authority.bundle


def test_the_first_of_two_keys_of_one_name_counts(authority: Authority) -> None:
    first, second = (to_pkix(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(2))
    both = Bundle(authority.trust_domain, jwt_authorities=(JwtAuthority("k", first), JwtAuthority("k", second)))
    parsed = jwks.parse(authority.trust_domain, jwks.emit(both))
    assert parsed.jwt_authorities == (JwtAuthority("k", first),)


@pytest.mark.spec("TDB-4.1.3-c")
def test_no_keys_at_all_is_a_bundle(authority: Authority) -> None:
    assert parse(authority, {"keys": [], "spiffe_sequence": 3}) == Bundle(authority.trust_domain, sequence=3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{}", 'no list "keys"'),
        (b'{"keys": null}', 'no list "keys"'),
        (b'{"keys": {}}', 'no list "keys"'),
        (b'{"error": "not found"}', 'no list "keys"'),
        (b'{"keys": [7]}', "not an object"),
        (b'{"keys": [], "keys": []}', '"keys" twice'),
        (b'{"keys": [{"use": "x509-svid", "use": "jwt-svid"}]}', '"use" twice'),
        (b'{"keys": []} more', "bundle is not JSON"),
        (b"<html>", "bundle is not JSON"),
        (b"", "bundle is not JSON"),
        (b'{"keys": [], "spiffe_sequence": "7"}', "spiffe_sequence is not an integer"),
        (b'{"keys": [], "spiffe_sequence": 1.5}', "spiffe_sequence is not an integer"),
        (b'{"keys": [], "spiffe_sequence": true}', "spiffe_sequence is not an integer"),
        (b'{"keys": [], "spiffe_sequence": -1}', "64-bit"),
        (b'{"keys": [], "spiffe_sequence": 18446744073709551616}', "64-bit"),
        (b'{"keys": [], "spiffe_refresh_hint": "300"}', "spiffe_refresh_hint is not an integer"),
        (b'{"keys": [], "spiffe_refresh_hint": 1.0}', "spiffe_refresh_hint is not an integer"),
    ],
)
@pytest.mark.spec("TDB-4.1.3-a", "TDB-6.3-a", "TDB-4.1.2-b")
def test_refuses_what_is_no_bundle(authority: Authority, text: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        jwks.parse(authority.trust_domain, text)


@pytest.mark.parametrize("sequence", [1, 2**63, 2**64 - 1])
@pytest.mark.spec("TDB-4.1.1-d")
def test_sequences_have_64_bits(authority: Authority, sequence: int) -> None:
    bundle = parse(authority, {"keys": [], "spiffe_sequence": sequence})
    assert bundle.sequence == sequence
    assert jwks.parse(authority.trust_domain, jwks.emit(bundle)) == bundle


@pytest.mark.parametrize(("hint", "expected"), [(-5, 0), (0, 0), (300, 300), (2**40, 2**31 - 1)])
@pytest.mark.spec("TDB-4.1.2-c")
def test_hints_are_kept_within_reason(authority: Authority, hint: int, expected: int) -> None:
    assert parse(authority, {"keys": [], "spiffe_refresh_hint": hint}).refresh_hint == expected


@pytest.fixture(scope="module")
def three_kinds() -> Authority:
    return Authority(wit=True)


@pytest.mark.spec("WIT-6.1-a", "WIT-6.1-b")
def test_a_wit_key_is_an_entry_of_its_own_use(three_kinds: Authority) -> None:
    bundle = three_kinds.bundle
    *_, entry = json.loads(jwks.emit(bundle))["keys"]
    assert (entry["use"], entry["kid"], set(entry)) == (
        "wit-svid",
        "example.org-wit-key",
        {"use", "kid", "kty", "crv", "x", "y"},
    )
    assert jwk.emit(three_kinds.wit_key.public_key()).items() <= entry.items()
    assert jwks.parse(three_kinds.trust_domain, jwks.emit(bundle)) == bundle


@pytest.mark.spec("WIT-6.2-a", "WIT-6.2-b", "ID-3.3-a")
def test_a_use_decides_what_a_key_verifies(three_kinds: Authority) -> None:
    document = json.loads(jwks.emit(three_kinds.bundle))
    for index, use in ((1, "wit-svid"), (2, "jwt-svid")):
        bundle = parse(three_kinds, changed(document, index, use=use))
        kinds = (len(bundle.jwt_authorities), len(bundle.wit_authorities))
        assert kinds == ((0, 2) if use == "wit-svid" else (2, 0))


@pytest.mark.spec("WIT-6.1-c")
def test_a_wit_key_with_the_id_of_a_jwt_key_is_passed_over(
    three_kinds: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    document = json.loads(jwks.emit(three_kinds.bundle))
    bundle = parse(three_kinds, changed(document, 2, kid=three_kinds.jwt_key_id))
    assert (len(bundle.jwt_authorities), bundle.wit_authorities) == (1, ())
    assert caplog.messages == ["Ignoring key of bundle"]


@pytest.mark.spec("WAPI-7.1-b", "WAPI-7.2.2-a")
def test_a_set_of_wit_keys_has_nothing_else_and_no_use(three_kinds: Authority) -> None:
    (entry,) = json.loads(jwks.emit_wit(three_kinds.bundle))["keys"]
    assert set(entry) == {"kid", "kty", "crv", "x", "y"}
    bundle = jwks.parse_wit(three_kinds.trust_domain, jwks.emit_wit(three_kinds.bundle))
    assert bundle == Bundle(three_kinds.trust_domain, wit_authorities=three_kinds.bundle.wit_authorities)


@pytest.mark.parametrize(("use", "taken"), [(None, 1), ("wit-svid", 1), ("sig", 1), ("jwt-svid", 0), ("enc", 0)])
@pytest.mark.spec("WAPI-7.2.2-a")
def test_which_uses_pass_in_a_set_of_wit_keys(three_kinds: Authority, use: str | None, taken: int) -> None:
    document = changed(json.loads(jwks.emit_wit(three_kinds.bundle)), 0, use=use)
    bundle = jwks.parse_wit(three_kinds.trust_domain, json.dumps(document).encode())
    assert (len(bundle.wit_authorities), bundle.jwt_authorities) == (taken, ())


def test_wit_keys_are_as_strictly_read_as_jwt_keys(three_kinds: Authority) -> None:
    document = json.loads(jwks.emit(three_kinds.bundle))
    private: dict[str, Any] = {"d": "AAAA"}
    for members in ({"kid": None}, {"kid": ""}, {"kty": "oct"}, {"crv": "P-999"}, {"x": None}, private):
        assert parse(three_kinds, changed(document, 2, **members)).wit_authorities == ()
    assert (
        WitAuthority(three_kinds.wit_key_id, to_pkix(three_kinds.wit_key.public_key()))
        in three_kinds.bundle.wit_authorities
    )
