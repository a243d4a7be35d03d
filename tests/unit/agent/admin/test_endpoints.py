"""The admin socket: its modes, its life, and what it does with rubbish."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.errors import FailedPreconditionError
from assay_agent.admin.endpoints import AdminEndpoints
from assay_proto.spire.api.agent.delegatedidentity.v1 import delegatedidentity_pb2 as pb
from assay_proto.spire.api.agent.delegatedidentity.v1.delegatedidentity_pb2_grpc import DelegatedIdentityStub
from assay_proto.spire.api.agent.logger.v1 import logger_pb2
from assay_proto.spire.api.agent.logger.v1.logger_pb2_grpc import LoggerStub
from assay_proto.spire.api.types import logger_pb2 as types

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.agent.admin.conftest import Admin
    from tests.unit.agent.conftest import LocalAgent

REFLECTION = "grpc.reflection.v1.ServerReflection"
SERVICE = "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity"


async def refusal_of(admin: Admin, path: str, data: bytes = b"") -> tuple[grpc.StatusCode, str]:
    async with aio.insecure_channel(f"unix:{admin.path}") as channel:
        call: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        with pytest.raises(aio.AioRpcError) as refusal:
            await anext(aiter(call(data)))
        return refusal.value.code(), refusal.value.details() or ""


def test_the_socket_is_for_the_agents_user_and_group(admin: Admin) -> None:
    assert stat.S_IMODE(admin.path.stat().st_mode) == 0o770
    assert stat.S_IMODE(admin.path.parent.stat().st_mode) == 0o755


async def test_the_log_says_where_it_listens_and_when_it_ends(folder: Path) -> None:
    endpoints = AdminEndpoints(folder / "api.sock", ())
    with capture_logs() as logs:
        await endpoints.start()
        await endpoints.close()
    assert [one["event"] for one in logs] == ["Starting Admin APIs", "Stopping Admin APIs"]
    assert (logs[0]["address"], logs[0]["network"]) == (str(folder / "api.sock"), "unix")
    assert not (folder / "api.sock").exists()


async def test_a_second_agent_on_the_same_path_is_refused(admin: Admin) -> None:
    second = AdminEndpoints(admin.path, ())
    with pytest.raises(FailedPreconditionError, match="listens"):
        await second.start()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"{SERVICE}/Subscribe", f"unknown method Subscribe for service {SERVICE[1:]}"),
        ("/SpiffeWorkloadAPI/FetchX509SVID", "unknown service SpiffeWorkloadAPI"),
        ("/grpc.health.v1.Health/Check", "unknown service grpc.health.v1.Health"),
        (f"/{REFLECTION}/ServerReflectionInfo", f"unknown service {REFLECTION}"),
        ("/nothing", 'malformed method name: "/nothing"'),
    ],
)  # fmt: skip
async def test_what_is_not_served_there_is_unimplemented(admin: Admin, path: str, words: str) -> None:
    """Workloads' calls, health and reflection among it, as in SPIRE."""
    assert await refusal_of(admin, path) == (grpc.StatusCode.UNIMPLEMENTED, words)


@pytest.mark.parametrize(
    "method", ["SubscribeToX509SVIDs", "SubscribeToX509Bundles", "FetchJWTSVIDs", "SubscribeToJWTBundles"]
)
async def test_what_is_no_request_is_an_error_and_no_trace_in_the_log(
    admin: Admin, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        code, words = await refusal_of(admin, f"{SERVICE}/{method}", b"\xff\xff")
    assert code is grpc.StatusCode.INTERNAL
    assert words.startswith("grpc: error unmarshalling request")
    assert not [one for one in logs if "exc_info" in one]
    assert not caplog.records


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
        b"\0" * 100_000,
        os.urandom(5000),
    ],
    ids=["http", "tls", "frames", "zeros", "random"],
)
async def test_rubbish_costs_its_sender_the_connection_and_nobody_else(
    admin: Admin, agent: LocalAgent, rubbish: bytes
) -> None:
    agent.register("0", "/delegate")
    async with admin.channel() as channel:
        stream = DelegatedIdentityStub(channel).SubscribeToX509SVIDs(pb.SubscribeToX509SVIDsRequest(pid=os.getpid()))
        before = await stream.read()
        reader, writer = await asyncio.open_unix_connection(admin.path)
        writer.write(rubbish)
        async with asyncio.timeout(10):
            while await reader.read(65536):
                pass
        writer.close()
        agent.rotate("0")
        assert await stream.read() != before


async def test_a_fault_of_ours_is_an_internal_error_without_its_words(admin: Admin, agent: LocalAgent) -> None:
    agent.register("0", "/delegate")
    agent.minter.failure = ZeroDivisionError("secret")  # type: ignore[assignment]
    request = pb.FetchJWTSVIDsRequest(audience=["a"], pid=os.getpid())
    with capture_logs() as logs:
        found = await refusal_of(admin, f"{SERVICE}/FetchJWTSVIDs", request.SerializeToString())
    assert found == (grpc.StatusCode.INTERNAL, "internal error")
    assert any(one["event"] == "Admin API call failed" and one["exc_info"] for one in logs)


async def test_the_level_of_the_log_is_read_set_and_reset(admin: Admin) -> None:
    async with admin.channel() as channel:
        logger = LoggerStub(channel)
        found = await logger.SetLogLevel(logger_pb2.SetLogLevelRequest(new_level=types.DEBUG))
        assert (found.current_level, found.launch_level) == (types.DEBUG, types.INFO)
        assert admin.level.current == "debug"
        assert await logger.GetLogger(logger_pb2.GetLoggerRequest()) == found
        found = await logger.ResetLogLevel(logger_pb2.ResetLogLevelRequest())
        assert (found.current_level, admin.level.current) == (types.INFO, "info")
        refused = {
            types.UNSPECIFIED: "newLevel value cannot be LogLevel_UNSPECIFIED",
            types.LogLevel.ValueType(99): "unsupported log level",
        }
        for wrong, words in refused.items():
            with pytest.raises(aio.AioRpcError) as refusal:
                await logger.SetLogLevel(logger_pb2.SetLogLevelRequest(new_level=wrong))
            assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, words)
