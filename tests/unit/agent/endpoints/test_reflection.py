"""Reflection, as a tool sees it that knows nothing but the socket, and without the security header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2 as pb

from assay.workloadapi.wire import METADATA

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

VERSIONS = ["grpc.reflection.v1", "grpc.reflection.v1alpha"]
API = "SpiffeWorkloadAPI"
SDS = "envoy.service.secret.v3.SecretDiscoveryService"


async def ask(agent: LocalAgent, version: str, **question: str) -> pb.ServerReflectionResponse:
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        method = channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            pb.ServerReflectionRequest.SerializeToString,
            pb.ServerReflectionResponse.FromString,
        )
        call = method(iter([pb.ServerReflectionRequest(**question)]))
        return await anext(aiter(call))


@pytest.mark.spec("WEP-7-b")
@pytest.mark.spec("WEP-7-c")
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_services_are_listed(agent: LocalAgent, version: str) -> None:
    answer = await ask(agent, version, list_services="*")
    assert [service.name for service in answer.list_services_response.service] == [
        API,
        SDS,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


async def learned(agent: LocalAgent, symbol: str) -> DescriptorPool:
    """What a tool knows after it asked for a symbol and then for the files that one needs."""
    pool = DescriptorPool()
    answer = await ask(agent, VERSIONS[0], file_containing_symbol=symbol)
    files = [FileDescriptorProto.FromString(one) for one in answer.file_descriptor_response.file_descriptor_proto]
    known = set[str]()
    while files:
        file = next(one for one in files if known.issuperset(one.dependency))
        files.remove(file)
        pool.Add(file)
        known.add(file.name)
    return pool


@pytest.mark.spec("WEP-7-a")
@pytest.mark.spec("WAPI-2-a")
@pytest.mark.spec("WAPI-3-a")
async def test_the_api_shows_under_the_standards_names(agent: LocalAgent) -> None:
    service = (await learned(agent, API)).FindServiceByName(API)
    found = {
        method.name: (method.input_type.full_name, method.output_type.full_name, method.server_streaming)
        for method in service.methods
    }
    assert service.full_name == API
    assert found == {
        "FetchX509SVID": ("X509SVIDRequest", "X509SVIDResponse", True),
        "FetchX509Bundles": ("X509BundlesRequest", "X509BundlesResponse", True),
        "FetchJWTSVID": ("JWTSVIDRequest", "JWTSVIDResponse", False),
        "FetchJWTBundles": ("JWTBundlesRequest", "JWTBundlesResponse", True),
        "ValidateJWTSVID": ("ValidateJWTSVIDRequest", "ValidateJWTSVIDResponse", False),
        "FetchWITSVID": ("WITSVIDRequest", "WITSVIDResponse", True),
        "FetchWITBundles": ("WITBundlesRequest", "WITBundlesResponse", True),
    }
    assert "assay" not in str((await ask(agent, VERSIONS[0], file_containing_symbol=API)).file_descriptor_response)


async def test_envoys_api_shows_under_envoys_names(agent: LocalAgent) -> None:
    pool = await learned(agent, SDS)
    found = {
        method.name: (method.input_type.full_name, method.client_streaming, method.server_streaming)
        for method in pool.FindServiceByName(SDS).methods
    }
    requests = "envoy.service.discovery.v3"
    assert found == {
        "DeltaSecrets": (f"{requests}.DeltaDiscoveryRequest", True, True),
        "StreamSecrets": (f"{requests}.DiscoveryRequest", True, True),
        "FetchSecrets": (f"{requests}.DiscoveryRequest", False, False),
    }
    error = pool.FindMessageTypeByName(f"{requests}.DiscoveryRequest").fields_by_name["error_detail"].message_type
    assert error is not None
    assert (error.full_name, error.file.name) == ("google.rpc.Status", "google/rpc/status.proto")
    files = {file.name for file in pool.FindServiceByName(SDS).file.dependencies}
    assert files == {"envoy/service/discovery/v3/discovery.proto"}
    assert "assay" not in str((await ask(agent, VERSIONS[0], file_containing_symbol=SDS)).file_descriptor_response)


async def test_an_agent_that_serves_no_envoys_lists_no_such_api(agents: Agents) -> None:
    agent = await agents(sds=None)
    answer = await ask(agent, VERSIONS[0], list_services="*")
    assert SDS not in [service.name for service in answer.list_services_response.service]
    answer = await ask(agent, VERSIONS[0], file_containing_symbol=SDS)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


SYMBOLS = [f"{API}.FetchX509SVID", "X509SVID", "X509SVID.hint", "grpc.health.v1.Health.Check"]


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_methods_and_fields_are_symbols_too(agent: LocalAgent, symbol: str) -> None:
    parent = symbol.rpartition(".")[0] or symbol
    whole, own = [await ask(agent, VERSIONS[0], file_containing_symbol=one) for one in (parent, symbol)]
    assert own.file_descriptor_response.file_descriptor_proto
    assert own.file_descriptor_response == whole.file_descriptor_response


@pytest.mark.parametrize("symbol", [f"{API}.Nope", "Nope.FetchX509SVID", "", "."])
async def test_what_is_no_symbol_is_not_found(agent: LocalAgent, symbol: str) -> None:
    answer = await ask(agent, VERSIONS[0], file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_a_call_can_be_made_from_what_is_shown(agent: LocalAgent) -> None:
    agent.register("a", "/web", hint="h")
    pool = await learned(agent, API)
    method = pool.FindServiceByName(API).methods_by_name["FetchX509SVID"]
    request: Any = GetMessageClass(method.input_type)
    response: Any = GetMessageClass(method.output_type)
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        call = channel.unary_stream(f"/{API}/{method.name}", request.SerializeToString, response.FromString)
        answer = await anext(aiter(call(request(), metadata=METADATA)))
    assert [(one.spiffe_id, one.hint) for one in answer.svids] == [("spiffe://example.org/web", "h")]


@pytest.mark.parametrize(
    "symbol",
    [
        "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "google.protobuf.Struct", SDS,
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
    ],
)  # fmt: skip
async def test_everything_listed_can_be_looked_up(agent: LocalAgent, symbol: str) -> None:
    answer = await ask(agent, VERSIONS[1], file_containing_symbol=symbol)
    assert answer.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize("symbol", ["assay.workloadapi.X509SVIDRequest", "assay.rpc.v1.Status", "no.such.Thing"])
async def test_what_is_not_served_is_not_found(agent: LocalAgent, symbol: str) -> None:
    answer = await ask(agent, VERSIONS[0], file_containing_symbol=symbol)
    assert answer.error_response.error_code == 5
