"""The endpoints: the same services on the admin socket and on TLS, each caller known for what it is."""

import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from structlog.testing import capture_logs

from assay.clock import SystemClock
from assay.errors import FailedPreconditionError
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.transport.dial import SpiffeDialer, dial_unix
from assay.transport.room import Room
from assay.transport.tls import TlsIdentity
from assay.wire.service import BUNDLE, served
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_server.api.bundle import BundleApi
from assay_server.api.health import HealthApi
from assay_server.authorization.authorizer import Authorizer
from assay_server.authorization.nodes import NodeRows
from assay_server.authorization.ratelimit import RateLimits
from assay_server.credential import Issuer
from assay_server.datastore.sql.store import SqlStore
from assay_server.endpoints.identity import ServerIdentity
from assay_server.endpoints.server import Endpoints
from assay_server.model.rates import Rates
from assay_server.registration.bundles import BundleService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub


@dataclass
class House:
    endpoints: Endpoints
    socket: Path
    port: int
    authority: Authority
    clock: FakeClock

    def dial(self, path: str = "") -> SpiffeDialer:
        """Over TLS, with an SVID of that path or without any."""
        svid = self.authority.x509_svid(path) if path else None
        return SpiffeDialer(
            "127.0.0.1",
            self.port,
            expected=self.authority.id("/spire/server"),
            roots=lambda: [self.authority.root.der],
            identity=lambda: (svid.chain, svid.key) if svid is not None and svid.key is not None else None,
            clock=self.clock,
        )


def bundles(channel: grpc.aio.Channel) -> "BundleAsyncStub":
    return BundleStub(channel)


@pytest.fixture
def clock() -> FakeClock:
    """Now: OpenSSL looks at the machine's clock."""
    return FakeClock(SystemClock().now())


@pytest.fixture
def authority(clock: FakeClock) -> Authority:
    return Authority(now=clock.now())


@pytest.fixture
async def house(store: SqlStore, issuer: Issuer, authority: Authority, clock: FakeClock) -> AsyncIterator[House]:
    await store.write(lambda tx: tx.bundles.put(authority.bundle))
    tls = TlsIdentity(authority.trust_domain, clock)
    await ServerIdentity(tls, issuer, store, clock).start()
    api = BundleApi(BundleService(store, authority.trust_domain), RateLimits(Rates(), clock))
    health = HealthApi(store, authority.trust_domain).handler()
    endpoints = Endpoints(
        Authorizer(store, NodeRows(store), clock, []),
        [served(BUNDLE, api), health],
        max_message_bytes=100_000,
        room=Room(),
    )
    with TemporaryDirectory(prefix="assay-") as folder:
        path = Path(folder) / "private" / "api.sock"
        with capture_logs() as logs:
            port = await endpoints.start(path, "127.0.0.1", 0, tls)
        assert [line["event"] for line in logs] == ["Starting Server APIs"] * 2
        yield House(endpoints, path, port, authority, clock)
        await endpoints.close(1)


async def test_the_admin_socket_is_for_the_owner_and_its_group(house: House) -> None:
    assert stat.S_IMODE(house.socket.stat().st_mode) == 0o770
    assert stat.S_IMODE(house.socket.parent.stat().st_mode) == 0o750


async def test_the_admin_socket_may_do_what_operators_may(house: House) -> None:
    async with dial_unix(house.socket) as channel:
        assert (await bundles(channel).CountBundles(bundle_pb2.CountBundlesRequest())).count == 1
        answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("path", ["", "/workload", "/spire/agent/one"])
async def test_callers_over_tls_may_do_what_anyone_may(house: House, path: str) -> None:
    async with house.dial(path) as channel:
        bundle = await bundles(channel).GetBundle(bundle_pb2.GetBundleRequest())
        assert bundle.x509_authorities[0].asn1 == house.authority.root.der
        for call, code in (
            (bundles(channel).CountBundles(bundle_pb2.CountBundlesRequest()), grpc.StatusCode.PERMISSION_DENIED),
            (HealthStub(channel).Check(health_pb2.HealthCheckRequest()), grpc.StatusCode.UNIMPLEMENTED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert error.value.code() is code


async def test_a_message_over_the_limit_is_refused(house: House) -> None:
    large = bundle_pb2.GetFederatedBundleRequest(trust_domain="x" * 200_000)
    async with dial_unix(house.socket) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await bundles(channel).GetFederatedBundle(large)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_port_that_is_taken_is_said(house: House) -> None:
    other = Endpoints(house.endpoints._interceptor._authorizer, [], max_message_bytes=1000, room=Room())
    with pytest.raises(FailedPreconditionError, match=f"cannot listen on 127.0.0.1:{house.port}: "):
        await other.start(
            house.socket.with_name("other.sock"),
            "127.0.0.1",
            house.port,
            TlsIdentity(house.authority.trust_domain, house.clock),
        )
    await other.close(0)


async def test_who_has_no_call_under_way_is_not_waited_for(house: House) -> None:
    async with dial_unix(house.socket) as channel, house.dial() as other:
        for one in (channel, other):
            await bundles(one).GetBundle(bundle_pb2.GetBundleRequest())
        async with asyncio.timeout(5):
            await house.endpoints.close(30)
    assert not house.socket.exists()
