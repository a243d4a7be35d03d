"""An Envoy of a principal's instance is served that instance's certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay_agent.cache import Update
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent
    from tests.unit.agent.sds.conftest import Contents

    from assay.workloadapi import WorkloadApiClient
    from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceAsyncStub as Sds


async def test_the_default_certificate_is_the_instances(
    agent: LocalAgent, client: WorkloadApiClient, sds: Sds, contents: Contents
) -> None:
    entry = agent.entry("bots", "/principal/bot", principal="bot", instance_from="unix:process")
    agent.cache.apply(Update(entries=[entry]))
    response = await sds.FetchSecrets(pb.DiscoveryRequest(resource_names=["default"]))
    (own,) = (await client.fetch_x509()).svids
    assert own.svid.spiffe_id.path.startswith("/principal/bot/")
    assert contents(response)["default"] == (own.svid.chain_pem(), own.svid.key_pem())
