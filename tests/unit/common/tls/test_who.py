"""Who is taken and who is not, by both ends, on blocking sockets."""

import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from assay.authorize import any_id, matching, member_of, one_of
from assay.errors import InvalidArgumentError
from assay.svid import X509Svid
from assay.svid.refusal import Reason
from assay.testing import FakeClock, InMemorySource, InMemoryTrustDomain, WrongX509Svid
from assay.testing.authority import HOUR, leaf_extensions
from assay.testing.handshake import Handshakes, careless
from assay.tls import (
    NoIdentityToPresentError,
    SpiffeContext,
    client_context,
    peer_chain,
    peer_id,
    server_context,
)
from assay.verify import FixedBundles

# What OpenSSL finds before we look: it knows no trust domains.
BY_OPENSSL = {Reason.UNKNOWN_TRUST_DOMAIN: Reason.UNTRUSTED}


def test_both_ends_learn_who_the_other_is(
    shake: Handshakes, server: SpiffeContext, client: SpiffeContext, web: InMemorySource, api: InMemorySource
) -> None:
    served, called = shake(server, client)
    assert peer_id(served.open) == api.svid().spiffe_id
    assert peer_id(called.open) == web.svid().spiffe_id
    assert peer_chain(served.open)[0] == api.svid().chain[0]
    assert peer_chain(called.open)[0] == web.svid().chain[0]
    called.open.sendall(b"hello")
    assert served.open.recv(5) == b"hello"


def test_intermediates_are_presented(shake: Handshakes, domain: InMemoryTrustDomain) -> None:
    sources = [domain.source(domain.x509_svid(path, intermediate=True)) for path in ("/web", "/api")]
    served, called = shake(server_context(sources[0], any_id()), client_context(sources[1], any_id()))
    assert peer_chain(served.open)[:2] == sources[1].svid().chain
    assert peer_chain(called.open)[:2] == sources[0].svid().chain


@pytest.mark.spec("X509-2-d", "X509-5.1-a", "X509-5.2-a", "X509-5.2-b", "X509-5.2-c", "X509-5.2-d")
@pytest.mark.spec("X509-5.2-e", "X509-3.2-e", "WAPI-4.6-a")
@pytest.mark.parametrize("wrong", WrongX509Svid, ids=lambda one: one.name)
def test_a_wrong_client_is_refused(
    shake: Handshakes, server: SpiffeContext, domain: InMemoryTrustDomain, wrong: WrongX509Svid
) -> None:
    served, _ = shake(server, careless(domain.wrong_x509_svid(wrong, "/api")))
    assert served.connection is None
    assert served.refusal.reason is BY_OPENSSL.get(wrong.reason, wrong.reason)


@pytest.mark.spec("X509-2-d", "X509-5.1-a", "X509-5.2-a", "X509-5.2-b", "X509-5.2-c", "X509-5.2-d")
@pytest.mark.spec("X509-5.2-e", "X509-3.2-e", "WAPI-4.6-a")
@pytest.mark.parametrize("wrong", WrongX509Svid, ids=lambda one: one.name)
def test_a_wrong_server_is_refused(
    shake: Handshakes, client: SpiffeContext, domain: InMemoryTrustDomain, wrong: WrongX509Svid
) -> None:
    _, called = shake(careless(domain.wrong_x509_svid(wrong, "/web"), server=True), client)
    assert called.connection is None
    assert called.refusal.reason is wrong.reason


@pytest.mark.spec("X509-5.1-b")
@pytest.mark.spec("X509-5.2-f")
def test_an_authority_vouches_for_its_own_trust_domain_alone(
    shake: Handshakes, domain: InMemoryTrustDomain, server: SpiffeContext, client: SpiffeContext
) -> None:
    other = InMemoryTrustDomain("other.example")
    domain.federate(other)
    # The chains are good ones, by an authority whose bundle is loaded, of IDs that are wanted.
    served, _ = shake(server, careless(other.x509_svid(domain.id("/api"))))
    _, called = shake(careless(other.x509_svid(domain.id("/web")), server=True), client)
    for end in (served, called):
        assert end.connection is None
        assert end.refusal.reason is Reason.UNTRUSTED


@pytest.mark.spec("X509-5.1-b")
def test_a_federated_trust_domain_is_known_by_its_own_bundle(shake: Handshakes, domain: InMemoryTrustDomain) -> None:
    other = InMemoryTrustDomain("other.example")
    domain.federate(other)
    other.federate(domain)
    client = client_context(other.source("/api"), member_of(domain.trust_domain))
    served, called = shake(server_context(domain.source("/web"), member_of("other.example")), client)
    assert peer_id(served.open) == other.id("/api")
    assert peer_id(called.open) == domain.id("/web")

    domain.unfederate(other)
    served, _ = shake(server_context(domain.source("/web"), any_id()), client)
    assert served.connection is None
    assert served.refusal.reason is Reason.UNTRUSTED


def test_who_is_not_wanted_is_refused_with_the_id(shake: Handshakes, domain: InMemoryTrustDomain) -> None:
    strict = one_of(domain.id("/somebody"))
    served, _ = shake(server_context(domain.source("/web"), strict), client_context(domain.source("/api"), any_id()))
    _, called = shake(server_context(domain.source("/web"), any_id()), client_context(domain.source("/api"), strict))
    for end, who in ((served, "/api"), (called, "/web")):
        assert end.connection is None
        assert end.refusal.reason is Reason.NOT_AUTHORIZED
        assert end.refusal.spiffe_id == domain.id(who)
        assert isinstance(end.error, ssl.SSLError)


def test_a_rule_that_breaks_admits_nobody(shake: Handshakes, domain: InMemoryTrustDomain) -> None:
    def broken(_: object) -> bool:
        raise KeyError("broken")

    rule = matching(broken, "whom the rule admits")
    served, _ = shake(server_context(domain.source("/web"), rule), client_context(domain.source("/api"), any_id()))
    _, called = shake(server_context(domain.source("/web"), any_id()), client_context(domain.source("/api"), rule))
    for end in (served, called):
        assert end.connection is None
        assert isinstance(end.error, ssl.SSLError)
        assert "nobody could tell" in str(end.error)


def test_a_client_without_certificate_is_refused(
    shake: Handshakes, server: SpiffeContext, domain: InMemoryTrustDomain
) -> None:
    for client in (careless(), client_context(FixedBundles(domain.bundle), any_id(), presents=False)):
        served, _ = shake(server, client)
        assert served.connection is None
        assert isinstance(served.error, ssl.SSLError)


def test_a_client_may_come_without_certificate_where_that_is_said_but_not_with_a_wrong_one(
    shake: Handshakes, web: InMemorySource, domain: InMemoryTrustDomain
) -> None:
    server = server_context(web, one_of(domain.id("/api")), required=False)
    served, called = shake(server, client_context(FixedBundles(domain.bundle), any_id(), presents=False))
    assert peer_id(served.open) is None
    assert peer_chain(served.open) == ()
    assert peer_id(called.open) == domain.id("/web")

    served, _ = shake(server, client_context(domain.source("/api"), any_id()))
    assert peer_id(served.open) == domain.id("/api")

    for svid in (domain.wrong_x509_svid(WrongX509Svid.EXPIRED, "/api"), domain.x509_svid("/other")):
        served, _ = shake(server, careless(svid))
        assert served.refusal.reason in {Reason.EXPIRED, Reason.NOT_AUTHORIZED}


def test_dates_are_those_of_the_clock_that_is_given(shake: Handshakes) -> None:
    clock = FakeClock()
    domain = InMemoryTrustDomain(clock=clock)
    web, api = (domain.source(domain.x509_svid(path)) for path in ("/web", "/api"))
    server, client = server_context(web, any_id(), clock=clock), client_context(api, any_id(), clock=clock)
    served, called = shake(server, client)
    assert (peer_id(served.open), peer_id(called.open)) == (domain.id("/api"), domain.id("/web"))
    clock.advance(domain.x509_ttl + HOUR)
    # Each alone: a refused end takes the other with it.
    served, _ = shake(server, client_context(api, any_id(), clock=FakeClock()))
    _, called = shake(server_context(web, any_id(), clock=FakeClock()), client)
    for end in (served, called):
        assert end.connection is None
        assert end.refusal.reason is Reason.EXPIRED


def test_a_source_whose_svid_has_no_key_makes_no_connection(
    shake: Handshakes, domain: InMemoryTrustDomain, client: SpiffeContext, server: SpiffeContext
) -> None:
    keyless = domain.source(replace(domain.x509_svid("/web"), key=None))
    served, _ = shake(server_context(keyless, any_id()), client)
    _, called = shake(server, client_context(keyless, any_id()))
    for end in (served, called):
        assert isinstance(end.error, NoIdentityToPresentError)
        assert "came without its key" in str(end.error)


def test_bundles_alone_make_no_client_that_presents_something(domain: InMemoryTrustDomain) -> None:
    with pytest.raises(InvalidArgumentError, match="presents=False"):
        client_context(FixedBundles(domain.bundle), any_id())


@pytest.mark.parametrize("identified", [True, False])
def test_a_leaf_whose_subject_is_its_issuers_is_no_self_signed_one(
    shake: Handshakes, domain: InMemoryTrustDomain, server: SpiffeContext, client: SpiffeContext, *, identified: bool
) -> None:
    _, called = shake(server_context(namesake(domain, "/web", identified=identified), any_id()), client)
    assert peer_id(called.open) == domain.id("/web")
    served, _ = shake(server, client_context(namesake(domain, "/api", identified=identified), any_id()))
    if identified:
        assert peer_id(served.open) == domain.id("/api")
    else:
        # OpenSSL looks at clients first, and has nothing but the names to tell by.
        assert served.refusal.reason is Reason.UNTRUSTED


def namesake(domain: InMemoryTrustDomain, path: str, *, identified: bool) -> InMemorySource:
    """An SVID whose subject is that of its CA, with key identifiers or without."""
    ca = domain._issuer().ca
    key = ec.generate_private_key(ec.SECP256R1())
    identifiers = (
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    )
    extensions = [
        (one, critical)
        for one, critical in leaf_extensions(str(domain.id(path)))
        if not isinstance(one, type(identifiers[0]) | type(identifiers[1]))
    ]
    if identified:
        extensions += [(one, False) for one in identifiers]
    name = ca.certificate.subject
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(ca.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(ca.certificate.not_valid_after_utc)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return domain.source(X509Svid.parse([builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER)], key))
