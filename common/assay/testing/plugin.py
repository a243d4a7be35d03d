"""Fixtures for pytest, there for whoever has Assay installed; nothing of Assay is imported until one is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from assay.testing import InMemoryTrustDomain, WorkloadApiServer


@pytest.fixture
def spiffe_trust_domain() -> "InMemoryTrustDomain":
    """A trust domain in memory, `example.org`. Override this fixture for another name, clock or TTL."""
    from assay.testing import InMemoryTrustDomain  # noqa: PLC0415 - costs who does not use it nothing

    return InMemoryTrustDomain()


@pytest.fixture
def spiffe_workload_api(
    spiffe_trust_domain: "InMemoryTrustDomain", monkeypatch: pytest.MonkeyPatch
) -> "Iterator[WorkloadApiServer]":
    """Its Workload API, running, at SPIFFE_ENDPOINT_SOCKET. It has no identity for anyone until `serve` is called."""
    from assay.testing import WorkloadApiServer  # noqa: PLC0415 - as above
    from assay.workloadapi.address import ENVIRONMENT  # noqa: PLC0415 - as above

    with WorkloadApiServer(spiffe_trust_domain) as server:
        monkeypatch.setenv(ENVIRONMENT, server.address)
        yield server
