"""Token buckets per address."""

import asyncio

import pytest

from assay.errors import ResourceExhaustedError
from assay.testing.clock import FakeClock
from assay.testing.wait import until
from assay_server.authorization.ratelimit import NoLimit, RateLimit, RateLimits, take


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


async def test_quiet_addresses_are_forgotten(clock: FakeClock) -> None:
    limit = RateLimit(10, clock)
    for number in range(100):
        await limit.take(f"192.0.2.{number}")
    for _ in range(2):
        clock.advance(61)
        await limit.take("198.51.100.1")
    assert len(limit._current) + len(limit._previous) <= 2


async def test_switches_turn_limits_off(clock: FakeClock) -> None:
    limits = RateLimits.create(clock, attestation=False, signing=False)
    for limit in (limits.attestation, limits.x509_signing, limits.jwt_signing):
        assert isinstance(limit, NoLimit)
        await limit.take("192.0.2.1", 10_000)
    with pytest.raises(ResourceExhaustedError):
        await limits.status.take("192.0.2.1", 11)


async def test_limits_are_spires(clock: FakeClock) -> None:
    limits = RateLimits.create(clock, attestation=True, signing=True)
    for limit, rate in ((limits.attestation, 1), (limits.x509_signing, 500), (limits.jwt_signing, 500)):
        await limit.take("192.0.2.1", rate)
        with pytest.raises(ResourceExhaustedError):
            await limit.take("192.0.2.1", rate + 1)


async def test_the_refusal_names_what_was_refused(clock: FakeClock) -> None:
    with pytest.raises(ResourceExhaustedError) as refused:
        await take(RateLimit(1, clock), "192.0.2.1", 2, doing="certificate signing")
    assert refused.value.message == (
        "rejecting request due to certificate signing rate limiting: rate (2) exceeds burst size (1)"
    )
