"""Envoys' side of the API, over a real socket, as a test writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from grpc import aio

from assay_proto.envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from assay_proto.envoy.extensions.transport_sockets.tls.v3.tls_spiffe_validator_config_pb2 import (
    SPIFFECertValidatorConfig,
)
from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceStub

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent

    from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceAsyncStub

SdsOf = Callable[["LocalAgent"], AbstractAsyncContextManager["SecretDiscoveryServiceAsyncStub"]]
Contents = Callable[[Any], dict[str, Any]]


@pytest.fixture
def sds_of() -> SdsOf:
    """The API of that agent."""

    @asynccontextmanager
    async def opened(agent: LocalAgent) -> AsyncIterator[SecretDiscoveryServiceAsyncStub]:
        async with aio.insecure_channel(agent.endpoint.target) as channel:
            stub: Any = SecretDiscoveryServiceStub(channel)
            yield stub

    return opened


@pytest.fixture
async def sds(agent: LocalAgent, sds_of: SdsOf) -> AsyncIterator[SecretDiscoveryServiceAsyncStub]:
    """The API of the one agent."""
    async with sds_of(agent) as stub:
        yield stub


@pytest.fixture
def contents() -> Contents:
    """What is in the secrets of a response, by their names and in their order.

    SVIDs are (chain, key), bundles are PEM for the ordinary validator, and for the SPIFFE validator they are
    {trust domain: PEM}.
    """

    def read(response: Any) -> dict[str, Any]:  # noqa: ANN401 - of either kind
        packed = [getattr(one, "resource", one) for one in response.resources]
        return dict(map(content, packed))

    return read


def content(packed: Any) -> tuple[str, Any]:  # noqa: ANN401 - see above
    secret = secret_pb2.Secret()
    assert packed.Unpack(secret)
    if secret.HasField("tls_certificate"):
        tls = secret.tls_certificate
        return secret.name, (tls.certificate_chain.inline_bytes, tls.private_key.inline_bytes)
    context = secret.validation_context
    if context.HasField("trusted_ca"):
        return secret.name, context.trusted_ca.inline_bytes
    assert context.custom_validator_config.name == "envoy.tls.cert_validator.spiffe"
    config = SPIFFECertValidatorConfig()
    assert context.custom_validator_config.typed_config.Unpack(config)
    return secret.name, {one.name: one.trust_bundle.inline_bytes for one in config.trust_domains}
