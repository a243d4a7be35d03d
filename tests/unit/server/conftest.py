"""What most tests of the server stand on: a clock that stands still, a real store, an issuer with its authorities."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.crypto.ski import authority_id
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay_server.credential import CredentialSettings, Issuer, JwtSigner, WitSigner, X509Signer
from assay_server.datastore.sql.store import SqlStore, open_store


class FixedAuthorities:
    """Authorities that never rotate."""

    def __init__(self, authority: Authority) -> None:
        root = authority.root
        self.x509 = X509Signer(root.certificate, root.key, (), authority_id(root.certificate.public_key()))
        self.jwt = JwtSigner(authority.jwt_key, authority.jwt_key_id, 2**40)
        self.wit = WitSigner(authority.wit_key, authority.wit_key_id, 2**40)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlStore]:
    store = await open_store(tmp_path / "datastore.sqlite3", clock=clock)
    yield store
    await store.close()


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def authorities(authority: Authority) -> FixedAuthorities:
    return FixedAuthorities(authority)


@pytest.fixture
def issuer(authority: Authority, authorities: FixedAuthorities, clock: FakeClock) -> Issuer:
    return Issuer(authority.trust_domain, authorities, clock, CredentialSettings())
