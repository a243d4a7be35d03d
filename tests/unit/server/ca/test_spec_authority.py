"""What the standards ask of a signing authority, read from what a server that has just started publishes."""

from pathlib import Path

import pytest
from cryptography import x509

from assay.keymanager.disk import DiskKeyManager
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_server.ca import CaManager, CaSettings
from assay_server.ca.slots import activation_time, preparation_time
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot

HOME = TrustDomain("example.org")
# Seconds; the hint that the standard gives as an example, and SPIRE's default.
REFRESH_HINT = 300


@pytest.fixture
async def certificate(store: SqlStore, tmp_path: Path, clock: FakeClock) -> x509.Certificate:
    """The one certificate in the bundle of a server that has started."""
    ca = CaManager(store, DiskKeyManager(tmp_path / "keys.json"), clock, CaSettings(), HOME)
    await ca.start()
    bundle = await store.read(lambda tx: tx.bundles.get(HOME))
    assert bundle is not None
    (authority,) = bundle.x509_authorities
    return x509.load_der_x509_certificate(authority.der)


@pytest.mark.spec("X509-6.1-f")
def test_what_is_published_is_self_signed(certificate: x509.Certificate) -> None:
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.spec("X509-3.2-a", "X509-3.2-c")
@pytest.mark.spec("X509-4.4-d", "X509-3.2-b", "X509-4.1-b", "X509-4.3-a", "X509-4.3-b", "X509-4.3-c", "X509-4.3-h")
def test_it_may_sign_and_nothing_else(certificate: x509.Certificate) -> None:
    found = {type(one.value): one for one in certificate.extensions}
    assert x509.ExtendedKeyUsage not in found
    names, usage, constraints = (
        found[kind] for kind in (x509.SubjectAlternativeName, x509.KeyUsage, x509.BasicConstraints)
    )
    assert names.value == x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example.org")])
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=None)
    assert usage.critical
    assert usage.value.public_bytes() == b"\x03\x02\x01\x06", "keyCertSign and cRLSign alone"


@pytest.mark.spec("FED-4.1-a")
def test_by_default_a_key_is_known_for_many_refresh_hints_before_it_signs() -> None:
    life = CaSettings().ttl
    active = AuthorityRecord(AuthorityKind.X509, Slot.A, AuthorityStatus.ACTIVE, "key", "name", 0, life, b"")
    assert activation_time(active) - preparation_time(active) >= 5 * REFRESH_HINT
