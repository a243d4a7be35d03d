"""RPCs are counted by how they end, for callers over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from assay.rpc.server import Server
from assay.rpc.status import EndError, StatusCode
from assay.testing.metrics import Recorded
from assay.testing.wait import until
from assay.transport.dial import dial_unix
from assay_server.api.metered import RpcMetrics

SERVICE = "spire.api.server.entry.v1.Entry"


async def get(request: bytes, _context: object) -> bytes:
    if request == b"missing":
        raise EndError(StatusCode.NOT_FOUND, "none")
    return request


async def watch(_request: bytes, _context: object) -> AsyncIterator[bytes]:
    yield b"first"
    await asyncio.Event().wait()


@pytest.fixture
def metrics() -> Recorded:
    return Recorded()


@pytest.fixture
async def channel(metrics: Recorded, tmp_path: Path) -> AsyncIterator[Any]:
    metered = RpcMetrics(metrics)
    server = Server(lambda _path, method: metered(method))  # type: ignore[arg-type]
    handlers: dict[str, Any] = {
        "GetEntry": grpc.unary_unary_rpc_method_handler(get),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
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
