"""How often workloads may call: SPIRE's limits for each set of selectors, and ours for each user."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from assay.errors import UnavailableError
from assay.selector import Selector
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay.workloadapi.wire import METADATA, Stub
from assay_agent.workload.ratelimit import RateLimit, SelectorLimits, UserLimit
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

X509 = "/SpiffeWorkloadAPI/FetchX509SVID"
JWT = "/SpiffeWorkloadAPI/FetchJWTSVID"
SWEEP = 61


@pytest.fixture
def clock(authority: Authority) -> FakeClock:
    return FakeClock(authority.now)


def test_a_burst_of_a_second_and_then_as_they_come(clock: FakeClock) -> None:
    limit = RateLimit(3, clock)
    assert [limit.allows("a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert limit.allows("b")
    clock.advance(0.34)
    assert [limit.allows("a") for _ in range(2)] == [True, False]
    clock.advance(60)
    assert [limit.allows("a") for _ in range(5)] == [True] * 3 + [False] * 2


def test_who_has_not_called_for_long_is_forgotten(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    for number in range(1000):
        assert limit.allows(number)
    clock.advance(SWEEP)
    assert limit.allows("one more")
    assert len(limit) == 1


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab")), max_size=60), st.integers(1, 4))
def test_no_key_gets_more_than_its_rate_whatever_the_times(steps: list[tuple[float, str]], rate: int) -> None:
    clock = FakeClock()
    limit = RateLimit(rate, clock)
    allowed: dict[str, list[float]] = {"a": [], "b": []}
    for pause, key in steps:
        clock.advance(pause)
        if limit.allows(key):
            allowed[key].append(clock.monotonic())
    for times in allowed.values():
        for number, first in enumerate(times):
            within = [one for one in times[number:] if one < first + 1]
            assert len(within) <= 2 * rate


def test_each_method_and_each_set_of_selectors_is_counted_alone(clock: FakeClock) -> None:
    with capture_logs() as logs:
        limits = SelectorLimits({X509: 1, JWT: 2}, clock)
    assert [(one["event"], one["method"], one["limit"]) for one in logs] == [
        ("Workload API/SDS rate limiting enabled", X509, 1),
        ("Workload API/SDS rate limiting enabled", JWT, 2),
    ]
    a, b = frozenset({Selector("unix", "uid:1")}), frozenset({Selector("unix", "uid:2")})
    for selectors in (a, b, frozenset(), a | b):
        limits.check(X509, selectors)
        with pytest.raises(UnavailableError, match=f"^rate limit exceeded for {X509}$"):
            limits.check(X509, selectors)
        limits.check(JWT, selectors)
        limits.check("/other", selectors)


async def ending(call: AsyncIterable[object] | Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    try:
        await (anext(aiter(call)) if isinstance(call, AsyncIterable) else call)
    except aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def test_over_the_wire_the_limit_of_selectors_answers_as_spire_does(agents: Agents, clock: FakeClock) -> None:
    agent = await agents(limits=SelectorLimits({X509: 2}, clock))
    agent.register("a", "/web")
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        stub = Stub(channel)

        def fetch() -> AsyncIterable[object]:
            return stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA)

        found = [await ending(fetch()) for _ in range(3)]
        assert found[:2] == [(grpc.StatusCode.OK, "")] * 2
        assert found[2] == (grpc.StatusCode.UNAVAILABLE, f"rate limit exceeded for {X509}")
        bundles = stub.fetch_x509_bundles(pb.X509BundlesRequest(), metadata=METADATA)
        assert await ending(bundles) == (grpc.StatusCode.OK, "")
        clock.advance(1)
        assert await ending(fetch()) == (grpc.StatusCode.OK, "")


async def test_envoys_are_limited_alike(agents: Agents, clock: FakeClock) -> None:
    fetch = "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets"
    agent = await agents(limits=SelectorLimits({fetch: 2}, clock))
    agent.register("a", "/web")
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(fetch)
        found = [await ending(call(b"")) for _ in range(3)]
    assert found == [*[(grpc.StatusCode.OK, "")] * 2, (grpc.StatusCode.UNAVAILABLE, f"rate limit exceeded for {fetch}")]


async def test_the_limit_of_users_counts_every_call_and_comes_before_attestation(
    agents: Agents, clock: FakeClock
) -> None:
    asked: list[int] = []

    class Asked:
        name = "asked"

        async def attest(self, pid: int) -> tuple[Selector, ...]:
            asked.append(pid)
            return ()

    agent = await agents(plugins=[Asked()], observers=[UserLimit(3, clock, own_pid=0)])
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        stub = Stub(channel)
        found = [
            await ending(stub.fetch_x509_svid(pb.X509SVIDRequest())),  # without the header
            await ending(stub.fetch_x509_bundles(pb.X509BundlesRequest(), metadata=METADATA)),
            await ending(HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="x"))),
            await ending(stub.fetch_jwt_svid(pb.JWTSVIDRequest(audience=["a"]), metadata=METADATA)),
            await ending(stub.fetch_x509_svid(pb.X509SVIDRequest())),
        ]
        limited = [(grpc.StatusCode.UNAVAILABLE, f"rate limit exceeded for {path}") for path in (JWT, X509)]
        assert found[3:] == limited
        assert not any("rate limit" in words for _, words in found[:3])
        assert asked == [os.getpid()]


async def test_the_agents_own_calls_are_free(agents: Agents, clock: FakeClock) -> None:
    agent = await agents(own_pid=os.getpid(), observers=[UserLimit(1, clock, own_pid=os.getpid())])
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        for _ in range(5):
            answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_nobody_is_limited_unless_told(agent: LocalAgent) -> None:
    agent.register("a", "/web")
    async with agent.client() as client:
        for _ in range(200):
            await client.fetch_x509()


async def test_limits_can_change_between_two_calls(clock: FakeClock) -> None:
    metrics = Recorded()
    limits = SelectorLimits({X509: 1, JWT: 1}, clock, metrics)
    limits.check(X509, frozenset())
    limits.check(JWT, frozenset())
    limits.use({X509: 1, JWT: 2})
    with pytest.raises(UnavailableError):
        limits.check(X509, frozenset())
    limits.check(JWT, frozenset())
    limits.use({})
    limits.check(X509, frozenset())
    assert metrics.taken == [("count", "workload_api.rate_limit_exceeded", {"method": X509}, 1)]


async def test_the_limit_of_users_can_come_and_go(agents: Agents, clock: FakeClock) -> None:
    users = UserLimit(None, clock, own_pid=0)
    agent = await agents(observers=[users])
    agent.register("a", "/web")
    async with agent.client() as client:
        for _ in range(5):
            await client.fetch_jwt("a")
        users.use(1)
        await client.fetch_jwt("a")
        users.use(1)
        with pytest.raises(UnavailableError, match="rate limit exceeded"):
            await client.fetch_jwt("a")
        users.use(None)
        await client.fetch_jwt("a")
