"""Health over real gRPC."""

from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from structlog.testing import capture_logs

from assay.rpc.method import Service
from assay.testing.authority import Authority
from assay_server.api.health import HealthApi
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.datastore.sql.store import SqlStore

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]


@pytest.fixture
async def stub(serve: Serve, store: SqlStore, authority: Authority) -> HealthStub:
    handler = HealthApi(store, authority.trust_domain).handler()
    return HealthStub(await serve(handler, Caller(CallerKind.LOCAL)))


async def test_a_server_with_its_bundle_serves(stub: HealthStub, store: SqlStore, authority: Authority) -> None:
    await store.write(lambda tx: tx.bundles.put(authority.bundle))
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_server_without_its_bundle_does_not(stub: HealthStub) -> None:
    with capture_logs() as logs:
        answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert [(line["event"], line["reason"]) for line in logs] == [("Health check failed", "bundle is missing")]


async def test_a_server_whose_store_is_gone_does_not(stub: HealthStub, store: SqlStore) -> None:
    await store.close()
    with capture_logs() as logs:
        answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert [line["reason"] for line in logs] == ["unable to fetch bundle"]


async def test_single_services_have_no_health(stub: HealthStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.Check(health_pb2.HealthCheckRequest(service="spire.api.server.agent.v1.Agent"))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == "per-service health is not supported"


async def test_watch_is_not_served(stub: HealthStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.Watch(health_pb2.HealthCheckRequest()).read()
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
