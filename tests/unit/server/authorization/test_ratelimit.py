"""Token buckets per address."""

import asyncio
import contextlib

import pytest

from assay.errors import ResourceExhaustedError
from assay.rpc.method import Method
from assay.telemetry.rpc import RpcMetrics
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay.testing.wait import until
from assay_server.authorization.caller import Caller, CallerKind, set_current_caller
from assay_server.authorization.ratelimit import RateLimit, RateLimits, take
from assay_server.model.rates import Rates


async def test_a_burst_passes_and_the_next_waits_its_time(clock: FakeClock) -> None:
    limit = RateLimit(10, clock)
    await limit.take("192.0.2.1", 10)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(limit.take("192.0.2.1", 5))
        await clock.wait_sleepers()
        clock.advance(0.49)
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.advance(0.02)


async def test_those_who_wait_wait_one_behind_the_other(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    await limit.take("192.0.2.1")
    done: list[int] = []

    async def caller(number: int) -> None:
        await limit.take("192.0.2.1")
        done.append(number)

    async def more_than(count: int) -> None:
        await until(lambda: len(done) > count)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(caller(number))
        await clock.wait_sleepers(3)
        for expected in range(3):
            assert len(done) == expected
            clock.advance(1.001)
            await more_than(expected)
    assert done == [0, 1, 2]


async def test_addresses_do_not_share(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    await limit.take("192.0.2.1")
    await limit.take("192.0.2.2")


async def test_the_admin_socket_is_free(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    for _ in range(5):
        await limit.take("", 100)


async def test_more_than_a_burst_is_refused_at_once_and_costs_nothing(clock: FakeClock) -> None:
    limit = RateLimit(500, clock)
    with pytest.raises(ResourceExhaustedError, match=r"^rate \(501\) exceeds burst size \(500\)$"):
        await limit.take("192.0.2.1", 501)
    await limit.take("192.0.2.1", 500)


async def test_tokens_come_back_up_to_a_burst(clock: FakeClock) -> None:
    limit = RateLimit(2, clock)
    await limit.take("192.0.2.1", 2)
    clock.advance(100)
    await limit.take("192.0.2.1", 2)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(limit.take("192.0.2.1"))
        await clock.wait_sleepers()
        assert not waiting.done()
        clock.advance(1)


async def test_who_gives_up_leaves_its_place(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    await limit.take("192.0.2.1")
    async with asyncio.TaskGroup() as tasks:
        gives_up = tasks.create_task(limit.take("192.0.2.1"))
        await clock.wait_sleepers()
        gives_up.cancel()
    clock.advance(1)
    await limit.take("192.0.2.1")


async def test_a_wait_beyond_the_callers_deadline_is_refused_at_once_and_costs_nothing(clock: FakeClock) -> None:
    limit = RateLimit(10, clock)
    await limit.take("192.0.2.1", 10, 0.0)
    with pytest.raises(ResourceExhaustedError, match=r"^rate: Wait\(n=5\) would exceed context deadline$"):
        await limit.take("192.0.2.1", 5, 0.49)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(limit.take("192.0.2.1", 5, 0.51))
        await clock.wait_sleepers()
        clock.advance(0.5)


async def test_quiet_addresses_are_forgotten(clock: FakeClock) -> None:
    limit = RateLimit(10, clock)
    for number in range(100):
        await limit.take(f"192.0.2.{number}")
    clock.advance(61)
    await limit.take("198.51.100.1")
    assert list(limit._buckets) == ["198.51.100.1"]


async def test_addresses_that_others_wait_for_are_not(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(limit.take("192.0.2.1")) for _ in range(200)]
        await clock.wait_sleepers(199)
        for _ in range(2):
            clock.advance(61)
            await limit.take("198.51.100.1")
        with pytest.raises(ResourceExhaustedError):
            await limit.take("192.0.2.1", 1, 70.0)
        for one in waiting:
            one.cancel()


async def test_switches_turn_limits_off(clock: FakeClock) -> None:
    limits = RateLimits(Rates(attestation=None, x509_signing=None, jwt_signing=None, wit_signing=None), clock)
    for limit in (limits.attestation, limits.x509_signing, limits.jwt_signing, limits.wit_signing):
        await limit.take("192.0.2.1", 10_000)
    with pytest.raises(ResourceExhaustedError):
        await limits.status.take("192.0.2.1", 11)


async def test_limits_are_spires(clock: FakeClock) -> None:
    limits = RateLimits(Rates(), clock)
    assert (limits.attestation.rate, limits.status.rate) == (1, 10)
    assert {limits.x509_signing.rate, limits.jwt_signing.rate, limits.wit_signing.rate, limits.publishing.rate} == {500}


async def test_limits_change_for_those_who_come_later(clock: FakeClock) -> None:
    limits = RateLimits(Rates(), clock)
    await limits.status.take("192.0.2.1", 10)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(limits.status.take("192.0.2.1", 10))
        await clock.wait_sleepers()
        limits.set(Rates(status=20, jwt_signing=None))
        with pytest.raises(ResourceExhaustedError, match=r"burst size \(20\)"):
            await limits.status.take("192.0.2.1", 21)
        await limits.jwt_signing.take("192.0.2.1", 501)
        assert not waiting.done()
        clock.advance(1)


async def test_the_refusal_names_what_was_refused(clock: FakeClock) -> None:
    set_current_caller(Caller(CallerKind.ANONYMOUS, address="192.0.2.1:40000"))
    with pytest.raises(ResourceExhaustedError) as refused:
        await take(RateLimit(1, clock), 2, refusal="certificate signing rate limiting", patience=None)
    assert refused.value.message == (
        "rejecting request due to certificate signing rate limiting: rate (2) exceeds burst size (1)"
    )


async def test_ports_share_and_the_admin_socket_is_free(clock: FakeClock) -> None:
    limit = RateLimit(1, clock)
    for address, refused in (
        ("[2001:db8::1]:1", False),
        ("[2001:db8::1]:2", True),
        ("[2001:db8::2]:2", False),
        ("", False),
    ):
        set_current_caller(Caller(CallerKind.ANONYMOUS, address=address))
        with pytest.raises(ResourceExhaustedError) if refused else contextlib.nullcontext():
            await take(limit, refusal="", patience=0.0)


async def test_what_is_taken_for_an_rpc_is_counted_under_its_name(clock: FakeClock) -> None:
    metrics = Recorded()
    limits = RateLimits(Rates(jwt_signing=2, x509_signing=None), clock, metrics)

    async def handler(count: int, _context: object) -> None:
        set_current_caller(Caller(CallerKind.AGENT, address="192.0.2.1:1"))
        await take(limits.jwt_signing, count, refusal="signing", patience=None)
        await take(limits.x509_signing, count, refusal="signing", patience=None)

    method = RpcMetrics(metrics)(Method("/spire.api.server.svid.v1.SVID/NewJWTSVID", handler))
    await method.behavior(2, None)
    with pytest.raises(ResourceExhaustedError):
        await method.behavior(3, None)
    assert metrics.counts() == {
        (f"{kind}.svid.v1.svid.new_jwtsvid", status): 1
        for kind in ("rpc", "rateLimit")
        for status in ("OK", "ResourceExhausted")
    }
