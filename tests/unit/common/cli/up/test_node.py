import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from assay.cli.up.node import NodeCertificate
from assay.crypto.keys import accepted, same_key
from assay.spiffeid import TrustDomain

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_certificate_chains_to_its_ca_and_may_sign_only(tmp_path: Path) -> None:
    node = NodeCertificate(tmp_path / "node")
    node.ensure(NOW)
    leaf, ca = load(node.certificate), load(node.ca)
    leaf.verify_directly_issued_by(ca)
    ca.verify_directly_issued_by(ca)
    assert leaf.subject != leaf.issuer
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert leaf.not_valid_before_utc < NOW < NOW + timedelta(days=3000) < leaf.not_valid_after_utc
    key = load_pem_private_key(node.key.read_bytes(), None)
    assert same_key(accepted(leaf.public_key()), accepted(key.public_key()))
    assert stat.S_IMODE(node.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(node.key.parent.stat().st_mode) == 0o700


def test_it_is_made_once(tmp_path: Path) -> None:
    node = NodeCertificate(tmp_path)
    node.ensure(NOW)
    before = node.agent_id(TrustDomain("a"))
    node.ensure(NOW + timedelta(days=1))
    assert NodeCertificate(tmp_path).agent_id(TrustDomain("a")) == before
    assert str(before).startswith("spiffe://a/spire/agent/x509pop/")
    assert len(before.path.rpartition("/")[2]) == 40


def test_an_interrupted_run_begins_anew(tmp_path: Path) -> None:
    node = NodeCertificate(tmp_path)
    node.ensure(NOW)
    node.certificate.unlink()
    node.ensure(NOW)
    load(node.certificate).verify_directly_issued_by(load(node.ca))
