"""Chains across trust domains, and forms that a certificate may have."""

import json

import pytest
from cryptography import x509

from assay.bundle import Bundle, X509Authority, jwks
from assay.errors import UnauthenticatedError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt
from assay.svid.x509 import verify
from assay.testing.authority import Authority, Ca, ca_extensions, leaf_extensions
from assay.testing.clock import START

HERE, THERE = TrustDomain("here.test"), TrustDomain("there.test")


def named(uri: str) -> tuple[x509.ExtensionType, bool]:
    return (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False)


def bundle(trust_domain: TrustDomain, *roots: Ca) -> Bundle:
    return Bundle(trust_domain, tuple(X509Authority(root.der) for root in roots))


@pytest.mark.spec("X509-3.2-d")
def test_a_root_of_another_name_signs_for_a_trust_domain_that_lists_it() -> None:
    root = Ca.create("root", extensions=[*ca_extensions(), named("spiffe://there.test")])
    middle = Ca.create("middle", issuer=root, extensions=[*ca_extensions(), named("spiffe://here.test")])
    leaf, _ = middle.issue(leaf_extensions("spiffe://here.test/web"))
    assert verify([leaf, middle.der], {HERE: bundle(HERE, root)}, START) == SpiffeId(HERE, "/web")


@pytest.mark.spec("TDB-6.2-a", "FED-4.2-e")
def test_a_root_that_two_trust_domains_share_vouches_where_it_is_listed() -> None:
    shared, own = Ca.create("shared"), Ca.create("own")
    here, _ = shared.issue(leaf_extensions("spiffe://here.test/web"))
    there, _ = shared.issue(leaf_extensions("spiffe://there.test/web"))
    both = {HERE: bundle(HERE, shared), THERE: bundle(THERE, own, shared)}
    assert [str(verify([leaf], both, START)) for leaf in (here, there)] == [
        "spiffe://here.test/web",
        "spiffe://there.test/web",
    ]
    one = {HERE: bundle(HERE, shared), THERE: bundle(THERE, own)}
    assert verify([here], one, START) == SpiffeId(HERE, "/web")
    with pytest.raises(UnauthenticatedError):
        verify([there], one, START)


@pytest.mark.spec("X509-4.4-b")
@pytest.mark.parametrize("critical", [True, False])
def test_extended_key_usage_may_be_critical(critical: bool) -> None:
    authority = Authority("here.test")
    extensions = [
        (value, critical if isinstance(value, x509.ExtendedKeyUsage) else is_critical)
        for value, is_critical in leaf_extensions("spiffe://here.test/web")
    ]
    leaf, _ = authority.root.issue(extensions)
    assert verify([leaf], {HERE: authority.bundle}, START) == SpiffeId(HERE, "/web")


@pytest.mark.spec("X509-6.2-c")
def test_a_bundle_of_jwt_keys_alone_vouches_for_no_certificate() -> None:
    authority = Authority("here.test")
    document = json.loads(jwks.emit(authority.bundle))
    document["keys"] = [key for key in document["keys"] if key["use"] == "jwt-svid"]
    bundles = {HERE: jwks.parse(HERE, json.dumps(document).encode())}
    assert jwt.verify(authority.jwt_svid("/web"), bundles, "audience", START).spiffe_id == SpiffeId(HERE, "/web")
    with pytest.raises(UnauthenticatedError):
        verify(authority.x509_svid("/web").chain, bundles, START)


@pytest.mark.spec("JWT-6.2-a", "TDB-4.2.2-c")
@pytest.mark.parametrize("use", ["x509-svid", "wit-svid", "sig", None])
def test_a_key_of_another_use_verifies_no_token(use: str | None) -> None:
    authority = Authority("here.test")
    document = json.loads(jwks.emit(authority.bundle))
    ca, key = document["keys"]
    other = {**key, "use": use} if use != "x509-svid" else {**ca, **key, "use": use}
    document["keys"] = [{name: value for name, value in other.items() if value is not None}]
    bundles = {HERE: jwks.parse(HERE, json.dumps(document).encode())}
    with pytest.raises(UnauthenticatedError):
        jwt.verify(authority.jwt_svid("/web"), bundles, "audience", START)


@pytest.mark.spec("ID-2.1-f", "ID-2.1-g")
@pytest.mark.parametrize("name", ["1.2.3.4", "999.1", "-a_b", "_", "a..b", "td.", ".td", "x" * 255])
def test_every_legal_name_is_a_trust_domain_like_any_other(name: str) -> None:
    authority = Authority(name) if len(name) < 64 else _with_a_long_name(name)
    bundles = {authority.trust_domain: authority.bundle}
    web = SpiffeId.parse(f"spiffe://{name}/web")
    assert verify(authority.x509_svid("/web").chain, bundles, START) == web
    assert jwt.verify(authority.jwt_svid("/web"), bundles, "audience", START).spiffe_id == web


def _with_a_long_name(name: str) -> Authority:
    """A subject holds 64 characters, which is what the test kit names its root by."""
    authority = Authority("short")
    authority.trust_domain = TrustDomain(name)
    return authority
