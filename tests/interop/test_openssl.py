"""openssl's view of the certificates: the profile and the chain."""

import subprocess
from pathlib import Path

import pytest

from assay.testing.deployment import Deployment


@pytest.fixture
def written(deployment: Deployment, tmp_path: Path) -> Path:
    """A folder with svid.0.pem, svid.0.key and bundle.0.pem of one workload."""
    deployment.register("/web", dns_names=("web.example.test",))
    deployment.run("api", "fetch", "x509", "--socket-path", str(deployment.api), "--write", str(tmp_path))
    return tmp_path


def run(openssl: str, *args: str | Path) -> str:
    return subprocess.run([openssl, *args], capture_output=True, text=True, check=True).stdout


def test_leaf_chains_to_the_bundle_for_both_purposes(openssl: str, written: Path) -> None:
    for purpose in ("sslserver", "sslclient"):
        out = run(
            openssl,
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            written / "bundle.0.pem",
            written / "svid.0.pem",
        )
        assert out.rstrip().endswith("OK")


def test_key_belongs_to_the_leaf(openssl: str, written: Path) -> None:
    of_key = run(openssl, "pkey", "-in", written / "svid.0.key", "-pubout")
    assert of_key == run(openssl, "x509", "-in", written / "svid.0.pem", "-noout", "-pubkey")


def test_leaf_profile(openssl: str, written: Path) -> None:
    text = run(openssl, "x509", "-in", written / "svid.0.pem", "-noout", "-text")
    lines = [line.strip() for line in text.splitlines()]
    assert "Subject: C = US, O = SPIRE, CN = web.example.test" in lines
    assert after(lines, "X509v3 Key Usage: critical") == "Digital Signature, Key Encipherment, Key Agreement"
    assert after(lines, "X509v3 Extended Key Usage:") == "TLS Web Server Authentication, TLS Web Client Authentication"
    assert after(lines, "X509v3 Basic Constraints: critical") == "CA:FALSE"
    assert after(lines, "X509v3 Subject Alternative Name:") == "DNS:web.example.test, URI:spiffe://example.test/web"


def test_authority_profile(openssl: str, written: Path) -> None:
    text = run(openssl, "x509", "-in", written / "bundle.0.pem", "-noout", "-text")
    lines = [line.strip() for line in text.splitlines()]
    assert after(lines, "X509v3 Key Usage: critical") == "Certificate Sign, CRL Sign"
    assert after(lines, "X509v3 Basic Constraints: critical") == "CA:TRUE"
    assert after(lines, "X509v3 Subject Alternative Name:") == "URI:spiffe://example.test"
    assert any(line.startswith("Subject: C = US, O = SPIFFE, serialNumber = ") for line in lines)


def after(lines: list[str], heading: str) -> str:
    return lines[lines.index(heading) + 1]
