"""A trust domain whose time stands still, an agent's key, and a verifier of the tokens for one tool."""

from collections.abc import Callable

import pytest

from assay.svid.dpop import DpopKey
from assay.tasktoken import DpopProof, TaskTokenVerifier
from assay.testing import FakeClock, InMemoryTrustDomain

CRM = "https://crm.example/mcp"
URL = f"{CRM}/tickets"
AGENT = "/principal/bot/i7f3"

Prove = Callable[[str], DpopProof]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def domain(clock: FakeClock) -> InMemoryTrustDomain:
    return InMemoryTrustDomain(clock=clock)


@pytest.fixture
def verifier(domain: InMemoryTrustDomain) -> TaskTokenVerifier:
    return TaskTokenVerifier(domain, domain.issuer, CRM, domain.status, clock=domain.clock)


@pytest.fixture
def key() -> DpopKey:
    return DpopKey.create()


@pytest.fixture
def prove(key: DpopKey, clock: FakeClock) -> Prove:
    """A proof for a token, on a request to URL."""
    return lambda token: DpopProof(key.prove("POST", URL, clock.now(), access_token=token), "POST", URL)


@pytest.fixture
def token(domain: InMemoryTrustDomain, key: DpopKey) -> str:
    return domain.task_token(AGENT, CRM, ["crm.read", "crm.list"], key=key)
