"""The source without a socket."""

import pytest

from assay.authorize import any_id
from assay.testing import FakeClock, InMemoryTrustDomain, WrongX509Svid
from assay.verify import BundleSource, JwtVerifier, X509Verifier


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain("example.org", clock=FakeClock(), x509_ttl=60)


def advance(domain: InMemoryTrustDomain, seconds: float) -> None:
    assert isinstance(domain.clock, FakeClock)
    domain.clock.advance(seconds)


def test_it_serves_one_svid_until_half_its_life_is_over(domain: InMemoryTrustDomain) -> None:
    source = domain.source("/api")
    first = source.svid()
    assert first.spiffe_id == domain.id("/api")
    advance(domain, 20)
    assert source.svid() is first
    advance(domain, 11)
    second = source.svid()
    assert second.serial != first.serial
    assert source.version == 2
    bundles: BundleSource = source
    X509Verifier(bundles, any_id(), domain.clock).verify(second.chain)


def test_it_renews_when_told_and_when_the_ca_changes(domain: InMemoryTrustDomain) -> None:
    source = domain.source("/api")
    rotated = source.rotate()
    assert source.svid() is rotated
    domain.rotate_x509_authority(forget=True)
    assert source.svid().serial != rotated.serial
    X509Verifier(source, any_id(), domain.clock).verify(source.svid().chain)


def test_a_given_svid_stays(domain: InMemoryTrustDomain) -> None:
    wrong = domain.wrong_x509_svid(WrongX509Svid.EXPIRED, "/api")
    source = domain.source(wrong)
    domain.rotate_x509_authority()
    assert source.svid() is wrong


async def test_tokens_are_its_own_or_whose_is_asked_for(domain: InMemoryTrustDomain) -> None:
    source = domain.source("/api")
    verifier = JwtVerifier(source, "billing", any_id(), domain.clock)
    assert verifier.verify((await source.fetch("billing")).token).spiffe_id == domain.id("/api")
    assert (await source.fetch(["billing"], domain.id("/other"))).spiffe_id == domain.id("/other")
