"""RPCs are counted by how they end, for callers over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from assay.rpc.server import Server
from assay.rpc.status import EndError, StatusCode
from assay.telemetry.rpc import RpcConnections, RpcMetrics
from assay.testing.metrics import Recorded
from assay.testing.wait import until
from assay.transport.dial import dial_unix

SERVICE = "spire.api.server.entry.v1.Entry"
PUSHING = "spire.api.agent.delegatedidentity.v1.DelegatedIdentity"


async def get(request: bytes, _context: object) -> bytes:
    if request == b"missing":
        raise EndError(StatusCode.NOT_FOUND, "none")
    return request


async def watch(_request: bytes, _context: object) -> AsyncIterator[bytes]:
    yield b"first"
    await asyncio.Event().wait()


async def push(_request: bytes, context: Any) -> None:  # noqa: ANN401 - grpc's or ours
    await context.write(b"first")
    if _request == b"forbidden":
        raise EndError(StatusCode.PERMISSION_DENIED, "no")
    await asyncio.Event().wait()


@pytest.fixture
def metrics() -> Recorded:
    return Recorded()


@pytest.fixture
async def channel(metrics: Recorded, tmp_path: Path) -> AsyncIterator[Any]:
    metered = RpcMetrics(metrics, lambda context: "quiet" in dict(context.invocation_metadata()))  # type: ignore[attr-defined]
    connected = RpcConnections(metrics, {PUSHING: "workload_api"})
    server = Server(lambda _path, method: metered(connected(method)))  # type: ignore[arg-type]
    handlers: dict[str, Any] = {
        "GetEntry": grpc.unary_unary_rpc_method_handler(get),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
    }
    pushing: dict[str, Any] = {"SubscribeToX509SVIDs": grpc.unary_stream_rpc_method_handler(push)}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, handlers),
            grpc.method_handlers_generic_handler(PUSHING, pushing),
        )
    )
    await server.listen_unix(tmp_path / "api.sock")
    async with dial_unix(tmp_path / "api.sock") as channel:
        yield channel
    await server.close(0)


async def test_calls_count_by_their_status_and_are_timed(channel: Any, metrics: Recorded) -> None:  # noqa: ANN401
    call = channel.unary_unary(f"/{SERVICE}/GetEntry")
    assert await call(b"x") == b"x"
    assert await call(b"x") == b"x"
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call(b"missing")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    key = "rpc.entry.v1.entry.get_entry"
    assert metrics.counts() == {(key, "OK"): 2, (key, "NotFound"): 1}
    samples = [(name, labels) for kind, name, labels, _ in metrics.taken if kind == "sample"]
    assert samples[-1] == (f"{key}.elapsed_time", {"status": "NotFound"})


async def test_a_stream_counts_when_it_ends(channel: Any, metrics: Recorded) -> None:  # noqa: ANN401
    call = channel.unary_stream(f"/{SERVICE}/Watch")(b"")
    assert await call.read() == b"first"
    assert metrics.taken == []
    call.cancel()
    await until(lambda: bool(metrics.taken))
    assert metrics.counts() == {("rpc.entry.v1.entry.watch", "Canceled"): 1}


async def test_a_stream_that_its_handler_writes_counts_as_well(channel: Any, metrics: Recorded) -> None:  # noqa: ANN401
    call = channel.unary_stream(f"/{PUSHING}/SubscribeToX509SVIDs")(b"forbidden")
    assert await call.read() == b"first"
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    await until(lambda: len(metrics.taken) == 5)
    key = "rpc.delegated_identity.subscribe_to_x509_svids"
    assert metrics.counts() == {("workload_api.connection", ""): 1, (key, "PermissionDenied"): 1}


async def test_open_calls_of_a_service_are_its_connections(channel: Any, metrics: Recorded) -> None:  # noqa: ANN401
    calls = [channel.unary_stream(f"/{PUSHING}/SubscribeToX509SVIDs")(b"") for _ in range(2)]
    for call in calls:
        assert await call.read() == b"first"
    calls[0].cancel()
    await until(lambda: len([one for one in metrics.taken if one[0] == "gauge"]) == 3)
    assert [value for kind, name, _, value in metrics.taken if name == "workload_api.connections"] == [1, 2, 1]
    assert metrics.counts()["workload_api.connection", ""] == 2


async def test_calls_that_are_nobodys_are_answered_and_not_counted(channel: Any, metrics: Recorded) -> None:  # noqa: ANN401
    assert await channel.unary_unary(f"/{SERVICE}/GetEntry")(b"x", metadata=(("quiet", "1"),)) == b"x"
    assert metrics.taken == []
