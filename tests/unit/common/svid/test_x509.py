"""Validation of X.509-SVIDs against chains of every wrong kind."""

from datetime import timedelta

import pytest
from cryptography import x509

from assay.bundle import Bundle, X509Authority
from assay.errors import UnauthenticatedError
from assay.spiffeid import TrustDomain
from assay.svid.refusal import SvidRefusedError
from assay.svid.x509 import MAX_INTERMEDIATES, certificate_id, verified_path, verify, verify_roots
from assay.testing.authority import (
    Authority,
    Ca,
    Extensions,
    ca_extensions,
    key_usage,
    leaf_extensions,
    subject,
)
from assay.testing.clock import START

ID = "spiffe://example.org/workload"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
HOME = TrustDomain("example.org")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def check(chain: list[bytes], root: Ca, *, seconds: int = 0) -> str:
    bundle = Bundle(HOME, (X509Authority(root.der),))
    return str(verify(chain, {HOME: bundle}, START + timedelta(seconds=seconds)))


def leaf(root: Ca, extensions: Extensions, **options: object) -> bytes:
    return root.issue(extensions, **options)[0]  # type: ignore[arg-type]


def test_an_svid_of_the_domain_is_who_it_says(authority: Authority) -> None:
    svid = authority.x509_svid()
    assert verify(svid.chain, {HOME: authority.bundle}, START) == svid.spiffe_id
    assert verify_roots(svid.chain, {HOME: [authority.root.der]}, START) == svid.spiffe_id


@pytest.mark.spec("X509-3.2-d")
def test_intermediates_are_followed(authority: Authority) -> None:
    middle = Ca.create("middle", issuer=authority.root)
    last = Ca.create("last", issuer=middle)
    assert check([leaf(last, leaf_extensions(ID)), last.der, middle.der], authority.root) == ID


def test_intermediates_come_in_any_order(authority: Authority) -> None:
    middle = Ca.create("middle", issuer=authority.root)
    last = Ca.create("last", issuer=middle)
    assert check([leaf(last, leaf_extensions(ID)), middle.der, last.der], authority.root) == ID


def test_a_missing_intermediate_is_not_guessed(authority: Authority) -> None:
    middle = Ca.create("middle", issuer=authority.root)
    with pytest.raises(UnauthenticatedError):
        check([leaf(middle, leaf_extensions(ID))], authority.root)


def test_an_intermediate_may_be_an_anchor(authority: Authority) -> None:
    middle = Ca.create("middle", issuer=authority.root)
    assert check([leaf(middle, leaf_extensions(ID))], middle) == ID


def test_chains_without_end_are_refused(authority: Authority) -> None:
    chain = [authority.root]
    for number in range(MAX_INTERMEDIATES + 1):
        chain.insert(0, Ca.create(f"middle {number}", issuer=chain[0]))
    with pytest.raises(UnauthenticatedError):
        check([leaf(chain[0], leaf_extensions(ID)), *(one.der for one in chain[:-1])], authority.root)


@pytest.mark.spec("X509-5.1-a")
@pytest.mark.parametrize(("seconds", "valid"), [(-11, False), (-10, True), (3600, True), (3601, False)])
def test_dates_bound_a_leaf(authority: Authority, seconds: int, valid: bool) -> None:
    chain = list(authority.x509_svid().chain)
    if valid:
        assert check(chain, authority.root, seconds=seconds) == ID
        return
    with pytest.raises(UnauthenticatedError, match="not valid at validation time"):
        check(chain, authority.root, seconds=seconds)


@pytest.mark.spec("X509-5.1-a")
def test_dates_bound_anchors_and_intermediates() -> None:
    root = Ca.create("root", lifetime=60)
    with pytest.raises(UnauthenticatedError):
        check([leaf(root, leaf_extensions(ID))], root, seconds=61)
    lasting = Ca.create("root")
    middle = Ca.create("middle", issuer=lasting, lifetime=60)
    with pytest.raises(UnauthenticatedError):
        check([leaf(middle, leaf_extensions(ID)), middle.der], lasting, seconds=61)


@pytest.mark.spec("X509-5.1-b", "X509-5.2-f", "ID-3-a", "TDB-6.2-a")
@pytest.mark.spec("TDB-3-a", "FED-4.2-e", "FED-7.3-a")
def test_only_the_leafs_own_domain_vouches(authority: Authority) -> None:
    other = Authority("other.org")
    foreign = leaf(authority.root, leaf_extensions("spiffe://other.org/workload"))
    bundles = {HOME: authority.bundle, other.trust_domain: other.bundle}
    with pytest.raises(UnauthenticatedError):
        verify([foreign], bundles, START)


@pytest.mark.spec("X509-6.2-c", "TDB-4.1.3-d")
def test_a_domain_without_authorities_has_no_svids(authority: Authority) -> None:
    chain = authority.x509_svid().chain
    for bundles in ({}, {HOME: Bundle(HOME)}):
        with pytest.raises(UnauthenticatedError, match=r"no X\.509 bundle found"):
            verify(chain, bundles, START)


@pytest.mark.spec("X509-5.1-a")
def test_another_key_of_the_same_name_vouches_for_nothing(authority: Authority) -> None:
    impostor = Ca.create("example.org root")
    with pytest.raises(UnauthenticatedError):
        check([leaf(impostor, leaf_extensions(ID))], authority.root)


def test_the_right_one_of_two_roots_of_one_name_is_found(authority: Authority) -> None:
    before = Ca.create("example.org root")
    bundle = Bundle(HOME, (X509Authority(before.der), X509Authority(authority.root.der)))
    assert str(verify(authority.x509_svid().chain, {HOME: bundle}, START)) == ID


def test_a_leaf_may_be_named_like_its_issuer(authority: Authority) -> None:
    # OpenSSL would take it for self-signed.
    named = leaf(authority.root, leaf_extensions(ID), name=subject("example.org root"))
    assert check([named], authority.root) == ID


@pytest.mark.spec("X509-3.1-d")
def test_a_leaf_needs_no_subject(authority: Authority) -> None:
    assert check([leaf(authority.root, leaf_extensions(ID), name=subject(""))], authority.root) == ID


@pytest.mark.spec("X509-2-c", "X509-4.3-f", "X509-4.4-b")
def test_other_names_and_fewer_usages_are_fine(authority: Authority) -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("*.example.org"),
            x509.RFC822Name("a@example.org"),
            x509.UniformResourceIdentifier(ID),
        ]
    )
    extensions: Extensions = [(names, False), (key_usage("digital_signature"), True)]
    assert check([leaf(authority.root, extensions)], authority.root) == ID


@pytest.mark.spec("X509-5.2-a", "X509-3.2-e", "X509-3.1-a")
def test_a_signing_certificate_identifies_nobody(authority: Authority) -> None:
    names = (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(ID)]), False)
    signing = Ca.create("middle", issuer=authority.root, extensions=[*ca_extensions(), names])
    with pytest.raises(UnauthenticatedError, match="CA flag set to true"):
        check([signing.der], authority.root)
    with pytest.raises(UnauthenticatedError, match="CA flag set to true"):
        check([signing.der], signing)


@pytest.mark.spec("X509-5.2-b")
@pytest.mark.parametrize(("usage", "word"), [("key_cert_sign", "KeyCertSign"), ("crl_sign", "CrlSign")])
def test_a_leaf_that_may_sign_is_refused(authority: Authority, usage: str, word: str) -> None:
    extensions = [*leaf_extensions(ID)]
    extensions[1] = (key_usage("digital_signature", usage), True)
    with pytest.raises(UnauthenticatedError, match=word):
        check([leaf(authority.root, extensions)], authority.root)


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        ([], "no URI SAN"),
        (["https://example.org/x"], "scheme"),
        ([ID, "https://example.org"], "more than one URI SAN"),
        (["https://example.org", ID], "more than one URI SAN"),
        ([ID, ID], "more than one URI SAN"),
        (["spiffe://example.org"], "has no path"),
        (["spiffe://example.org/"], "trailing slash"),
        (["spiffe://example.org/x#"], "path segment characters"),
        (["SPIFFE://example.org/x"], "scheme"),
    ],
)
@pytest.mark.spec("X509-2-b", "X509-2-d", "X509-5.2-c", "X509-5.2-d", "X509-5.2-e", "ID-2-d", "ID-2.4-a")
def test_names_that_are_no_single_spiffe_id_are_refused(authority: Authority, uris: list[str], reason: str) -> None:
    with pytest.raises(UnauthenticatedError, match=reason):
        check([leaf(authority.root, leaf_extensions(*uris, dns_names=["a.example.org"]))], authority.root)


def test_a_leaf_without_any_extension_is_refused(authority: Authority) -> None:
    with pytest.raises(UnauthenticatedError, match="no URI SAN"):
        check([leaf(authority.root, [])], authority.root)


@pytest.mark.spec("X509-4.1-a")
def test_path_lengths_hold() -> None:
    root = Ca.create("root", extensions=ca_extensions(path_length=0))
    assert check([leaf(root, leaf_extensions(ID))], root) == ID
    middle = Ca.create("middle", issuer=root)
    with pytest.raises(UnauthenticatedError, match="path length"):
        check([leaf(middle, leaf_extensions(ID)), middle.der], root)


@pytest.mark.parametrize(
    "extensions",
    [
        [(x509.BasicConstraints(ca=False, path_length=None), True), (key_usage("key_cert_sign"), True)],
        [(x509.BasicConstraints(ca=True, path_length=None), True), (key_usage("crl_sign"), True)],
        [],
    ],
    ids=["no CA", "no keyCertSign", "nothing"],
)
def test_what_may_not_sign_certificates_does_not(authority: Authority, extensions: Extensions) -> None:
    middle = Ca.create("middle", issuer=authority.root, extensions=extensions)
    with pytest.raises(UnauthenticatedError):
        check([leaf(middle, leaf_extensions(ID)), middle.der], authority.root)
    with pytest.raises(UnauthenticatedError):
        check([leaf(middle, leaf_extensions(ID))], middle)


@pytest.mark.spec("X509-4.3-d", "X509-3.2-a")
def test_a_root_needs_neither_crl_sign_nor_a_name() -> None:
    extensions = [ca_extensions()[0], (key_usage("key_cert_sign"), True)]
    root = Ca.create("root", extensions=extensions)
    assert check([leaf(root, leaf_extensions(ID))], root) == ID


@pytest.mark.spec("ID-2.2-d")
def test_an_anchors_own_name_is_not_judged() -> None:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example.org/")])
    root = Ca.create("root", extensions=[*ca_extensions(), (names, False)])
    assert check([leaf(root, leaf_extensions(ID))], root) == ID


@pytest.mark.spec("X509-5.1-a")
def test_unknown_critical_extensions_are_refused_and_others_passed_over(authority: Authority) -> None:
    assert check([leaf(authority.root, [*leaf_extensions(ID), (UNKNOWN, False)])], authority.root) == ID
    with pytest.raises(UnauthenticatedError, match="critical"):
        check([leaf(authority.root, [*leaf_extensions(ID), (UNKNOWN, True)])], authority.root)
    middle = Ca.create("middle", issuer=authority.root, extensions=[*ca_extensions(), (UNKNOWN, True)])
    with pytest.raises(UnauthenticatedError, match="critical"):
        check([leaf(middle, leaf_extensions(ID)), middle.der], authority.root)


@pytest.mark.spec("X509-4.2-a", "X509-4.2-b")
@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("host", ["example.org", "other.org"])
def test_uri_name_constraints_are_never_passed_over(host: str, critical: bool) -> None:
    constraints = x509.NameConstraints([x509.UniformResourceIdentifier(host)], None)
    root = Ca.create("root", extensions=[*ca_extensions(), (constraints, critical)])
    with pytest.raises(UnauthenticatedError, match="unsupported name constraint"):
        check([leaf(root, leaf_extensions(ID))], root)


def test_dns_name_constraints_hold() -> None:
    constraints = x509.NameConstraints([x509.DNSName("example.org")], None)
    root = Ca.create("root", extensions=[*ca_extensions(), (constraints, True)])
    assert check([leaf(root, leaf_extensions(ID, dns_names=["a.example.org"]))], root) == ID
    with pytest.raises(UnauthenticatedError):
        check([leaf(root, leaf_extensions(ID, dns_names=["a.other.org"]))], root)


@pytest.mark.spec("ID-3.2-a")
def test_a_changed_byte_breaks_the_signature(authority: Authority) -> None:
    der = bytearray(authority.x509_svid().chain[0])
    der[der.index(b"/workload") + 1] ^= 1
    with pytest.raises(UnauthenticatedError):
        check([bytes(der)], authority.root)


@pytest.mark.parametrize("chain", [[], [b""], [b"\x30\x03abc"], [b"not a certificate"]])
def test_refuses_what_is_no_chain(authority: Authority, chain: list[bytes]) -> None:
    with pytest.raises(UnauthenticatedError):
        check(chain, authority.root)


def test_a_broken_anchor_is_an_error_and_not_a_pass(authority: Authority) -> None:
    with pytest.raises(UnauthenticatedError):
        verify_roots(authority.x509_svid().chain, {HOME: [b"junk"]}, START)


def test_the_path_goes_from_the_leaf_to_its_authority() -> None:
    authority = Authority()
    svid = authority.x509_svid()
    leaf, root = verified_path(svid.chain, authority.bundle, START)
    assert certificate_id(leaf) == authority.id("/workload")
    assert root == authority.root.certificate
    assert certificate_id(root) is None
    with pytest.raises(SvidRefusedError):
        verified_path(svid.chain, Authority().bundle, START)
