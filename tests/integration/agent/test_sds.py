"""SDS of a real agent, as agent.conf has it."""

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from assay.testing.deployment import Deployment
from assay.testing.operator import PATIENCE, dialled
from assay.workloadapi.wire import METADATA
from assay_proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from assay_proto.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceStub
from assay_proto.workloadapi import workloadapi_pb2

if TYPE_CHECKING:
    from tests.conftest import Deployments
else:
    Deployments = object


def secrets(house: Deployment, *names: str) -> list[Secret]:
    with dialled(house.api) as channel:
        request = DiscoveryRequest(resource_names=names)
        response = SecretDiscoveryServiceStub(channel).FetchSecrets(request, timeout=PATIENCE)
    return [Secret.FromString(one.value) for one in response.resources]


def served(house: Deployment, name: str) -> bool:
    """Whether it is by now; health says nothing of that without the Workload API."""
    try:
        return [one.name for one in secrets(house, name)] == [name]
    except grpc.RpcError:
        return False


def test_names_and_validator_are_those_of_the_file(deployments: Deployments) -> None:
    house = deployments(
        agent='sds { default_svid_name = "own" default_bundle_name = "ca" disable_spiffe_cert_validation = true }'
    ).start()
    house.register("/web")
    bundle, svid = secrets(house, "own", "ca")
    assert (bundle.name, bundle.validation_context.trusted_ca.inline_bytes) == ("ca", house.operator.bundle())
    assert (svid.name, svid.tls_certificate.private_key.inline_bytes[:27]) == ("own", b"-----BEGIN PRIVATE KEY-----")
    assert "Starting agent APIs" in house.log("agent")
    assert 'apis="Workload and SDS APIs"' in house.log("agent")


def test_it_can_be_switched_off(deployments: Deployments) -> None:
    house = deployments(agent="disable_sds_api = true").start()
    house.register("/web")
    with pytest.raises(grpc.RpcError) as refusal:
        secrets(house)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert 'apis="Workload API"' in house.log("agent")


def test_it_can_be_all_that_is_served(deployments: Deployments) -> None:
    house = deployments(agent="disable_workload_api = true").start()
    house.until("agent", lambda: bool(house.operator.agents()))
    house.operator.register("/web", house.operator.agents()[0])
    house.until("agent", lambda: served(house, "default"))
    with pytest.raises(grpc.RpcError) as refusal, dialled(house.api) as channel:
        call: Any = channel.unary_unary("/SpiffeWorkloadAPI/FetchJWTSVID")
        call(workloadapi_pb2.JWTSVIDRequest().SerializeToString(), metadata=METADATA, timeout=PATIENCE)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    house.run("agent", "healthcheck", "--socket-path", str(house.api))
    assert 'apis="SDS API"' in house.log("agent")


def test_with_both_switched_off_there_is_no_socket(deployments: Deployments) -> None:
    house = deployments(agent="disable_workload_api = true\ndisable_sds_api = true")
    house.start_server()
    house.write_bundle()
    house.spawn(
        "agent", "agent", "run", "--config", str(house.dir / "agent.conf"), "--join-token", house.operator.join_token()
    )
    house.until("agent", lambda: "Node attestation was successful" in house.log("agent"))
    assert not house.api.exists()
    assert "Starting agent APIs" not in house.log("agent")
