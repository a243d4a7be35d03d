"""The last look: every way in which a signed credential could be wrong, made by hand."""

import base64
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from assay.crypto.keys import to_pkix
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority, Ca, Extensions, ca_extensions, key_usage, leaf_extensions, subject
from assay.testing.clock import START
from assay_server.credential.validate import InvalidCredentialError, check_ca, check_jwt, check_leaf

ID = "spiffe://example.org/web"
WEB = SpiffeId.parse(ID)
NOW = int(START.timestamp())


@pytest.fixture(scope="module")
def home() -> Authority:
    return Authority()


def look(
    home: Authority, extensions: Extensions, *, name: str = "leaf", lifetime: int = 3600, spiffe_id: SpiffeId = WEB
) -> None:
    leaf, key = home.root.issue(extensions, name=subject(name), lifetime=lifetime)
    certificate = check_leaf(
        leaf,
        spiffe_id=spiffe_id,
        dns_names=["a.b"],
        public_key=to_pkix(key.public_key()),
        signer=home.root.certificate,
        now=START,
    )
    assert certificate.public_bytes(Encoding.DER) == leaf


def profile(**changes: tuple[x509.ExtensionType, bool] | None) -> Extensions:
    """An ordinary leaf's extensions with some changed or, for None, left out."""
    names = ("constraints", "usage", "extended", "names")
    whole = dict(zip(names, leaf_extensions(dns_uri := ID, dns_names=["a.b"]), strict=True))
    names_in_order = x509.SubjectAlternativeName([x509.DNSName("a.b"), x509.UniformResourceIdentifier(dns_uri)])
    whole["names"] = (names_in_order, False)
    return [one for one in {**whole, **changes}.values() if one is not None]


def test_a_leaf_as_it_should_be_passes(home: Authority) -> None:
    look(home, profile())


def names_of(*names: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return (x509.SubjectAlternativeName(names), False)


URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"constraints": None}, "BasicConstraints is missing"),
        ({"constraints": (x509.BasicConstraints(ca=True, path_length=None), True)}, "cA constraint must not be set"),
        ({"constraints": (x509.BasicConstraints(ca=False, path_length=None), False)}, "not critical"),
        ({"usage": None}, "KeyUsage is missing"),
        ({"usage": (key_usage("digital_signature"), False)}, "key usage is not critical"),
        ({"usage": (key_usage("key_agreement"), True)}, "key usage is missing"),
        ({"usage": (key_usage("digital_signature", "key_cert_sign"), True)}, "must not be"),
        ({"usage": (key_usage("digital_signature", "crl_sign"), True)}, "must not be"),
        ({"usage": (key_usage("digital_signature", "data_encipherment"), True)}, "must not be"),
        ({"extended": None}, "ExtendedKeyUsage is missing"),
        ({"extended": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)}, "serverAuth or clientAuth"),
        ({"extended": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)}, "serverAuth or clientAuth"),
        ({"names": None}, "SubjectAlternativeName is missing"),
        ({"names": names_of(DNS("a.b"))}, "names are not"),
        ({"names": names_of(URI(ID))}, "names are not"),
        ({"names": names_of(DNS("a.b"), URI(ID), URI(ID))}, "names are not"),
        ({"names": names_of(DNS("a.b"), URI(ID + "x"))}, "names are not"),
        ({"names": names_of(DNS("a.c"), URI(ID))}, "names are not"),
        ({"names": names_of(DNS("a.b"), DNS(ID))}, "names are not"),
        ({"names": names_of(DNS("a.b"), URI(ID), x509.RFC822Name("a@b.c"))}, "names are not"),
    ],
)
def test_a_leaf_that_is_none_does_not_leave(
    home: Authority, changes: dict[str, tuple[x509.ExtensionType, bool] | None], complaint: str
) -> None:
    with pytest.raises(InvalidCredentialError, match=complaint):
        look(home, profile(**changes))


def test_an_empty_subject_needs_critical_names(home: Authority) -> None:
    names, _ = profile()[-1]
    look(home, profile(names=(names, True)), name="")
    with pytest.raises(InvalidCredentialError, match="subject is empty"):
        look(home, profile(), name="")


def test_an_id_without_path_does_not_leave(home: Authority) -> None:
    names = names_of(DNS("a.b"), URI("spiffe://example.org"))
    with pytest.raises(InvalidCredentialError, match="has no path"):
        look(home, profile(names=names), spiffe_id=SpiffeId.parse("spiffe://example.org"))


def test_a_leaf_that_outlives_its_signer_does_not_leave(home: Authority) -> None:
    with pytest.raises(InvalidCredentialError, match="outlives its signer"):
        look(home, profile(), lifetime=24 * 3600 + 1)


def test_a_leaf_for_another_key_does_not_leave(home: Authority) -> None:
    leaf, _ = home.root.issue(profile())
    _, other = home.root.issue(profile())
    with pytest.raises(InvalidCredentialError, match="public key"):
        check_leaf(
            leaf,
            spiffe_id=WEB,
            dns_names=["a.b"],
            public_key=to_pkix(other.public_key()),
            signer=home.root.certificate,
            now=START,
        )


@pytest.mark.parametrize(("seconds", "complaint"), [(-11, "not valid yet"), (3601, "already expired")])
def test_a_leaf_that_is_not_valid_now_does_not_leave(home: Authority, seconds: int, complaint: str) -> None:
    leaf, key = home.root.issue(profile())
    with pytest.raises(InvalidCredentialError, match=complaint):
        check_leaf(
            leaf,
            spiffe_id=WEB,
            dns_names=["a.b"],
            public_key=to_pkix(key.public_key()),
            signer=home.root.certificate,
            now=START + timedelta(seconds=seconds),
        )


def test_what_does_not_parse_does_not_leave(home: Authority) -> None:
    with pytest.raises(InvalidCredentialError, match="does not parse"):
        check_leaf(b"junk", spiffe_id=WEB, dns_names=[], public_key=b"", signer=home.root.certificate, now=START)


def ca_profile(*usages: str, uri: str = "spiffe://example.org", ca: bool = True) -> Extensions:
    return [
        (x509.BasicConstraints(ca=ca, path_length=None), True),
        (key_usage(*usages), True),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False),
    ]


def look_at_ca(home: Authority, ca: Ca) -> None:
    key = to_pkix(ca.key.public_key())
    check_ca(ca.der, trust_domain=home.trust_domain, public_key=key, now=START)


def test_a_root_as_it_should_be_passes(home: Authority) -> None:
    look_at_ca(home, Ca.create("root", extensions=ca_profile("key_cert_sign", "crl_sign")))
    look_at_ca(home, Ca.create("root", extensions=ca_profile("key_cert_sign")))


@pytest.mark.spec("X509-3.2-b", "X509-4.1-b", "X509-4.3-c", "X509-4.3-h", "ID-3.1-c", "ID-3.1-d", "ID-3.1-e")
@pytest.mark.parametrize(
    ("extensions", "complaint"),
    [
        (ca_profile("key_cert_sign", ca=False), "cA constraint must be set"),
        (ca_profile("crl_sign"), "key usage is missing"),
        (ca_profile("key_cert_sign", "digital_signature"), "must not be"),
        (ca_profile("key_cert_sign", uri="spiffe://example.org/x"), "names are not"),
        (ca_profile("key_cert_sign", uri="spiffe://other.org"), "names are not"),
        (ca_extensions(), "SubjectAlternativeName is missing"),
    ],
)
def test_a_root_that_is_none_does_not_leave(home: Authority, extensions: Extensions, complaint: str) -> None:
    with pytest.raises(InvalidCredentialError, match=complaint):
        look_at_ca(home, Ca.create("root", extensions=extensions))


def test_a_root_signed_by_another_key_does_not_leave(home: Authority) -> None:
    name = home.root.certificate.subject.rfc4514_string().removeprefix("CN=")
    forged = Ca.create(name, issuer=home.root, extensions=ca_profile("key_cert_sign"))
    with pytest.raises(InvalidCredentialError, match="not signed by its own key"):
        look_at_ca(home, forged)


def look_at_jwt(home: Authority, **claims: object) -> None:
    check_jwt(home.jwt_svid("/web", ["a"], lifetime=300, **claims), spiffe_id=WEB, audience=("a",), now=START)


def test_a_token_as_it_should_be_passes(home: Authority) -> None:
    look_at_jwt(home)


@pytest.mark.parametrize(
    ("claims", "complaint"),
    [
        ({"sub": "spiffe://example.org/other"}, '"sub"'),
        ({"sub": "web"}, "invalid JWT-SVID"),
        ({"aud": ["b"]}, '"aud"'),
        ({"aud": ["a", ""]}, '"aud"'),
        ({"aud": []}, "invalid JWT-SVID"),
        ({"exp": NOW}, "already expired"),
        ({"exp": None}, "invalid JWT-SVID"),
    ],
)
def test_a_token_that_is_wrong_does_not_leave(home: Authority, claims: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidCredentialError, match=complaint):
        look_at_jwt(home, **claims)


def token_of(header: str, payload: str) -> str:
    parts = (base64.urlsafe_b64encode(one.encode()).rstrip(b"=").decode() for one in (header, payload, "signature"))
    return ".".join(parts)


HEADER = '{"alg":"ES256","kid":"kid","typ":"JWT"}'
PAYLOAD = f'{{"aud":["a"],"exp":{NOW + 300},"iat":{NOW},"sub":"{ID}"}}'


@pytest.mark.spec("JWT-2.1-a", "JWT-2.3-b")
@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("", "compact form"),
        ("a.b", "compact form"),
        ("a.b.", "compact form"),
        (token_of(HEADER, PAYLOAD) + "=", "compact form"),
        (token_of(HEADER, PAYLOAD) + ".x", "compact form"),
        (token_of("[]", PAYLOAD), "header is not a JSON object"),
        (token_of('{"alg":"ES256","kid":"kid"}', PAYLOAD), "header parameters"),
        (token_of(HEADER[:-1] + ',"crit":["x"]}', PAYLOAD), "header parameters"),
        (token_of(HEADER.replace("ES256", "none"), PAYLOAD), "unexpected algorithm"),
        (token_of(HEADER.replace("ES256", "HS256"), PAYLOAD), "unexpected algorithm"),
        (token_of(HEADER.replace('"ES256"', "[]"), PAYLOAD), "unexpected algorithm"),
        (token_of(HEADER.replace("JWT", "at+jwt"), PAYLOAD), "unexpected type"),
        (token_of(HEADER.replace('"kid":"kid"', '"kid":""'), PAYLOAD), "no key ID"),
        (token_of(HEADER.replace('"kid":"kid"', '"kid":7'), PAYLOAD), "no key ID"),
        (token_of(HEADER, "x"), "payload is not JSON"),
        (token_of(HEADER, PAYLOAD.replace('"aud":', '"sub":"x","aud":')), "twice"),
        (token_of(HEADER, PAYLOAD.replace('["a"]', '"a"')), '"aud"'),
        (token_of(HEADER, PAYLOAD.replace(f'"exp":{NOW + 300}', '"exp":"soon"')), '"exp"'),
        (token_of(HEADER, PAYLOAD.replace(f'"exp":{NOW + 300}', '"exp":true')), '"exp"'),
        ("A." + token_of(HEADER, PAYLOAD).partition(".")[2], "invalid JWT-SVID"),
    ],
)
def test_what_is_no_jwt_svid_does_not_leave(token: str, complaint: str) -> None:
    check_jwt(token_of(HEADER, PAYLOAD), spiffe_id=WEB, audience=("a",), now=START)
    with pytest.raises(InvalidCredentialError, match=complaint):
        check_jwt(token, spiffe_id=WEB, audience=("a",), now=START)


def test_a_token_for_nobody_does_not_leave() -> None:
    with pytest.raises(InvalidCredentialError, match='"aud"'):
        check_jwt(token_of(HEADER, PAYLOAD.replace('["a"]', "[]")), spiffe_id=WEB, audience=(), now=START)
