"""Verifiers: who is known by the bundles of now, and wanted."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from assay.authorize import NotAuthorizedError, any_id, member_of, one_of
from assay.bundle import Bundle
from assay.errors import InvalidArgumentError, Kind
from assay.spiffeid import TrustDomain
from assay.svid.refusal import Reason, SvidRefusedError
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay.verify import BundleSource, FixedBundles, JwtVerifier, X509Verifier

HOME, OTHER = Authority(), Authority("other.org")
BOTH = FixedBundles(HOME.bundle, OTHER.bundle)


class Changing:
    """A source whose bundles a test replaces."""

    def __init__(self) -> None:
        self.held: Mapping[TrustDomain, Bundle] = {}

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        return self.held


def tokens(source: BundleSource, audience: str | list[str] = "audience") -> JwtVerifier:
    return JwtVerifier(source, audience, any_id(), FakeClock())


def test_a_workload_of_the_domain_is_who_it_says() -> None:
    svid = HOME.x509_svid()
    assert X509Verifier(BOTH, one_of(svid.spiffe_id), FakeClock()).verify(svid.chain) == svid.spiffe_id
    checked = JwtVerifier(BOTH, "audience", one_of(svid.spiffe_id), FakeClock()).verify(HOME.jwt_svid())
    assert checked.spiffe_id == svid.spiffe_id


@pytest.mark.spec("X509-5.1-b", "JWT-4-d")
def test_a_foreign_domain_is_known_by_its_own_bundle_and_only_if_it_is_there() -> None:
    chain, token = OTHER.x509_svid().chain, OTHER.jwt_svid()
    assert X509Verifier(BOTH, any_id(), FakeClock()).verify(chain) == OTHER.id("/workload")
    assert tokens(BOTH).verify(token).spiffe_id == OTHER.id("/workload")
    alone = FixedBundles(HOME.bundle)
    with pytest.raises(SvidRefusedError) as x509:
        X509Verifier(alone, any_id(), FakeClock()).verify(chain)
    with pytest.raises(SvidRefusedError) as jwt:
        tokens(alone).verify(token)
    for error in (x509.value, jwt.value):
        assert (error.reason, error.spiffe_id) == (Reason.UNKNOWN_TRUST_DOMAIN, OTHER.id("/workload"))


def test_who_is_known_may_still_not_be_wanted() -> None:
    for authorize in (member_of("example.org"), one_of("spiffe://other.org/another")):
        with pytest.raises(NotAuthorizedError) as x509:
            X509Verifier(BOTH, authorize, FakeClock()).verify(OTHER.x509_svid().chain)
        with pytest.raises(NotAuthorizedError) as jwt:
            JwtVerifier(BOTH, "audience", authorize, FakeClock()).verify(OTHER.jwt_svid())
        for error in (x509.value, jwt.value):
            assert (error.kind, error.spiffe_id) == (Kind.PERMISSION_DENIED, OTHER.id("/workload"))


@pytest.mark.parametrize("missing", [None, "", b"", (), 7, b"a.b.c", object()])
def test_what_is_no_token_and_no_chain_is_refused_with_a_reason(missing: Any) -> None:  # noqa: ANN401 - of no type
    for verifier in (tokens(BOTH), X509Verifier(BOTH, any_id(), FakeClock())):
        with pytest.raises(SvidRefusedError) as refusal:
            verifier.verify(missing)
        assert refusal.value.reason is (Reason.MALFORMED if missing else Reason.NO_CREDENTIAL)


def test_who_is_not_known_is_not_asked_about() -> None:
    impostor = Authority()
    with pytest.raises(SvidRefusedError):
        X509Verifier(BOTH, one_of("spiffe://example.org/another"), FakeClock()).verify(impostor.x509_svid().chain)


def test_a_source_is_asked_each_time() -> None:
    source = Changing()
    x509, jwt = X509Verifier(source, any_id(), FakeClock()), tokens(source)
    chain, token = HOME.x509_svid().chain, HOME.jwt_svid()
    for held, known in (({}, False), ({HOME.trust_domain: HOME.bundle}, True), ({}, False)):
        source.held = held
        for check in (lambda: x509.verify(chain), lambda: jwt.verify(token)):
            if known:
                check()
                continue
            with pytest.raises(SvidRefusedError):
                check()


def test_a_revoked_authority_vouches_no_longer_though_it_was_parsed_before() -> None:
    source, after = Changing(), Authority()
    verifier = X509Verifier(source, any_id(), FakeClock())
    source.held = {HOME.trust_domain: HOME.bundle}
    verifier.verify(HOME.x509_svid().chain)
    source.held = {HOME.trust_domain: after.bundle}
    with pytest.raises(SvidRefusedError) as caught:
        verifier.verify(HOME.x509_svid().chain)
    assert caught.value.reason is Reason.UNTRUSTED


def test_the_clock_decides() -> None:
    clock = FakeClock()
    x509, jwt = X509Verifier(BOTH, any_id(), clock), JwtVerifier(BOTH, "audience", any_id(), clock)
    chain, token = HOME.x509_svid().chain, HOME.jwt_svid()
    x509.verify(chain)
    jwt.verify(token)
    clock.advance(timedelta(days=1).total_seconds())
    for check in (lambda: x509.verify(chain), lambda: jwt.verify(token)):
        with pytest.raises(SvidRefusedError) as caught:
            check()
        assert caught.value.reason is Reason.EXPIRED


def test_by_default_it_is_the_time_of_day() -> None:
    chain = Authority(now=START - timedelta(days=3000)).x509_svid().chain
    with pytest.raises(SvidRefusedError) as caught:
        X509Verifier(BOTH, any_id()).verify(chain)
    assert caught.value.reason is Reason.EXPIRED


@pytest.mark.spec("JWT-3.2-c")
def test_one_of_several_audiences_is_enough() -> None:
    verifier = tokens(BOTH, ["https://a", "audience"])
    assert verifier.verify(HOME.jwt_svid(audience=["audience", "x"])).audience == ("audience", "x")
    with pytest.raises(SvidRefusedError, match=r'\["https://a" "audience"\] \(audience=\["x"\]\)'):
        verifier.verify(HOME.jwt_svid(audience=["x"]))


@pytest.mark.parametrize("audience", ["", [], [""], ["audience", ""]])
@pytest.mark.spec("JWT-A-a", "JWT-3.2-b")
def test_a_verifier_without_audience_cannot_be_made(audience: str | list[str]) -> None:
    with pytest.raises(InvalidArgumentError, match="audience must be specified"):
        tokens(BOTH, audience)


def test_two_bundles_of_one_domain_are_a_mistake() -> None:
    with pytest.raises(InvalidArgumentError, match="two bundles"):
        FixedBundles(HOME.bundle, Authority().bundle)
