"""Reflection as a tool sees it that knows nothing but the admin socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2 as pb

from assay.crypto import keys
from assay.keymanager.base import KeyType
from assay.rpc.server import Server
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.transport.dial import dial_unix
from assay.wire.service import DEBUG, ENTRY, SYNC, served
from assay_server.api.debug import DebugApi
from assay_server.api.reflection import reflection_of
from assay_server.credential import Issuer
from assay_server.datastore.sql.store import SqlStore

VERSIONS = ["grpc.reflection.v1", "grpc.reflection.v1alpha"]
Ask = Callable[..., Awaitable[pb.ServerReflectionResponse]]


@pytest.fixture
async def channel(
    tmp_path: Path, store: SqlStore, authority: Authority, issuer: Issuer, clock: FakeClock
) -> AsyncIterator[grpc.aio.Channel]:
    await store.write(lambda tx: tx.bundles.put(authority.bundle))
    own = issuer.server_x509(keys.generate(KeyType.EC_P256).public_key())
    debug = DebugApi(store, authority.trust_domain, clock, lambda: own.chain)
    services = (served(DEBUG, debug), served(ENTRY, object()), served(SYNC, object()))
    server = Server()
    server.add_generic_rpc_handlers((*services, reflection_of(services)))
    await server.listen_unix(tmp_path / "api.sock")
    async with dial_unix(tmp_path / "api.sock") as channel:
        yield channel
    await server.close(0)


@pytest.fixture
def ask(channel: grpc.aio.Channel) -> Ask:
    async def ask(version: str = VERSIONS[0], **question: str) -> pb.ServerReflectionResponse:
        method = channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            pb.ServerReflectionRequest.SerializeToString,
            pb.ServerReflectionResponse.FromString,
        )
        return await anext(aiter(method(iter([pb.ServerReflectionRequest(**question)]))))

    return ask


async def learned(ask: Ask, symbol: str) -> dict[str, FileDescriptorProto]:
    answer = await ask(file_containing_symbol=symbol)
    files = [FileDescriptorProto.FromString(one) for one in answer.file_descriptor_response.file_descriptor_proto]
    return {file.name: file for file in files}


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_services_are_listed_by_their_names_on_the_wire(ask: Ask, version: str) -> None:
    answer = await ask(version, list_services="*")
    assert [service.name for service in answer.list_services_response.service] == [
        "assay.sync.v1.Sync",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "spire.api.server.debug.v1.Debug",
        "spire.api.server.entry.v1.Entry",
    ]


async def test_files_and_their_imports_have_spires_names(ask: Ask) -> None:
    files = await learned(ask, "spire.api.server.debug.v1.Debug")
    assert set(files) == {"spire/api/server/debug/v1/debug.proto", "spire/api/types/spiffeid.proto"}
    assert list(files["spire/api/server/debug/v1/debug.proto"].dependency) == ["spire/api/types/spiffeid.proto"]


@pytest.mark.parametrize("name", [DEBUG.full_name, ENTRY.full_name, SYNC.full_name])
async def test_what_is_shown_is_whole(ask: Ask, name: str) -> None:
    pool, left = DescriptorPool(), await learned(ask, name)
    while left:
        ready = [file for file in left.values() if not left.keys() & set(file.dependency)]
        for file in ready:
            pool.Add(left.pop(file.name))
    service = pool.FindServiceByName(name)
    ours = {DEBUG.full_name: DEBUG, ENTRY.full_name: ENTRY, SYNC.full_name: SYNC}[name]
    assert [(one.name, one.input_type.full_name) for one in service.methods] == [
        (one.name, one.input_type.full_name) for one in ours.methods
    ]


async def test_a_call_can_be_made_from_what_is_shown(ask: Ask, channel: grpc.aio.Channel) -> None:
    pool, files = DescriptorPool(), await learned(ask, DEBUG.full_name)
    for file in sorted(files.values(), key=lambda one: len(one.dependency)):
        pool.Add(file)
    method = pool.FindServiceByName(DEBUG.full_name).methods_by_name["GetInfo"]
    request: Any = GetMessageClass(method.input_type)
    response: Any = GetMessageClass(method.output_type)
    call = channel.unary_unary(f"/{DEBUG.full_name}/GetInfo", request.SerializeToString, response.FromString)
    answer = await call(request())
    assert answer.svid_chain[0].id.path == "/spire/server"


async def test_what_is_not_served_is_not_found(ask: Ask) -> None:
    answer = await ask(file_containing_symbol="spire.api.server.logger.v1.Logger")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
