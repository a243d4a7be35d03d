from pathlib import Path

import pytest

from assay.bundle import jwks, pem
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority
from assay_agent.attestation.bootstrap import Attempt, BundleFormat, FileSource, InsecureSource

TD = TrustDomain("example.org")
FIRST = Attempt(1, 0.0, again=False)


async def test_a_pem_file(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "bundle").write_bytes(pem.emit(authority.bundle.x509_authorities))
    assert await FileSource(tmp_path / "bundle", BundleFormat(TD)).fetch(FIRST) == (authority.root.der,)


async def test_a_spiffe_bundle(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "bundle").write_bytes(jwks.emit(authority.bundle))
    source = FileSource(tmp_path / "bundle", BundleFormat(TD, spiffe=True))
    assert await source.fetch(FIRST) == (authority.root.der,)


async def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "bundle", BundleFormat(TD))
    for authority in (Authority(), Authority()):
        (tmp_path / "bundle").write_bytes(pem.emit(authority.bundle.x509_authorities))
        assert await source.fetch(FIRST) == (authority.root.der,)


async def test_believing_any_server_is_a_source_of_its_own() -> None:
    assert await InsecureSource().fetch(FIRST) == ()


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match=r"could not parse trust bundle.*missing") as refused:
        await FileSource(tmp_path / "missing", BundleFormat(TD)).fetch(FIRST)
    assert refused.value.hint == f"trust_bundle_path is {tmp_path}/missing"


@pytest.mark.parametrize(
    ("content", "spiffe"), [(b"", False), (b"text", False), (b"", True), (b"{}", True), (b'{"keys": []}', True)]
)
async def test_a_bundle_without_authority_is_refused(content: bytes, spiffe: bool, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(content)
    with pytest.raises(FailedPreconditionError, match="trust bundle"):
        await FileSource(tmp_path / "bundle", BundleFormat(TD, spiffe)).fetch(FIRST)
