"""Which RPCs share a budget, and how each refuses a caller who would wait beyond its deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from assay.rpc.server import Server
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import START, FakeClock
from assay.transport.dial import dial_unix
from assay.wire.service import AGENT, BUNDLE, SVID, served
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_server.api.agent import AgentApi
from assay_server.api.bundle import BundleApi
from assay_server.api.interceptor import AuthorizationInterceptor
from assay_server.api.svid import SvidApi
from assay_server.attestation.nodes import NodeService
from assay_server.attestation.service import AttestationService
from assay_server.attestation.tokens import JoinTokens
from assay_server.authorization.authorizer import Approach, Authorizer
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.nodes import NodeRows
from assay_server.authorization.ratelimit import RateLimits
from assay_server.credential import Issuer
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node
from assay_server.model.rates import Rates
from assay_server.registration.bundles import BundleService

TD = TrustDomain("example.org")
ID = SpiffeId.parse("spiffe://example.org/spire/agent/one")
NOW = int(START.timestamp())
NODE = Node(ID, "x509pop", "5", NOW + 3600)
HOST = "192.0.2.1"
CALLER = Caller(CallerKind.AGENT, Credential(ID, "5", NOW + 3600), NODE, f"{HOST}:999")
# Seconds that callers wait for their answer, and that tokens would take longer to come: no test waits for either.
PATIENCE = 60.0
AHEAD = 100
RATE = 10

Call = Callable[[grpc.aio.Channel], Any]


class Admitting(Authorizer):
    """Takes everybody for the same agent."""

    def __init__(self) -> None:
        pass

    async def admit(self, method: str, approach: Approach) -> Caller:  # noqa: ARG002 - everybody, for everything
        return CALLER


@pytest.fixture
def limits(clock: FakeClock) -> RateLimits:
    rates = Rates(attestation=RATE, x509_signing=RATE, jwt_signing=RATE, wit_signing=RATE, publishing=RATE, status=RATE)
    return RateLimits(rates, clock)


@pytest.fixture
async def channel(
    tmp_path: Path, store: SqlStore, issuer: Issuer, clock: FakeClock, limits: RateLimits
) -> AsyncIterator[grpc.aio.Channel]:
    rows, tokens = NodeRows(store), JoinTokens(store, clock, TD)
    nodes, attestation = NodeService(store, rows, issuer, clock), AttestationService(TD, {}, rows, issuer)
    async with AsyncExitStack() as stack:
        server = Server(AuthorizationInterceptor(Admitting()))
        server.add_generic_rpc_handlers(
            (
                served(AGENT, AgentApi(TD, attestation, nodes, tokens, limits)),
                served(BUNDLE, BundleApi(BundleService(store, TD), limits)),
                served(SVID, SvidApi(TD, issuer, AuthorizedEntries(store, TD, clock), limits, store)),
            )
        )
        await server.listen_unix(tmp_path / "api.sock")
        stack.push_async_callback(server.close, 0)
        yield await stack.enter_async_context(dial_unix(tmp_path / "api.sock"))


def attest(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401 - a call of one kind or another, here and below
    async def call() -> None:
        stream = AgentStub(channel).AttestAgent(timeout=PATIENCE)
        await stream.write(agent_pb2.AttestAgentRequest())
        await stream.read()

    return call()


def batch(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    request = svid_pb2.BatchNewX509SVIDRequest(params=[svid_pb2.NewX509SVIDParams()])
    return SVIDStub(channel).BatchNewX509SVID(request, timeout=PATIENCE)


def wit(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    request = svid_pb2.BatchNewWITSVIDRequest(params=[svid_pb2.NewWITSVIDParams()])
    return SVIDStub(channel).BatchNewWITSVID(request, timeout=PATIENCE)


def downstream(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    return SVIDStub(channel).NewDownstreamX509CA(svid_pb2.NewDownstreamX509CARequest(), timeout=PATIENCE)


def jwt(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    return SVIDStub(channel).NewJWTSVID(svid_pb2.NewJWTSVIDRequest(), timeout=PATIENCE)


def renew(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    return AgentStub(channel).RenewAgent(agent_pb2.RenewAgentRequest(), timeout=PATIENCE)


def status(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    return AgentStub(channel).PostStatus(agent_pb2.PostStatusRequest(), timeout=PATIENCE)


def publish(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    return BundleStub(channel).PublishJWTAuthority(bundle_pb2.PublishJWTAuthorityRequest(), timeout=PATIENCE)


WORDS: dict[Call, str] = {
    attest: "attest agent rate limiting",
    batch: "certificate signing rate limiting",
    wit: "certificate signing rate limiting",
    downstream: "downstream CA signing rate limit",
    jwt: "JWT signing request rate limiting",
    renew: "renew agent rate limiting",
    status: "post status rate limiting",
    publish: "key publishing rate limiting",
}


async def refused(call: Call, channel: grpc.aio.Channel) -> bool:
    """Whether it is refused for its rate, in the right words."""
    error: grpc.aio.AioRpcError | None = None
    try:
        await call(channel)
    except grpc.aio.AioRpcError as refusal:
        error = refusal
    if error is None or error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return False
    words = f"rejecting request due to {WORDS[call]}: rate: Wait(n=1) would exceed context deadline"
    assert error.details() == words
    return True


@pytest.mark.parametrize(
    ("budget", "sharing"),
    [
        ("attestation", [attest]),
        ("x509_signing", [batch, downstream, renew]),
        ("jwt_signing", [jwt]),
        ("wit_signing", [wit]),
        ("publishing", [publish]),
        ("status", [status]),
    ],
)
async def test_who_would_wait_too_long_is_refused_and_other_budgets_are_not_touched(
    channel: grpc.aio.Channel, clock: FakeClock, limits: RateLimits, budget: str, sharing: Sequence[Call]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(getattr(limits, budget).take(HOST, RATE)) for _ in range(AHEAD)]
        await clock.wait_sleepers(AHEAD - 1)
        found = [call for call in WORDS if await refused(call, channel)]
        for one in waiting:
            one.cancel()
    assert found == list(sharing)
