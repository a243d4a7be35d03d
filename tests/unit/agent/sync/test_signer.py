# ruff: noqa: ANN401 - classes of conftest.py cannot be named here
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from assay.entry import Entry
from assay.errors import NotFoundError, ResourceExhaustedError, UnavailableError
from assay.keymanager.base import KeyType
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_agent.cache.cache import Cache
from assay_agent.cache.update import Update
from assay_agent.sync.signer import Signer, SigningSettings

MakeEntry = Callable[..., Entry]


class House:
    """A signer at work, and the ways to move it."""

    def __init__(self, cache: Cache, server: Any, clock: FakeClock, **settings: Any) -> None:
        self.cache, self.server, self.clock = cache, server, clock
        self.metrics = Recorded()
        self.signer = Signer(cache, server, clock, SigningSettings(**settings), lambda: 0.5, self.metrics)

    def apply(self, *entries: Entry, removed: tuple[str, ...] = ()) -> None:
        self.server.entries.update({one.id: one for one in entries})
        self.cache.apply(Update(entries=entries, removed=removed))
        self.signer.changed()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - many things may make it true
                await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.signer.run())
            yield
            task.cancel()


@pytest.fixture
def house(cache: Cache, server: Any, clock: FakeClock) -> House:
    return House(cache, server, clock)


async def test_a_new_entry_is_signed_without_any_time_going_by(house: House, entry: MakeEntry) -> None:
    async with house.running():
        await house.clock.wait_sleepers(0)
        for number in range(3):
            house.apply(entry(number))
            await house.until(lambda: len(house.cache.svids) == number + 1)  # noqa: B023 - awaited here
    assert house.server.batches == [["entry-0000"], ["entry-0001"], ["entry-0002"]]
    assert house.clock.monotonic() == 0


async def test_the_svid_is_the_entrys_with_the_key_that_was_asked_for(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
    svid = house.cache.svids["entry-0001"]
    assert svid.spiffe_id == entry(1).spiffe_id
    assert svid.key is not None
    assert svid.leaf.public_key() == svid.key.public_key()


async def test_every_renewal_has_a_new_key(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        first = house.cache.svids["entry-0001"]
        await house.clock.wait_sleepers()
        await house.clock.run(3600 * 0.58, step=20)
        await house.until(lambda: house.cache.svids["entry-0001"] is not first)
    second = house.cache.svids["entry-0001"]
    assert second.leaf.public_key() != first.leaf.public_key()
    assert house.server.batches == [["entry-0001"], ["entry-0001"]]
    assert house.metrics.counts() == {("manager.sync.fetch_svids_updates", "OK"): 2}
    expiring = [value for _, name, _, value in house.metrics.taken if name == "cache_manager.expiring_svids"]
    assert expiring == [1]


async def test_nothing_is_renewed_before_its_time(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        await house.clock.wait_sleepers()
        await house.clock.run(3600 * 0.43, step=20)
    assert len(house.server.batches) == 1


@pytest.mark.spec("WAPI-4.3-d")
async def test_a_fleet_of_svids_spreads_its_renewals(house: House, entry: MakeEntry) -> None:
    house.apply(*(entry(number) for number in range(40)))
    async with house.running():
        await house.until(lambda: len(house.cache.svids) == 40)
        await house.clock.wait_sleepers()
        await house.clock.run(3600 * 0.6, step=10)
        await house.until(lambda: sum(map(len, house.server.batches)) == 80)
    assert len(house.server.batches) > 15


async def test_changes_that_the_certificate_shows_are_signed_at_once(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        first = house.cache.svids["entry-0001"]
        house.apply(entry(1, dns_names=("name",)))
        await house.until(lambda: house.cache.svids["entry-0001"] is not first)
        house.apply(entry(1, dns_names=("name",), hint="a hint"))
        await asyncio.sleep(0)
    assert len(house.server.batches) == 2


async def test_a_new_id_is_signed_at_once(house: House, entry: MakeEntry, authority: Any) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        house.apply(entry(1, spiffe_id=authority.id("/moved")))
        await house.until(lambda: "entry-0001" in house.cache.svids)
    assert house.cache.svids["entry-0001"].spiffe_id == authority.id("/moved")


async def test_many_are_signed_in_batches_of_at_most_500(house: House, entry: MakeEntry) -> None:
    house.apply(*(entry(number) for number in range(600)))
    async with house.running():
        await house.until(lambda: len(house.cache.svids) == 600)
    assert max(map(len, house.server.batches)) <= 500
    assert sum(map(len, house.server.batches)) == 600


async def test_what_somebody_waits_for_is_signed_first_and_alone(house: House, entry: MakeEntry) -> None:
    house.apply(*(entry(number) for number in range(200)))
    with house.cache.subscribe(entry(150).selectors):
        async with house.running():
            await house.until(lambda: "entry-0150" in house.cache.svids)
            assert house.server.batches[0] == ["entry-0150"]


async def test_a_batch_that_is_too_large_shrinks_until_it_passes(house: House, entry: MakeEntry) -> None:
    house.server.most = 20
    house.apply(*(entry(number) for number in range(100)))
    async with house.running():
        for _ in range(3):
            await house.clock.wait_sleepers()
            house.clock.advance(300)
            await asyncio.sleep(0)
        await house.until(lambda: len(house.cache.svids) >= 16)
    sizes = [len(batch) for batch in house.server.batches]
    assert sizes[:4] == [100, 64, 32, 16]


async def test_a_failure_is_tried_again_after_a_pause(
    house: House, entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    house.server.failures = [UnavailableError("server is away"), ResourceExhaustedError("slow down")]
    house.apply(entry(1))
    async with house.running():
        for attempts, pause in ((1, 0.5), (2, 0.75)):
            await house.clock.wait_sleepers()
            assert len(house.server.batches) == attempts
            house.clock.advance(pause)
        await house.until(lambda: bool(house.cache.svids))
    out = capsys.readouterr().out
    assert house.metrics.counts() == {
        ("manager.sync.fetch_svids_updates", "Unavailable"): 1,
        ("manager.sync.fetch_svids_updates", "ResourceExhausted"): 1,
        ("manager.sync.fetch_svids_updates", "OK"): 1,
    }
    assert "SVID sync failed" in out
    assert "server is away" in out


async def test_a_server_that_is_back_is_asked_at_once(house: House, entry: MakeEntry) -> None:
    house.server.failures = [UnavailableError("server is away")]
    house.apply(entry(1))
    async with house.running():
        await house.clock.wait_sleepers()
        house.signer.reachable()
        await house.until(lambda: bool(house.cache.svids))
    assert house.clock.monotonic() == 0


async def test_a_refused_entry_keeps_nothing_else_back(house: House, entry: MakeEntry) -> None:
    house.server.refused = {"entry-0001": NotFoundError("entry not found or not authorized")}
    house.apply(entry(1), entry(2))
    async with house.running():
        await house.until(lambda: "entry-0002" in house.cache.svids)
        await house.clock.wait_sleepers()
        assert len(house.server.batches) == 1
        house.server.refused = {}
        await house.clock.run(6)
        await house.until(lambda: "entry-0001" in house.cache.svids)
    assert house.server.batches == [["entry-0001", "entry-0002"], ["entry-0001"]]


async def test_a_refused_entry_that_changes_is_asked_for_at_once(house: House, entry: MakeEntry) -> None:
    house.server.refused = {"entry-0001": NotFoundError("not yet")}
    house.apply(entry(1))
    async with house.running():
        await house.clock.wait_sleepers()
        house.server.refused = {}
        house.apply(entry(1, dns_names=("name",)))
        await house.until(lambda: bool(house.cache.svids))
    assert house.clock.monotonic() == 0


async def test_another_id_than_the_entrys_is_not_used_nor_asked_for_without_pause(
    house: House, entry: MakeEntry, authority: Any
) -> None:
    house.apply(entry(1))
    house.server.entries["entry-0001"] = entry(1, spiffe_id=authority.id("/moved"))
    async with house.running():
        await house.clock.wait_sleepers()
        assert not house.cache.svids
        house.apply(entry(1, spiffe_id=authority.id("/moved")))
        await house.until(lambda: bool(house.cache.svids))
    assert len(house.server.batches) == 2


async def test_an_svid_that_the_cache_lost_is_made_anew(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        house.cache.drop_svid("entry-0001")
        house.signer.changed()
        await house.until(lambda: bool(house.cache.svids))
    assert len(house.server.batches) == 2


async def test_no_more_are_kept_than_the_limit(cache: Cache, server: Any, clock: FakeClock, entry: MakeEntry) -> None:
    house = House(cache, server, clock, limit=5)
    house.apply(*(entry(number) for number in range(10)))
    async with house.running():
        await house.until(lambda: len(cache.svids) == 5)
        with cache.subscribe(entry(8).selectors):
            await house.until(lambda: "entry-0008" in cache.svids)
            await house.until(lambda: len(cache.svids) == 5)
            assert "entry-0008" in cache.svids
        await asyncio.sleep(0)
    assert sum(map(len, server.batches)) == 6


async def test_settings_can_change_while_it_works(house: House, entry: MakeEntry) -> None:
    house.apply(*(entry(number) for number in range(10)))
    async with house.running():
        await house.until(lambda: len(house.cache.svids) == 10)
        house.signer.use(SigningSettings(KeyType.EC_P384, limit=5))
        await house.until(lambda: len(house.cache.svids) == 5)
        house.cache.drop_svid(next(iter(house.cache.svids)))
        house.signer.use(SigningSettings(KeyType.EC_P384, limit=10))
        await house.until(lambda: len(house.cache.svids) == 10)
        curves = [
            one.key.key_size for one in house.cache.svids.values() if isinstance(one.key, EllipticCurvePrivateKey)
        ]
        assert sorted(curves) == [256] * 4 + [384] * 6
        asked = sum(map(len, house.server.batches))
    assert asked == 16


async def test_an_entry_without_prefetch_is_signed_when_somebody_asks(house: House, entry: MakeEntry) -> None:
    lazy = entry(1, disable_x509_svid_prefetch=True)
    house.apply(lazy)
    async with house.running():
        await asyncio.sleep(0)
        assert house.server.batches == []
        with house.cache.subscribe(lazy.selectors):
            await house.until(lambda: bool(house.cache.svids))


async def test_whoever_asks_again_for_an_entry_without_prefetch_finds_no_svid_that_has_expired(
    house: House, entry: MakeEntry
) -> None:
    lazy = entry(1, disable_x509_svid_prefetch=True)
    house.apply(lazy)
    async with house.running():
        with house.cache.subscribe(lazy.selectors):
            await house.until(lambda: bool(house.cache.svids))
        await house.clock.wait_sleepers()
        await house.clock.run(2 * 3600, step=20)
    (svid,) = house.cache.svids.values()
    assert svid.not_after > house.clock.now().timestamp()


async def test_an_entry_that_goes_while_it_is_signed_leaves_nothing(house: House, entry: MakeEntry) -> None:
    house.server.gate.clear()
    house.apply(entry(1))
    async with house.running():
        await house.server.signed.wait()
        house.apply(removed=("entry-0001",))
        house.server.gate.set()
        await asyncio.sleep(0)
        house.apply(entry(2))
        await house.until(lambda: "entry-0002" in house.cache.svids)
    assert list(house.cache.svids) == ["entry-0002"]


async def test_each_id_is_named_in_the_log(house: House, entry: MakeEntry, capsys: pytest.CaptureFixture[str]) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        house.apply(entry(1, dns_names=("name",)))
        await house.until(lambda: len(house.server.batches) == 2)
    out = capsys.readouterr().out
    for message in ("Creating X509-SVID", "Renewing X509-SVID"):
        (line,) = [one for one in out.splitlines() if message in one]
        assert "spiffe://example.org/workload/1" in line


@pytest.mark.parametrize("how", ["gone", "tainted"])
async def test_svids_of_an_authority_that_has_left_the_bundle_or_is_tainted_are_signed_anew(
    how: str, house: House, entry: MakeEntry, authority: Authority
) -> None:
    house.apply(entry(1), entry(2))
    house.cache.apply(Update(bundles=[authority.bundle]))
    async with house.running():
        await house.until(lambda: len(house.cache.svids) == 2)
        before = dict(house.cache.svids)
        await house.clock.wait_sleepers()
        other = Authority()
        both = replace(
            authority.bundle, x509_authorities=authority.bundle.x509_authorities + other.bundle.x509_authorities
        )
        house.server.authority = other
        house.cache.apply(Update(bundles=[both]))
        house.apply(entry(3))
        await house.until(lambda: len(house.cache.svids) == 3)
        assert {one: house.cache.svids[one] for one in before} == before
        tainted = replace(authority.bundle.x509_authorities[0], tainted=True)
        left = () if how == "gone" else (tainted,)
        now = replace(other.bundle, x509_authorities=left + other.bundle.x509_authorities)
        house.cache.apply(Update(bundles=[now]))
        house.signer.changed()
        await house.until(lambda: all(house.cache.svids[one] is not svid for one, svid in before.items()))
    assert house.server.batches == [["entry-0001", "entry-0002"], ["entry-0003"], ["entry-0001", "entry-0002"]]


async def test_an_svid_that_is_past_its_middle_when_it_comes_is_not_renewed_without_pause(
    house: House, entry: MakeEntry
) -> None:
    house.server.lifetime = 0
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        await house.clock.wait_sleepers()
        await house.clock.run(15, step=0.25)
    assert len(house.server.batches) == 4


async def test_a_clock_that_jumps_forward_has_svids_renewed_within_a_minute(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        await house.clock.wait_sleepers()
        house.clock.jump(0.6 * 3600)
        await house.clock.run(60)
    assert len(house.server.batches) == 2


async def test_a_clock_that_jumps_back_costs_no_renewal_and_loses_none(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        await house.clock.wait_sleepers()
        house.clock.jump(-3600)
        await house.clock.run(3600 + 0.44 * 3600, step=20)
        assert len(house.server.batches) == 1
        await house.clock.run(0.14 * 3600, step=20)
    assert len(house.server.batches) == 2


async def test_a_clock_that_was_ahead_and_is_set_right_leaves_no_svid_to_expire(house: House, entry: MakeEntry) -> None:
    house.apply(entry(1))
    async with house.running():
        await house.until(lambda: bool(house.cache.svids))
        await house.clock.wait_sleepers()
        house.clock.jump(24 * 3600)
        house.server.behind = 24 * 3600
        await house.clock.run(65)
        assert len(house.server.batches) >= 2
        house.clock.jump(-24 * 3600)
        house.server.behind = 0
        seen = len(house.server.batches)
        await house.clock.run(0.58 * 3600, step=20)
    assert len(house.server.batches) == seen + 1


async def test_a_clock_that_is_set_back_does_not_put_off_a_refused_entry(house: House, entry: MakeEntry) -> None:
    house.server.refused = {"entry-0001": NotFoundError("not yet")}
    house.apply(entry(1))
    async with house.running():
        await house.clock.wait_sleepers()
        house.server.refused = {}
        house.clock.jump(-24 * 3600)
        await house.clock.run(10)
        assert house.cache.svids
