"""py-spiffe, a foreign client, on the Workload API server for tests, in the test's own process."""

import threading
from collections.abc import Iterator

import pytest
from spiffe import JwtBundle, JwtSource, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient, X509Source
from spiffe.errors import PySpiffeError
from spiffe.workloadapi.errors import FetchX509SvidError, ValidateJwtSvidError

from assay.bundle.jwks import emit_jwt
from assay.testing import InMemoryTrustDomain, WorkloadApiServer, WrongJwtSvid

PATIENCE = 30.0
OWN, OTHER = TrustDomain("example.org"), TrustDomain("other.org")


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain("example.org")


@pytest.fixture
def server(domain: InMemoryTrustDomain) -> Iterator[WorkloadApiServer]:
    with WorkloadApiServer(domain) as server:
        yield server


def test_x509_source_sees_rotation_and_new_authorities(server: WorkloadApiServer, domain: InMemoryTrustDomain) -> None:
    domain.federate(InMemoryTrustDomain("other.org"))
    server.serve("/api")
    with X509Source(socket_path=server.address, timeout_in_seconds=PATIENCE) as source:
        changed = threading.Event()
        source.subscribe_for_updates(changed.set)
        serials = {check(source)}
        server.rotate()
        assert changed.wait(PATIENCE)
        serials.add(check(source))
        changed.clear()
        domain.rotate_x509_authority(forget=True)
        assert changed.wait(PATIENCE)
        serials.add(check(source))
        assert source.get_bundle_for_trust_domain(OTHER) is not None
    assert len(serials) == 3


def check(source: X509Source) -> int:
    svid = source.get_x509_context().default_svid
    bundle = source.get_bundle_for_trust_domain(OWN)
    assert bundle is not None
    (authority,) = bundle.x509_authorities
    svid.leaf.verify_directly_issued_by(authority)
    assert svid.spiffe_id == SpiffeId("spiffe://example.org/api")
    return int(svid.leaf.serial_number)


def test_jwt_source_fetches_and_validates(server: WorkloadApiServer) -> None:
    server.serve("/api")
    server.serve("/second")
    with JwtSource(socket_path=server.address, timeout_in_seconds=PATIENCE) as source:
        token = source.fetch_svid({"billing"}, subject=SpiffeId("spiffe://example.org/second")).token
        bundle = source.get_bundle_for_trust_domain(OWN)
        assert bundle is not None
        checked = JwtSvid.parse_and_validate(token, bundle, {"billing"})
        assert checked.spiffe_id == SpiffeId("spiffe://example.org/second")


@pytest.mark.parametrize("wrong", WrongJwtSvid)
def test_a_foreign_validator_refuses_each_wrong_token(domain: InMemoryTrustDomain, wrong: WrongJwtSvid) -> None:
    bundle = JwtBundle.parse(OWN, emit_jwt(domain.bundle))
    JwtSvid.parse_and_validate(domain.jwt_svid("/api", "billing"), bundle, {"billing"})
    # Of a missing `exp` it says so by KeyError.
    with pytest.raises((PySpiffeError, KeyError)):
        JwtSvid.parse_and_validate(domain.wrong_jwt_svid(wrong, "/api", "billing"), bundle, {"billing"})


def test_client_has_tokens_validated(server: WorkloadApiServer, domain: InMemoryTrustDomain) -> None:
    server.serve("/api")
    with WorkloadApiClient(server.address) as client:
        svid = client.validate_jwt_svid(domain.jwt_svid("/caller", "billing"), "billing")
        assert svid.spiffe_id == SpiffeId("spiffe://example.org/caller")
        for wrong in WrongJwtSvid:
            with pytest.raises(ValidateJwtSvidError):
                client.validate_jwt_svid(domain.wrong_jwt_svid(wrong, "/caller", "billing"), "billing")


def test_no_identity_is_no_identity(server: WorkloadApiServer) -> None:
    with (
        WorkloadApiClient(server.address) as client,
        pytest.raises(FetchX509SvidError, match="no identity issued"),
    ):
        client.fetch_x509_svid()
