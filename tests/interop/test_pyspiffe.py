"""py-spiffe's sources, which live as long as a workload does, through rotations."""

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from cryptography import x509
from spiffe import JwtSource, JwtSvid, SpiffeId, TrustDomain, X509Source

from assay.clock import SystemClock
from assay.testing.deployment import Deployment

ID = "spiffe://example.test/workload"
TRUST_DOMAIN = TrustDomain("example.test")
SVIDS = 3
"""The first and two rotations."""

PATIENCE = 120.0


@pytest.fixture
def x509_source(rotating: Deployment) -> Iterator[X509Source]:
    with X509Source(socket_path=rotating.endpoint, timeout_in_seconds=PATIENCE) as source:
        yield source


@pytest.fixture
def jwt_source(rotating: Deployment) -> Iterator[JwtSource]:
    with JwtSource(socket_path=rotating.endpoint, timeout_in_seconds=PATIENCE) as source:
        yield source


def test_both_sources_go_through_two_rotations(x509_source: X509Source, jwt_source: JwtSource) -> None:
    changed = threading.Event()
    x509_source.subscribe_for_updates(changed.set)
    leaves = {check_x509(x509_source, SystemClock().now()).serial_number}
    tokens = {check_jwt(jwt_source).token}
    while min(len(leaves), len(tokens)) < SVIDS:
        assert changed.wait(PATIENCE)
        changed.clear()
        leaves.add(check_x509(x509_source, SystemClock().now()).serial_number)
        tokens.add(check_jwt(jwt_source).token)


def check_x509(source: X509Source, now: datetime) -> x509.Certificate:
    svid = source.get_x509_context().default_svid
    bundle = source.get_bundle_for_trust_domain(TRUST_DOMAIN)
    assert bundle is not None
    (authority,) = bundle.x509_authorities
    leaf: x509.Certificate = svid.leaf
    leaf.verify_directly_issued_by(authority)
    assert svid.spiffe_id == SpiffeId(ID)
    assert leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc
    return leaf


def check_jwt(source: JwtSource) -> JwtSvid:
    fetched = source.fetch_svid({"billing"})
    bundle = source.get_bundle_for_trust_domain(TRUST_DOMAIN)
    assert bundle is not None
    checked = JwtSvid.parse_and_validate(fetched.token, bundle, {"billing"})
    assert checked.spiffe_id == SpiffeId(ID)
    return checked
