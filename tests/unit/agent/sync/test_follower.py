# ruff: noqa: ANN401 - classes of conftest.py cannot be named here
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import (
    AssayError,
    DenialReason,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_agent.cache.cache import Cache
from assay_agent.client.values import EntryChanges, Position, WatchUpdate
from assay_agent.sync.follower import Follower

MakeEntry = Callable[..., Entry]
SPIRES = UnimplementedError("unknown service assay.sync.v1.Sync")
AWAY = UnavailableError("server is away")


class Node:
    """Heeds refusals with a reason; a ban is final."""

    def __init__(self, spiffe_id: SpiffeId) -> None:
        self.spiffe_id = spiffe_id
        self.heeded = 0

    @asynccontextmanager
    async def heeding(self) -> AsyncGenerator[None]:
        try:
            yield
        except PermissionDeniedError as error:
            if error.reason in {None, DenialReason.AGENT_BANNED}:
                raise
            self.heeded += 1


class Calls:
    """What the follower told the signer."""

    def __init__(self) -> None:
        self.changes = 0
        self.reached = 0

    def changed(self) -> None:
        self.changes += 1

    def reachable(self) -> None:
        self.reached += 1


class House:
    def __init__(self, script: Any, cache: Cache, clock: FakeClock, agent_id: SpiffeId) -> None:
        self.script, self.cache, self.clock = script, cache, clock
        self.node, self.signer = Node(agent_id), Calls()
        self.bundles: list[Bundle] = []
        self.metrics = Recorded()
        self.follower = Follower(
            script,
            cache,
            self.node,
            self.signer,
            clock,
            trust_domain=agent_id.trust_domain,
            on_bundle=self.bundles.append,
            poll_interval=5,
            draw=lambda: 0.5,
            metrics=self.metrics,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        async with asyncio.TaskGroup() as group, asyncio.timeout(10):
            task = group.create_task(self.follower.run())
            yield task
            task.cancel()


@pytest.fixture
def house(script: Any, cache: Cache, clock: FakeClock, agent_id: SpiffeId) -> House:
    return House(script, cache, clock, agent_id)


def at(sequence: int) -> Position:
    return Position("i", sequence)


async def test_updates_go_into_the_cache(house: House, entry: MakeEntry, authority: Authority) -> None:
    other = Authority("other.example").bundle
    house.script.rounds = [
        [
            WatchUpdate(at(1), snapshot=True, entries=(entry(1),), bundle=authority.bundle, federated=(other,)),
            WatchUpdate(at(2), entries=(entry(2),)),
            WatchUpdate(at(3), removed=("entry-0001",), removed_federated=(other.trust_domain,)),
        ]
    ]
    async with house.running():
        await house.script.idle.wait()
    assert list(house.cache.entries) == ["entry-0002"]
    assert list(house.cache.bundles) == [authority.trust_domain]
    assert house.bundles == [authority.bundle]
    assert house.signer.changes == 3
    assert house.signer.reached == 1
    assert house.metrics.counts() == {
        ("manager.sync.fetch_entries_updates", "OK"): 3,
        ("lru_cache_entry_add", ""): 2,
        ("lru_cache_entry_update", ""): 0,
        ("lru_cache_entry_remove", ""): 1,
    }
    gauges = [(name, labels, value) for kind, name, labels, value in house.metrics.taken if kind == "gauge"]
    assert gauges[-7:] == [
        ("lru_cache_record_map_size", {"svid_type": "X509"}, 1),
        ("sync_bundles_total", {}, 1),
        ("sync_entries_total", {}, 1),
        ("sync_entries_missing", {}, 0),
        ("sync_entries_stale", {}, 0),
        ("sync_entries_dropped", {}, 1),
        ("lru_cache_svid_map_size", {"svid_type": "X509"}, 0),
    ]


async def test_a_broken_stream_goes_on_where_it_was(house: House, entry: MakeEntry, authority: Authority) -> None:
    snapshot = WatchUpdate(at(1), snapshot=True, entries=(entry(1),), bundle=authority.bundle)
    house.script.rounds = [[snapshot, WatchUpdate(at(2)), AWAY], [WatchUpdate(at(3))]]
    async with house.running():
        await house.clock.wait_sleepers()
        assert list(house.cache.entries) == ["entry-0001"]
        house.clock.advance(1)
        await house.script.idle.wait()
    assert house.script.positions == [None, at(2), at(3)]
    assert house.signer.reached == 2
    fetched = "manager.sync.fetch_entries_updates"
    assert house.metrics.counts()[fetched, "OK"] == 3
    assert house.metrics.counts()[fetched, "Unavailable"] == 1


async def test_another_agent_id_begins_with_a_snapshot(house: House, authority: Authority) -> None:
    house.script.rounds = [[WatchUpdate(at(1), snapshot=True, bundle=authority.bundle)]]
    async with house.running():
        house.node.spiffe_id = authority.id("/spire/agent/b")
        await house.script.idle.wait()
        assert house.script.positions[0] is None
    house.script.idle.clear()
    house.script.rounds = [[WatchUpdate(at(2))]]
    house.node.spiffe_id = authority.id("/spire/agent/c")
    async with house.running():
        await house.script.idle.wait()
    assert house.script.positions[-2:] == [None, at(2)]


async def test_renewed_credentials_reopen_the_stream_at_once(house: House, authority: Authority) -> None:
    house.script.rounds = [[WatchUpdate(at(1), snapshot=True, bundle=authority.bundle)], [], []]
    async with house.running():
        await house.script.idle.wait()
    assert house.script.positions == [None, at(1), at(1), at(1)]
    assert house.clock.monotonic() == 0


async def test_failures_are_spaced_out_and_said(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.script.rounds = [[AWAY]] * 5
    waited: list[float] = []
    async with house.running():
        while house.script.rounds:
            await house.clock.wait_sleepers()
            house.clock.advance(0.5)
            await asyncio.sleep(0)
            waited.append(house.clock.monotonic())
    # 0.5 + 1 + 2 + 4 seconds, the last pause only begun, and a pause for every fruitless round beyond the third
    assert waited[-1] >= 7.5
    out = capsys.readouterr().out
    assert "Synchronize failed" in out
    assert "failed to fetch authorized entries: server is away" in out


async def test_the_cache_lives_through_the_servers_absence(
    house: House, entry: MakeEntry, authority: Authority
) -> None:
    snapshot = WatchUpdate(at(1), snapshot=True, entries=(entry(1),), bundle=authority.bundle)
    house.script.rounds = [[snapshot, AWAY], [AWAY], [AWAY]]
    async with house.running():
        for _ in range(3):
            await house.clock.wait_sleepers()
            assert list(house.cache.entries) == ["entry-0001"]
            assert house.cache.synced
            house.clock.advance(60)


async def test_a_server_without_watch_is_polled(house: House, entry: MakeEntry, authority: Authority) -> None:
    house.script.rounds = [[SPIRES]]
    house.script.polls = [EntryChanges((entry(1),)), EntryChanges((entry(2),), ("entry-0001",))]
    async with house.running():
        await house.clock.wait_sleepers()
        assert list(house.cache.entries) == ["entry-0001"]
        assert house.clock.monotonic() == 0
        house.clock.advance(5)
        await house.clock.wait_sleepers()
        assert list(house.cache.entries) == ["entry-0002"]
        house.clock.advance(5)
        await house.script.idle.wait()
    assert [list(known) for known in house.script.known] == [[], ["entry-0001"], ["entry-0002"]]
    assert house.bundles == [authority.bundle]
    assert len(house.script.positions) == 1


async def test_polling_fetches_the_bundles_that_entries_federate_with(
    house: House, entry: MakeEntry, authority: Authority
) -> None:
    one, two = Authority("one.example").bundle, Authority("two.example").bundle
    house.script.federated = {one.trust_domain: one, two.trust_domain: two}
    both = entry(1, federates_with=(one.trust_domain, two.trust_domain))
    house.script.rounds = [[SPIRES]]
    house.script.polls = [EntryChanges((both,)), EntryChanges((replace(both, federates_with=(two.trust_domain,)),))]
    async with house.running():
        await house.clock.wait_sleepers()
        assert set(house.cache.bundles) == {authority.trust_domain, one.trust_domain, two.trust_domain}
        house.clock.advance(5)
        await house.clock.wait_sleepers()
        assert set(house.cache.bundles) == {authority.trust_domain, two.trust_domain}


async def test_a_changed_bundle_is_taken_up(house: House, authority: Authority) -> None:
    house.script.rounds = [[SPIRES]]
    house.script.polls = [EntryChanges(), EntryChanges(), EntryChanges()]
    newer = replace(authority.bundle, sequence=2)
    async with house.running():
        await house.clock.wait_sleepers()
        house.script.own = newer
        house.clock.advance(5)
        await house.clock.wait_sleepers()
        house.clock.advance(5)
        await house.clock.wait_sleepers()
    assert house.bundles == [authority.bundle, newer]


async def test_a_failed_poll_is_followed_by_another_look_for_watch(house: House, authority: Authority) -> None:
    house.script.rounds = [[SPIRES], [WatchUpdate(at(1), snapshot=True, bundle=authority.bundle)]]
    house.script.polls = [EntryChanges(), AWAY]
    async with house.running():
        await house.clock.wait_sleepers()
        house.clock.advance(5)
        await house.clock.wait_sleepers()
        house.clock.advance(5)
        await house.script.idle.wait()
    assert house.script.positions == [None, None, at(1)]


@pytest.mark.parametrize("polling", [False, True])
async def test_a_denial_is_heeded_and_tried_again_at_once(polling: bool, house: House, authority: Authority) -> None:
    denial = PermissionDeniedError("no", reason=DenialReason.AGENT_NOT_ATTESTED)
    snapshot = WatchUpdate(at(1), snapshot=True, bundle=authority.bundle)
    house.script.rounds = [[SPIRES]] if polling else [[denial], [snapshot]]
    house.script.polls = [denial, EntryChanges()] if polling else []
    async with house.running():
        await asyncio.wait_for(house.follower.wait_synced(), 5)
    assert house.node.heeded == 1
    assert house.clock.monotonic() == 0


async def test_a_server_that_denies_every_new_svid_is_not_stormed(house: House) -> None:
    house.script.rounds = [[PermissionDeniedError("no", reason=DenialReason.AGENT_NOT_ACTIVE)]] * 10
    async with house.running():
        await house.clock.wait_sleepers()
        assert house.node.heeded == 3


@pytest.mark.parametrize("polling", [False, True])
async def test_a_ban_ends_it(polling: bool, house: House) -> None:
    ban = PermissionDeniedError("agent is banned", reason=DenialReason.AGENT_BANNED)
    house.script.rounds = [[SPIRES]] if polling else [[ban]]
    house.script.polls = [ban]
    with pytest.raises(PermissionDeniedError) as end:
        await house.follower.run()
    assert end.value is ban


async def test_a_denial_without_reason_is_a_failure_like_others(house: House) -> None:
    house.script.rounds = [[PermissionDeniedError("policy")], []]
    async with house.running():
        await house.clock.wait_sleepers()
        house.clock.advance(1)
        await house.script.idle.wait()


async def test_a_poll_without_bundle_changes_nothing(house: House, entry: MakeEntry) -> None:
    house.script.own = None
    house.script.rounds = [[SPIRES], [SPIRES]]
    house.script.polls = [EntryChanges((entry(1),))]
    async with house.running():
        await house.clock.wait_sleepers()
    assert not house.cache.entries
    assert not house.cache.synced


@pytest.mark.parametrize("error", [AWAY, SPIRES])
async def test_who_waits_for_the_first_sync_waits_for_it(error: AssayError, house: House, authority: Authority) -> None:
    house.script.rounds = [[error], [WatchUpdate(at(1), snapshot=True, bundle=authority.bundle)]]
    house.script.polls = [AWAY]
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(house.follower.wait_synced())
        async with house.running():
            await house.clock.wait_sleepers()
            assert not waiting.done()
            house.clock.advance(5)
            await waiting
