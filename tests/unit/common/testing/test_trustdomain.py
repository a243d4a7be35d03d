"""The trust domain in memory, judged by the library's verifiers; foreign clients judge it in the files beside."""

import pytest
from cryptography import x509

from assay.authorize import any_id
from assay.crypto.keys import to_pkix
from assay.errors import AssayError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import wit
from assay.svid.refusal import Reason, RefusedError
from assay.testing import FakeClock, InMemoryTrustDomain, WrongJwtSvid, WrongX509Svid
from assay.testing.clock import START
from assay.verify import JwtVerifier, X509Verifier

AUDIENCE = "billing"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def domain(clock: FakeClock) -> InMemoryTrustDomain:
    return InMemoryTrustDomain("example.org", clock=clock)


@pytest.fixture
def x509s(domain: InMemoryTrustDomain, clock: FakeClock) -> X509Verifier:
    return X509Verifier(domain, any_id(), clock)


@pytest.fixture
def jwts(domain: InMemoryTrustDomain, clock: FakeClock) -> JwtVerifier:
    return JwtVerifier(domain, AUDIENCE, any_id(), clock)


def test_an_x509_svid_is_valid_and_is_what_was_asked_for(domain: InMemoryTrustDomain, x509s: X509Verifier) -> None:
    svid = domain.x509_svid("/api", ttl=60, dns_names=["api.internal"])
    assert x509s.verify(svid.chain) == svid.spiffe_id == SpiffeId.parse("spiffe://example.org/api")
    assert svid.not_after == START.timestamp() + 60
    names = svid.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.internal"]
    assert svid.key is not None


def test_each_svid_has_a_key_of_its_own(domain: InMemoryTrustDomain) -> None:
    assert domain.x509_svid("/api").key_pkcs8 != domain.x509_svid("/api").key_pkcs8


def test_an_intermediate_is_in_the_chain_and_needed(domain: InMemoryTrustDomain, x509s: X509Verifier) -> None:
    svid = domain.x509_svid("/api", intermediate=True)
    assert len(svid.chain) == 2
    x509s.verify(svid.chain)
    with pytest.raises(RefusedError):
        x509s.verify(svid.chain[:1])


def test_a_jwt_svid_is_valid_and_says_what_it_was_told(domain: InMemoryTrustDomain, jwts: JwtVerifier) -> None:
    svid = jwts.verify(domain.jwt_svid("/api", [AUDIENCE, "audit"], ttl=60, scope="read", iat=None))
    assert svid.spiffe_id == domain.id("/api")
    assert svid.audience == (AUDIENCE, "audit")
    assert dict(svid.claims) == {
        "sub": "spiffe://example.org/api",
        "aud": [AUDIENCE, "audit"],
        "exp": START.timestamp() + 60,
        "scope": "read",
    }


def test_svids_live_as_long_as_the_domain_says(clock: FakeClock) -> None:
    domain = InMemoryTrustDomain("example.org", clock=clock, x509_ttl=120, jwt_ttl=30)
    assert domain.x509_svid("/api").not_after == START.timestamp() + 120
    verifier = JwtVerifier(domain, AUDIENCE, any_id(), clock)
    assert verifier.verify(domain.jwt_svid("/api", AUDIENCE)).expires_at == START.timestamp() + 30


@pytest.mark.parametrize("wrong", WrongX509Svid)
def test_each_wrong_x509_svid_is_refused_for_its_reason(
    domain: InMemoryTrustDomain, x509s: X509Verifier, wrong: WrongX509Svid
) -> None:
    svid = domain.wrong_x509_svid(wrong, "/api")
    assert svid.key_pkcs8
    with pytest.raises(RefusedError) as refused:
        x509s.verify(svid.chain)
    assert refused.value.reason is wrong.reason


@pytest.mark.parametrize("wrong", WrongJwtSvid)
def test_each_wrong_jwt_svid_is_refused_for_its_reason(
    domain: InMemoryTrustDomain, jwts: JwtVerifier, wrong: WrongJwtSvid
) -> None:
    with pytest.raises(RefusedError) as refused:
        jwts.verify(domain.wrong_jwt_svid(wrong, "/api", AUDIENCE))
    assert refused.value.reason is wrong.reason


def test_what_is_foreign_is_right_at_home(domain: InMemoryTrustDomain) -> None:
    svid = domain.wrong_x509_svid(WrongX509Svid.FOREIGN, "/api")
    assert svid.spiffe_id.trust_domain != domain.trust_domain
    assert svid.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    ) == [str(svid.spiffe_id)]


@pytest.mark.parametrize("forget", [False, True])
def test_a_new_ca_signs_and_the_old_one_is_trusted_until_forgotten(
    domain: InMemoryTrustDomain, x509s: X509Verifier, *, forget: bool
) -> None:
    before, sequence = domain.x509_svid("/api"), domain.bundle.sequence
    domain.rotate_x509_authority(forget=forget)
    x509s.verify(domain.x509_svid("/api").chain)
    assert len(domain.bundle.x509_authorities) == (1 if forget else 2)
    assert domain.bundle.sequence == sequence + 1
    if forget:
        with pytest.raises(RefusedError) as refused:
            x509s.verify(before.chain)
        assert refused.value.reason is Reason.UNTRUSTED
    else:
        x509s.verify(before.chain)


@pytest.mark.parametrize("forget", [False, True])
def test_a_new_jwt_key_signs_and_the_old_one_is_trusted_until_forgotten(
    domain: InMemoryTrustDomain, jwts: JwtVerifier, *, forget: bool
) -> None:
    before, sequence = domain.jwt_svid("/api", AUDIENCE), domain.bundle.sequence
    domain.rotate_jwt_key(forget=forget)
    jwts.verify(domain.jwt_svid("/api", AUDIENCE))
    assert len(domain.bundle.jwt_authorities) == (1 if forget else 2)
    assert domain.bundle.sequence == sequence + 1
    if forget:
        with pytest.raises(RefusedError) as refused:
            jwts.verify(before)
        assert refused.value.reason is Reason.UNKNOWN_KEY
    else:
        jwts.verify(before)


def test_a_federated_domain_is_trusted_for_its_own_ids_only(domain: InMemoryTrustDomain, x509s: X509Verifier) -> None:
    other = InMemoryTrustDomain("other.org", clock=domain.clock)
    domain.federate(other)
    domain.federate(other)
    assert list(domain.bundles()) == [TrustDomain("example.org"), TrustDomain("other.org")]
    assert list(other.bundles()) == [TrustDomain("other.org")]
    assert x509s.verify(other.x509_svid("/api").chain) == other.id("/api")
    with pytest.raises(RefusedError):
        x509s.verify(other.x509_svid("spiffe://example.org/admin").chain)
    domain.unfederate(other)
    assert list(domain.bundles()) == [TrustDomain("example.org")]


def test_watchers_hear_of_what_changes_their_bundles_and_of_nothing_else(domain: InMemoryTrustDomain) -> None:
    other = InMemoryTrustDomain("other.org", clock=domain.clock)
    third = InMemoryTrustDomain("third.org", clock=domain.clock)
    domain.federate(other)
    domain.federate(other)
    other.federate(domain)
    heard: list[str] = []
    end = domain.watch(lambda: heard.append("changed"))
    other.rotate_jwt_key()
    other.federate(third)
    third.rotate_jwt_key()
    assert heard == ["changed"]
    assert other.bundle.sequence == 2
    domain.rotate_x509_authority()
    assert len(heard) == 2
    domain.unfederate(other)
    assert len(heard) == 3
    other.rotate_jwt_key()
    end()
    domain.rotate_jwt_key()
    assert len(heard) == 3


def test_a_domain_does_not_federate_with_its_namesake(domain: InMemoryTrustDomain) -> None:
    with pytest.raises(AssayError, match="itself"):
        domain.federate(InMemoryTrustDomain("example.org"))


def test_a_wit_svid_is_verified_with_its_key_and_wrong_claims_are_found_out(domain: InMemoryTrustDomain) -> None:
    svid = domain.wit_svid("/api", ttl=60, scope="read")
    read = wit.verify(svid.token, domain.bundles(), domain.clock.now())
    assert read == svid
    assert svid.key is not None
    assert to_pkix(svid.key.public_key()) == read.public_key
    assert (read.expires_at, read.claims["scope"]) == (START.timestamp() + 60, "read")
    with pytest.raises(RefusedError):
        domain.wit_svid("/api", aud=["x"])


@pytest.mark.parametrize("forget", [False, True])
def test_a_new_wit_key_signs_and_the_old_one_is_trusted_until_forgotten(
    domain: InMemoryTrustDomain, *, forget: bool
) -> None:
    before, sequence = domain.wit_svid("/api"), domain.bundle.sequence
    domain.rotate_wit_key(forget=forget)
    now = domain.clock.now()
    wit.verify(domain.wit_svid("/api").token, domain.bundles(), now)
    assert (len(domain.bundle.wit_authorities), domain.bundle.sequence) == (1 if forget else 2, sequence + 1)
    if forget:
        with pytest.raises(RefusedError) as refused:
            wit.verify(before.token, domain.bundles(), now)
        assert refused.value.reason is Reason.UNKNOWN_KEY
    else:
        wit.verify(before.token, domain.bundles(), now)
