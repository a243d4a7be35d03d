"""A FetchWITSVID stream over time: renewal at half of life, servers that are away, entries that are refused."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assay.errors import NotFoundError, PermissionDeniedError, UnavailableError
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay_agent.workload.wits import LONGEST_LOOK_AWAY, RETRY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.agent.conftest import Agents, LocalAgent

    from assay.workloadapi import WorkloadApiClient
    from assay.workloadapi.values import HintedWitSvid

LIFE = 3600


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("example.org")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def agent(agents: Agents) -> LocalAgent:
    agent = await agents()
    agent.switch_wit_on()
    return agent


@pytest.fixture
async def client(agent: LocalAgent) -> AsyncIterator[WorkloadApiClient]:
    async with agent.client() as client:
        yield client


async def pass_time(clock: FakeClock, seconds: float, streams: int = 1) -> None:
    """As a stream sees it, which never looks away for longer than that."""
    while seconds > 0:
        await clock.wait_sleepers(streams)
        step = min(seconds, LONGEST_LOOK_AWAY)
        clock.advance(step)
        seconds -= step
    await clock.wait_sleepers(streams)


async def test_it_is_renewed_at_half_of_its_life_with_a_new_key(
    agent: LocalAgent, client: WorkloadApiClient, clock: FakeClock
) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_wit()) as updates:
        (first,) = await anext(updates)
        await pass_time(clock, 0.45 * LIFE - 1)
        assert len(agent.minter.asked) == 1
        await pass_time(clock, 0.1 * LIFE + 2)
        assert len(agent.minter.asked) == 2
        (second,) = await anext(updates)
    assert second.spiffe_id == first.spiffe_id
    assert second.svid.public_key != first.svid.public_key


async def test_one_of_a_key_that_is_tainted_is_replaced_at_once(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    own = agent.cache.bundles[agent.authority.trust_domain]
    agent.wits.take_bundle(own)
    async with aclosing(client.watch_wit()) as updates:
        (first,) = await anext(updates)
        other = Authority("example.org")
        other.wit_key_id = "other"
        agent.minter.authority = other
        keys = (replace(agent.authority.wit_authority, tainted=True), other.wit_authority)
        tainted = replace(own, wit_authorities=keys, sequence=own.sequence + 1)
        agent.wits.take_bundle(tainted)
        agent.publish(tainted)
        (second,) = await anext(updates)
    assert second.svid.public_key != first.svid.public_key
    assert len(agent.minter.asked) == 2


async def test_all_streams_share_each_renewal(agent: LocalAgent, client: WorkloadApiClient, clock: FakeClock) -> None:
    agent.register("a", "/web")
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(client.watch_wit())) for _ in range(5)]
        first = [await anext(one) for one in streams]
        await pass_time(clock, 0.56 * LIFE, len(streams))
        second = [await anext(one) for one in streams]
    assert len(agent.minter.asked) == 2
    assert all(one == first[0] for one in first)
    assert all(one == second[0] != first[0] for one in second)


async def test_a_server_that_is_away_is_asked_again_and_the_last_one_is_kept(
    agent: LocalAgent, client: WorkloadApiClient, clock: FakeClock
) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_wit()) as updates:
        first = await anext(updates)
        agent.minter.failure = UnavailableError("away")
        await pass_time(clock, 0.56 * LIFE)
        asked = len(agent.minter.asked)
        assert 2 <= asked <= 40
        await pass_time(clock, RETRY.limit * 2)
        assert asked < len(agent.minter.asked) <= asked + 40
        agent.minter.failure = None
        await pass_time(clock, RETRY.limit * 1.2)
        assert await anext(updates) != first


async def test_a_stream_ends_when_what_it_has_expires(
    agent: LocalAgent, client: WorkloadApiClient, clock: FakeClock
) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_wit()) as updates:
        await anext(updates)
        agent.minter.failure = UnavailableError("away")
        for _ in range(2 * LIFE // int(LONGEST_LOOK_AWAY)):
            if clock.now().timestamp() >= agent.authority.now.timestamp() + LIFE:
                break
            await clock.wait_sleepers()
            clock.advance(LONGEST_LOOK_AWAY)
        with pytest.raises(UnavailableError, match="could not fetch WIT-SVID: away"):
            await anext(updates)


async def test_one_entry_that_is_refused_keeps_nobody_from_the_others(
    agent: LocalAgent, client: WorkloadApiClient, clock: FakeClock
) -> None:
    agent.register("a", "/first")
    agent.register("b", "/second")
    agent.minter.refused = {"a": NotFoundError("entry not found or not authorized")}
    async with aclosing(client.watch_wit()) as updates:
        assert names(await anext(updates)) == ["/second"]
        agent.minter.refused = {}
        await pass_time(clock, RETRY.first * 1.2)
        assert names(await anext(updates)) == ["/first", "/second"]
        await pass_time(clock, LONGEST_LOOK_AWAY)
    assert [entry_id for entry_id, _ in agent.minter.asked] == ["a", "b", "a"]


async def test_what_is_refused_at_renewal_is_sent_no_more(
    agent: LocalAgent, client: WorkloadApiClient, clock: FakeClock
) -> None:
    agent.register("a", "/first")
    agent.register("b", "/second")
    async with aclosing(client.watch_wit()) as updates:
        await anext(updates)
        agent.minter.refused = {"a": PermissionDeniedError("not yours")}
        await pass_time(clock, 0.56 * LIFE)
        left = [names(await anext(updates))]
        while left[-1] != ["/second"]:
            left.append(names(await anext(updates)))
    assert len(left) <= 3


def names(svids: tuple[HintedWitSvid, ...]) -> list[str]:
    return [one.spiffe_id.path for one in svids]
