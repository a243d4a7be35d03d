"""Entries and SVIDs of one trust domain for the cache."""

from collections.abc import Callable

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay_agent.cache import Cache, Update

OWN = TrustDomain("example.org")

MakeEntry = Callable[..., Entry]
Sign = Callable[[Entry], X509Svid]
Select = Callable[..., frozenset[Selector]]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("example.org")


@pytest.fixture
def select() -> Select:
    """Selectors of type unix from their values."""
    return lambda *values: frozenset(Selector("unix", value) for value in values)


@pytest.fixture
def entry(authority: Authority) -> MakeEntry:
    """An entry: its ID, its path and the values of its selectors; more fields by name."""

    def make(entry_id: str, path: str, *values: str, **fields: object) -> Entry:
        return Entry(
            id=entry_id,
            spiffe_id=authority.id(path),
            parent_id=authority.id("/agent"),
            selectors=tuple(Selector("unix", value) for value in values),
            **fields,  # type: ignore[arg-type]
        )

    return make


@pytest.fixture(scope="session")
def sign(authority: Authority) -> Sign:
    """An SVID for an entry."""
    return lambda entry: authority.x509_svid(entry.spiffe_id.path)


@pytest.fixture
def bundle(authority: Authority) -> Bundle:
    return authority.bundle


@pytest.fixture
def cache(bundle: Bundle) -> Cache:
    """Synced, with the own bundle and no entries; impatient, so that what never comes is soon given up."""
    cache = Cache(OWN, patience=0.01)
    cache.apply(Update(snapshot=True, bundles=[bundle]))
    return cache
