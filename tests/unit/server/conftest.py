"""What most tests of the server stand on: a clock that stands still, a real store, an issuer with its authorities."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from assay.crypto.ski import authority_id
from assay.ledger.record import hash_of, record_line
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


SCHEMA = Path(__file__).parents[3] / "docs" / "ledger-event.schema.json"
# A compact JWS, or a private key: nothing that a record may ever have, wherever it came from.
SECRET = re.compile(r"eyJ[\w-]{8,}\.|PRIVATE KEY")


@pytest.fixture(scope="session")
def record_schema() -> Draft202012Validator:
    """What every record of the ledger is held against."""
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock, record_schema: Draft202012Validator) -> AsyncIterator[SqlStore]:
    """A store whose records, whatever a test did, are a chain of what the schema knows, without a secret."""
    path = tmp_path / "datastore.sqlite3"
    store = await open_store(path, clock=clock)
    yield store
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        records = database.execute("SELECT document, hash FROM events ORDER BY number").fetchall()
    first: dict[str, Any] = (
        json.loads(records[0][0]) if records else {"number": 1, "previous": ""}
    )  # what is before may be pruned
    previous = first["previous"]
    for number, (body, own) in enumerate(records, start=first["number"]):
        record = json.loads(record_line(body, own))
        record_schema.validate(record)
        assert not SECRET.search(body)
        assert (record["number"], record["previous"], own) == (number, previous, hash_of(body.encode()))
        previous = own


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def authorities(authority: Authority) -> FixedAuthorities:
    return FixedAuthorities(authority)


@pytest.fixture
def issuer(authority: Authority, authorities: FixedAuthorities, clock: FakeClock) -> Issuer:
    return Issuer(authority.trust_domain, authorities, clock, CredentialSettings())
