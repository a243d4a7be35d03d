"""Federation relationships over a real server's sockets: kept over a restart, and for operators only."""

import signal
from typing import TYPE_CHECKING

import grpc
import pytest

from assay_proto.spire.api.server.trustdomain.v1 import trustdomain_pb2 as pb
from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainStub
from assay_proto.spire.api.types.bundle_pb2 import Bundle
from assay_proto.spire.api.types.federationrelationship_pb2 import FederationRelationship, HTTPSSPIFFEProfile

if TYPE_CHECKING:
    from tests.integration.server.conftest import ServerProcess

    from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainAsyncStub
else:
    ServerProcess = object

NORTH = FederationRelationship(
    trust_domain="north.test",
    bundle_endpoint_url="https://north.test:8443/",
    https_spiffe=HTTPSSPIFFEProfile(endpoint_spiffe_id="spiffe://north.test/endpoint"),
    trust_domain_bundle=Bundle(trust_domain="north.test", refresh_hint=60, sequence_number=7),
)


async def listed(channel: grpc.aio.Channel) -> list[FederationRelationship]:
    stub: TrustDomainAsyncStub = TrustDomainStub(channel)
    request = pb.ListFederationRelationshipsRequest()
    return list((await stub.ListFederationRelationships(request, wait_for_ready=True)).federation_relationships)


async def test_what_it_acknowledged_is_there_after_a_crash(server: ServerProcess) -> None:
    async with server.admin() as channel:
        stub: TrustDomainAsyncStub = TrustDomainStub(channel)
        request = pb.BatchCreateFederationRelationshipRequest(federation_relationships=[NORTH])
        [result] = (await stub.BatchCreateFederationRelationship(request)).results
    assert (result.status.code, result.federation_relationship) == (0, NORTH)
    await server.stop(signal.SIGKILL)
    await server.start()
    async with server.admin() as channel:
        assert await listed(channel) == [NORTH]


async def test_agents_are_not_told(server: ServerProcess) -> None:
    async with server.dial(await server.attested()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await listed(channel)
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED
