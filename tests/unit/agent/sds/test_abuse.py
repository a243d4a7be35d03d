"""Callers that do what no Envoy does: garbage, never reading, dying; others do not notice."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.testing.wait import until
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent, Quiet
    from tests.unit.agent.sds.conftest import Contents

    from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceAsyncStub as Sds

SERVICE = "/envoy.service.secret.v3.SecretDiscoveryService"
GARBAGE = [b"\xff", b"\x0a\xff", b"\x1a\x02\xff\xfe", bytes(1000)]

# Opens a stream, says so once it was answered, and waits to be killed.
CALLER = """
import asyncio, sys
from grpc import aio
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb
from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceStub

async def main():
    async with aio.insecure_channel(sys.argv[1]) as channel:
        stub = SecretDiscoveryServiceStub(channel)
        if sys.argv[2] == "DeltaSecrets":
            call, request = stub.DeltaSecrets(), pb.DeltaDiscoveryRequest(resource_names_subscribe=["default"])
        else:
            call, request = stub.StreamSecrets(), pb.DiscoveryRequest(resource_names=["default"])
        await call.write(request)
        await call.read()
        print("answered", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def svid_of(agent: LocalAgent, entry_id: str) -> tuple[bytes, bytes]:
    return agent.cache.svids[entry_id].chain_pem(), agent.cache.svids[entry_id].key_pem()


async def fetched(sds: Sds, contents: Contents) -> list[str]:
    """What somebody else gets meanwhile."""
    return list(contents(await sds.FetchSecrets(pb.DiscoveryRequest(resource_names=["default"]))))


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("method", ["StreamSecrets", "DeltaSecrets", "FetchSecrets"])
async def test_garbage_ends_its_own_call(
    agent: LocalAgent, sds: Sds, contents: Contents, method: str, garbage: bytes
) -> None:
    agent.register("a", "/web")
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        kind = channel.unary_unary if method == "FetchSecrets" else channel.stream_stream
        call: Any = kind(f"{SERVICE}/{method}")
        with capture_logs() as logs, pytest.raises(aio.AioRpcError) as refusal:
            if method == "FetchSecrets":
                await call(garbage)
            else:
                stream = call()
                await stream.write(garbage)
                await stream.read()
    assert refusal.value.code() is grpc.StatusCode.INTERNAL
    assert "unmarshalling" in str(refusal.value.details())
    assert not [one for one in logs if "exc_info" in one]
    assert await fetched(sds, contents) == ["default"]
    await until(lambda: not agent.cache.wanted)


async def test_methods_that_the_service_does_not_have_are_unimplemented(agent: LocalAgent) -> None:
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        for method in ("Else", "", "StreamSecrets/x"):
            call: Any = channel.unary_unary(f"{SERVICE}/{method}")
            with pytest.raises(aio.AioRpcError) as refusal:
                await call(b"")
            assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_who_never_reads_finds_the_newest_and_no_backlog(agent: LocalAgent, sds: Sds, contents: Contents) -> None:
    # Everything is some fifty kilobytes, and all changes of it more than any client takes unread.
    for number in range(30):
        agent.register(f"b{number}", f"/{number}")
    agent.register("a", "/web")
    call: Any = sds.StreamSecrets()
    await call.write(pb.DiscoveryRequest())
    changes = 200
    for _ in range(changes):
        agent.rotate("a")
        # Others are served between any two changes.
        assert await fetched(sds, contents) == ["default"]
    newest = svid_of(agent, "a")
    reads = 0
    while True:
        reads += 1
        response = await call.read()
        if contents(response)["spiffe://example.org/web"] == newest:
            break
    assert reads < changes
    # It counts the states that were sent, and those that were looked at: not those that went by meanwhile.
    assert int(response.version_info) == reads


async def test_who_reads_again_is_answered_and_told_of_changes_again(
    agent: LocalAgent, sds: Sds, contents: Contents, settle: Quiet
) -> None:
    for number in range(30):
        agent.register(f"b{number}", f"/{number}")
    call: Any = sds.DeltaSecrets()
    everything = [f"spiffe://example.org/{number}" for number in range(30)]
    # Each is answered by some fifty kilobytes.
    for _ in range(150):
        await call.write(pb.DeltaDiscoveryRequest(resource_names_subscribe=everything))
    await fetched(sds, contents)
    # A change and a request while a response waits to leave.
    agent.rotate("b0")
    await settle()
    await call.write(pb.DeltaDiscoveryRequest(resource_names_subscribe=["default"]))
    while "default" not in contents(await call.read()):
        pass
    agent.register("a", "/web")
    while contents(await call.read()).get("default") != svid_of(agent, "a"):
        pass


async def test_who_asks_without_reading_is_not_listened_to(agent: LocalAgent, sds: Sds, contents: Contents) -> None:
    agent.register("a", "/web")
    call: Any = sds.DeltaSecrets()
    asked = 0

    async def ask() -> None:
        nonlocal asked
        while True:
            await call.write(pb.DeltaDiscoveryRequest(resource_names_subscribe=["default", "x" * 2000]))
            asked += 1

    asking = asyncio.get_running_loop().create_task(ask())
    before = -1
    # Until no request more is taken.
    while asked != before or not asked:
        before = asked
        for _ in range(20):
            assert await fetched(sds, contents) == ["default"]
    asking.cancel()
    call.cancel()
    await until(lambda: not agent.cache.wanted)


@pytest.mark.parametrize("method", ["StreamSecrets", "DeltaSecrets"])
async def test_a_caller_that_is_killed_is_forgotten(
    agent: LocalAgent, sds: Sds, contents: Contents, method: str
) -> None:
    agent.register("a", "/web")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALLER, agent.endpoint.target, method, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"answered\n"
    assert agent.cache.wanted
    with capture_logs() as logs:
        process.kill()
        await process.wait()
        await until(lambda: not agent.cache.wanted)
        agent.rotate("a")
    assert not [one for one in logs if one["log_level"] == "error"]
    assert await fetched(sds, contents) == ["default"]
