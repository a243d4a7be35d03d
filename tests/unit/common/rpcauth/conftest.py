"""A trust domain, a verifier for its tokens, and what calls are made of."""

import pytest

from assay.authorize import one_of
from assay.testing import InMemoryTrustDomain
from assay.verify import JwtVerifier


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain()


@pytest.fixture
def verifier(domain: InMemoryTrustDomain) -> JwtVerifier:
    """Takes /web's tokens for "orders"."""
    return JwtVerifier(domain, "orders", one_of(domain.id("/web")))
