from pathlib import Path

import pytest

from assay.bundle import jwks, pem
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority
from assay_agent.attestation.bootstrap import Bootstrap

TD = TrustDomain("example.org")


def test_a_pem_file(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "bundle").write_bytes(pem.emit(authority.bundle.x509_authorities))
    assert Bootstrap(TD, tmp_path / "bundle").load() == (authority.root.der,)


def test_a_spiffe_bundle(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "bundle").write_bytes(jwks.emit(authority.bundle))
    assert Bootstrap(TD, tmp_path / "bundle", spiffe_format=True).load() == (authority.root.der,)


def test_believing_any_server_must_be_asked_for() -> None:
    assert Bootstrap(TD, insecure=True).load() == ()
    with pytest.raises(FailedPreconditionError, match="no certs in bundle"):
        Bootstrap(TD).load()


def test_a_file_is_used_even_if_insecure_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="could not parse trust bundle"):
        Bootstrap(TD, tmp_path / "missing", insecure=True).load()


@pytest.mark.parametrize(
    ("content", "spiffe_format"), [(b"", False), (b"text", False), (b"", True), (b"{}", True), (b'{"keys": []}', True)]
)
def test_a_bundle_without_authority_is_refused(content: bytes, spiffe_format: bool, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(content)
    with pytest.raises(FailedPreconditionError, match="trust bundle"):
        Bootstrap(TD, tmp_path / "bundle", spiffe_format=spiffe_format).load()
