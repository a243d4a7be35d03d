"""The keeper with a real cache, the disk store, and a store that fails as told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from assay.entry import Entry
from assay.errors import InvalidArgumentError, UnavailableError
from assay.plugin.svidstore import StoredSvid, SvidStore
from assay.selector import Selector
from assay.supervisor import Supervisor
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.wait import until
from assay_agent.cache import Cache, Update
from assay_agent.plugins.svidstore_disk import DiskStore
from assay_agent.svidstore.journal import Journal
from assay_agent.svidstore.keeper import RETRY, Keeper


@dataclass
class Shelf:
    """A store in memory. `failures` are raised first, one for each call."""

    kept: dict[tuple[str, ...], StoredSvid] = field(default_factory=dict[tuple[str, ...], StoredSvid])
    failures: list[Exception] = field(default_factory=list[Exception])
    calls: list[str] = field(default_factory=list[str])

    async def put(self, target: Sequence[str], svid: StoredSvid) -> None:
        self.calls.append(f"put {' '.join(target)}")
        if self.failures:
            raise self.failures.pop(0)
        self.kept[tuple(target)] = svid

    async def delete(self, target: Sequence[str]) -> None:
        self.calls.append(f"delete {' '.join(target)}")
        if self.failures:
            raise self.failures.pop(0)
        self.kept.pop(tuple(target), None)


class House:
    """An agent's cache and its keeper, which can be made anew as after a restart."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority("example.org")
        self.folder = folder
        self.clock = FakeClock()
        self.shelf = Shelf()
        self.restart()
        self.sync()

    def restart(self) -> None:
        self.cache = Cache(self.authority.trust_domain)
        stores: dict[str, SvidStore] = {"disk": DiskStore(self.folder / "svids"), "shelf": self.shelf}
        journal = Journal(self.folder / "journal.json")
        self.keeper = Keeper(self.cache, stores, journal, self.clock, self.authority.trust_domain)

    def sync(self, *entries: Entry) -> None:
        self.cache.apply(Update(snapshot=True, entries=entries, bundles=[self.authority.bundle]))

    def entry(self, entry_id: str, *selectors: str, **fields: Any) -> Entry:  # noqa: ANN401 - fields of Entry
        return Entry(
            id=entry_id,
            spiffe_id=self.authority.id(f"/{entry_id}"),
            parent_id=self.authority.id("/agent"),
            selectors=tuple(map(Selector.parse, selectors)),
            **{"store_svid": True, **fields},
        )

    def register(self, entry_id: str, *selectors: str, **fields: Any) -> X509Svid:  # noqa: ANN401 - as above
        self.cache.apply(Update(entries=[self.entry(entry_id, *selectors, **fields)]))
        return self.sign(entry_id)

    def sign(self, entry_id: str) -> X509Svid:
        svid = self.authority.x509_svid(f"/{entry_id}")
        self.cache.set_svid(entry_id, svid)
        return svid

    def remove(self, *entry_ids: str) -> None:
        self.cache.apply(Update(removed=entry_ids))

    @property
    def shelved(self) -> dict[str, str]:
        return {" ".join(target): svid.spiffe_id.path for target, svid in self.shelf.kept.items()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_an_svid_is_put_when_it_is_issued_and_taken_out_when_its_entry_goes(house: House) -> None:
    svid = house.register("a", "shelf:x")
    assert not await house.keeper.settle()
    stored = house.shelf.kept["x",]
    assert (stored.spiffe_id, stored.chain, stored.key) == (svid.spiffe_id, svid.chain, svid.key_pkcs8)
    assert stored.bundle == (house.authority.root.der,)
    house.remove("a")
    assert not await house.keeper.settle()
    assert house.shelved == {}
    assert house.shelf.calls == ["put x", "delete x"]


async def test_nothing_is_put_twice_and_each_renewal_once(house: House) -> None:
    house.register("a", "shelf:x")
    await house.keeper.settle()
    await house.keeper.settle()
    assert house.shelf.calls == ["put x"]
    renewed = house.sign("a")
    await house.keeper.settle()
    await house.keeper.settle()
    assert house.shelf.calls == ["put x", "put x"]
    assert house.shelf.kept["x",].chain == renewed.chain


async def test_a_change_of_bundles_is_put_too(house: House) -> None:
    other = Authority("other.test")
    house.register("a", "shelf:x", federates_with=(other.trust_domain,))
    await house.keeper.settle()
    assert house.shelf.kept["x",].federated == {}
    house.cache.apply(Update(bundles=[other.bundle]))
    await house.keeper.settle()
    assert house.shelf.kept["x",].federated == {other.trust_domain: (other.root.der,)}


async def test_only_what_goes_to_a_store_that_is_there_is_signed(house: House) -> None:
    house.cache.apply(Update(entries=[house.entry("a", "shelf:x"), house.entry("b", "vault:x")]))
    with capture_logs() as lines:
        await house.keeper.settle()
        await house.keeper.settle()
    assert set(house.cache.wanted) == {"a"}
    assert [line["error"] for line in lines] == ['no SVIDStore plugin "vault" is configured'], "said once"
    house.remove("a")
    await house.keeper.settle()
    assert not house.cache.wanted


async def test_other_entries_are_none_of_its_business(house: House) -> None:
    house.register("a", "shelf:x", store_svid=False)
    await house.keeper.settle()
    assert house.shelf.calls == []


async def test_an_entry_that_goes_elsewhere_leaves_nothing_behind(house: House) -> None:
    house.register("a", "shelf:x")
    await house.keeper.settle()
    house.cache.apply(Update(entries=[house.entry("a", "shelf:y")]))
    await house.keeper.settle()
    assert house.shelf.calls == ["put x", "delete x", "put y"]
    house.cache.apply(Update(entries=[house.entry("a", "shelf:y", store_svid=False)]))
    await house.keeper.settle()
    assert house.shelved == {}


async def test_two_entries_that_change_places_both_end_where_they_belong(house: House) -> None:
    house.register("a", "shelf:x")
    house.register("b", "shelf:y")
    await house.keeper.settle()
    house.cache.apply(Update(entries=[house.entry("a", "shelf:y"), house.entry("b", "shelf:x")]))
    await house.keeper.settle()
    assert house.shelved == {"y": "/a", "x": "/b"}
    house.remove("a")
    await house.keeper.settle()
    assert house.shelved == {"x": "/b"}


async def test_a_place_goes_to_one_entry_and_then_to_the_next(house: House) -> None:
    house.register("a", "shelf:x")
    house.register("b", "shelf:x")
    await house.keeper.settle()
    assert house.shelved == {"x": "/a"}
    house.remove("a")
    await house.keeper.settle()
    assert house.shelved == {"x": "/b"}
    assert not await house.keeper.settle()


async def test_what_an_earlier_run_stored_goes_once_it_is_known_that_its_entry_has_gone(house: House) -> None:
    house.register("a", "shelf:x")
    house.register("b", "shelf:y")
    await house.keeper.settle()
    house.restart()
    await house.keeper.settle()
    assert house.shelved == {"x": "/a", "y": "/b"}, "the server has not said anything yet"
    house.sync(house.entry("b", "shelf:y"))
    await house.keeper.settle()
    assert house.shelved == {"y": "/b"}


async def test_what_fails_is_tried_again_and_the_others_go_on(house: House) -> None:
    house.register("a", "shelf:x")
    house.register("b", "shelf:y")
    house.shelf.failures = [UnavailableError("not now")]
    assert await house.keeper.settle()
    assert house.shelved == {"y": "/b"}
    assert not await house.keeper.settle()
    assert house.shelved == {"x": "/a", "y": "/b"}
    house.remove("a")
    house.shelf.failures = [RuntimeError("a plugin's own fault")]
    assert await house.keeper.settle()
    assert not await house.keeper.settle()
    assert house.shelved == {"y": "/b"}


async def test_what_makes_no_sense_is_tried_once_for_each_svid(house: House) -> None:
    house.register("a", "shelf:x")
    house.shelf.failures = [InvalidArgumentError("no")]
    assert not await house.keeper.settle()
    assert not await house.keeper.settle()
    assert house.shelf.calls == ["put x"]
    house.sign("a")
    await house.keeper.settle()
    assert house.shelf.calls == ["put x", "put x"]


async def test_a_journal_that_cannot_be_written_stores_nothing(house: House, tmp_path: Path) -> None:
    house.register("a", "shelf:x")
    (tmp_path / "journal.json.tmp").mkdir()
    assert await house.keeper.settle()
    assert house.shelf.calls == []
    (tmp_path / "journal.json.tmp").rmdir()
    assert not await house.keeper.settle()
    assert house.shelved == {"x": "/a"}


async def test_it_runs_by_itself_and_waits_a_while_before_it_tries_again(house: House) -> None:
    async with Supervisor(grace=1.0) as supervisor:
        supervisor.start("keeper", house.keeper.run)
        house.register("a", "shelf:x")
        await until(lambda: house.shelved == {"x": "/a"})
        house.shelf.failures = [UnavailableError("not now")]
        house.remove("a")
        await house.clock.wait_sleepers()
        assert house.shelved == {"x": "/a"}
        house.clock.advance(RETRY)
        await until(lambda: house.shelved == {})


async def test_the_disk_store_has_a_pair_that_fits(house: House, tmp_path: Path) -> None:
    svid = house.register("a", "disk:name:web")
    await house.keeper.settle()
    folder = tmp_path / "svids" / "web"
    assert (folder / "svid.pem").read_bytes() == svid.chain_pem()
    assert (folder / "svid.key").read_bytes() == svid.key_pem()
    house.remove("a")
    await house.keeper.settle()
    assert not any((tmp_path / "svids").iterdir())
