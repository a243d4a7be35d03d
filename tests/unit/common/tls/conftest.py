"""Two workloads of one trust domain, and handshakes between them on real sockets and both event loops."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop

from assay.authorize import one_of
from assay.testing import InMemorySource, InMemoryTrustDomain
from assay.testing.handshake import Handshakes
from assay.tls import SpiffeContext, client_context, server_context


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def shake() -> Iterator[Handshakes]:
    """Shakes hands between two contexts."""
    with Handshakes() as handshakes:
        yield handshakes


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain()


@pytest.fixture
def web(domain: InMemoryTrustDomain) -> InMemorySource:
    """The server's identity."""
    return domain.source("/web")


@pytest.fixture
def api(domain: InMemoryTrustDomain) -> InMemorySource:
    """The client's."""
    return domain.source("/api")


@pytest.fixture
def server(domain: InMemoryTrustDomain, web: InMemorySource) -> SpiffeContext:
    """Takes the client and nobody else."""
    return server_context(web, one_of(domain.id("/api")))


@pytest.fixture
def client(domain: InMemoryTrustDomain, api: InMemorySource) -> SpiffeContext:
    """Takes the server and nobody else."""
    return client_context(api, one_of(domain.id("/web")))
