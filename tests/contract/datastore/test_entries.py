"""What every store does with registration entries."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import EntryFilter, Match, Page, SelectorFilter, Store, Transaction, TrustDomainFilter

ALL = EntryFilter()
EVERY = Page()
A_ORG, B_ORG = TrustDomain("a.org"), TrustDomain("b.org")
OTHER = SpiffeId.parse("spiffe://example.org/other")


def full_entry() -> Entry:
    return Entry(
        id="full",
        spiffe_id=SpiffeId.parse("spiffe://example.org/web"),
        parent_id=SpiffeId.parse("spiffe://example.org/spire/agent/x509pop/1"),
        selectors=(Selector("k8s", "ns:a"), Selector("unix", "uid:1"), Selector("unix", "uid:10")),
        x509_svid_ttl=60,
        jwt_svid_ttl=30,
        federates_with=(B_ORG, A_ORG),
        dns_names=("web.example.org", "api.example.org"),
        hint="external",
        admin=True,
        downstream=False,
        store_svid=True,
        disable_x509_svid_prefetch=False,
        jwt_svid_include_jti=True,
        expires_at=2_000_000_000,
        revision=7,
        created_at=1_700_000_000,
    )


def _nothing(_: Transaction) -> None:
    return


def _value(_: Transaction) -> str:
    return "value"


async def create(store: Store, *entries: Entry) -> None:
    def work(tx: Transaction) -> None:
        for trust_domain in {name for entry in entries for name in entry.federates_with}:
            tx.bundles.put(Bundle(trust_domain))
        for entry in entries:
            tx.entries.create(entry)

    await store.write(work)


async def listed(store: Store, where: EntryFilter = ALL) -> list[str]:
    entries, token = await store.read(lambda tx: tx.entries.find(where, EVERY))
    assert not token
    assert await store.read(lambda tx: tx.entries.count(where)) == len(entries)
    return [entry.id for entry in entries]


def _find(tx: Transaction, where: EntryFilter, page: Page) -> tuple[list[Entry], str]:
    return tx.entries.find(where, page)


class TestOneEntry:
    async def test_comes_back_as_it_was_written(self, store: Store) -> None:
        await create(store, full_entry())
        assert await store.read(lambda tx: tx.entries.get("full")) == full_entry()

    @pytest.mark.parametrize(
        "flag", ["admin", "downstream", "store_svid", "disable_x509_svid_prefetch", "jwt_svid_include_jti"]
    )
    async def test_keeps_each_flag_apart(self, store: Store, make_entry: Callable[..., Entry], flag: str) -> None:
        entry = make_entry("flagged", **{flag: True})
        await create(store, entry)
        assert await store.read(lambda tx: tx.entries.get("flagged")) == entry

    async def test_keeps_text_that_looks_like_sql_or_is_not_ascii(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        selectors = (Selector("a'b", 'x"y; --'), Selector("unix", "ein\x00s"), Selector("ünïx", "값:%_?:v0"))
        entry = make_entry("odd", selectors=selectors, hint="'); DROP TABLE entries; --")
        await create(store, entry)
        assert await store.read(lambda tx: tx.entries.get("odd")) == entry
        assert await store.read(lambda tx: tx.entries.find_same(entry.spiffe_id, entry.parent_id, selectors)) == entry

    async def test_keeps_large_numbers(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        entry = make_entry("late", expires_at=2**62, revision=2**62, x509_svid_ttl=2**31 - 1)
        await create(store, entry)
        assert await store.read(lambda tx: tx.entries.get("late")) == entry

    async def test_is_none_when_unknown(self, store: Store) -> None:
        assert await store.read(lambda tx: tx.entries.get("none")) is None

    async def test_is_refused_when_its_id_exists(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await create(store, make_entry("a"))
        with pytest.raises(AlreadyExistsError, match="entry a already exists"):
            await create(store, make_entry("a", hint="second"))
        kept = await store.read(lambda tx: tx.entries.get("a"))
        assert kept is not None
        assert not kept.hint

    async def test_is_refused_when_it_federates_with_an_unknown_trust_domain(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        await store.write(lambda tx: tx.bundles.put(Bundle(A_ORG)))
        entry = make_entry("a", federates_with=(A_ORG, B_ORG))
        with pytest.raises(FailedPreconditionError, match=r'unable to find federated bundle "b\.org"'):
            await store.write(lambda tx: tx.entries.create(entry))
        assert await listed(store) == []


class TestUpdate:
    async def test_replaces_everything_and_keeps_the_place(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        await create(store, make_entry("full"), replace(full_entry(), id="next"))
        await store.write(lambda tx: tx.entries.update(full_entry()))
        assert await store.read(lambda tx: tx.entries.get("full")) == full_entry()
        assert await listed(store) == ["full", "next"]

    async def test_clears_what_the_new_one_lacks(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await create(store, full_entry())
        await store.write(lambda tx: tx.entries.update(make_entry("full")))
        assert await store.read(lambda tx: tx.entries.get("full")) == make_entry("full")

    async def test_of_an_unknown_entry_is_refused(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        with pytest.raises(NotFoundError):
            await store.write(lambda tx: tx.entries.update(make_entry("none")))

    async def test_moves_what_counts_as_the_same(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        before, after = make_entry("a"), make_entry("a", spiffe_id=OTHER)
        await create(store, before)
        await store.write(lambda tx: tx.entries.update(after))
        assert await store.read(lambda tx: tx.entries.find_same(OTHER, after.parent_id, after.selectors)) == after
        assert (
            await store.read(lambda tx: tx.entries.find_same(before.spiffe_id, before.parent_id, before.selectors))
            is None
        )


class TestDelete:
    async def test_says_whether_there_was_one(self, store: Store) -> None:
        await create(store, full_entry())
        assert await store.write(lambda tx: tx.entries.delete("full"))
        assert not await store.write(lambda tx: tx.entries.delete("full"))
        assert await listed(store) == []

    async def test_leaves_nothing_for_a_successor_of_the_same_id(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        await create(store, full_entry())
        await store.write(lambda tx: tx.entries.delete("full"))
        await create(store, make_entry("full"))
        assert await store.read(lambda tx: tx.entries.get("full")) == make_entry("full")


class TestFindSame:
    SELECTORS = (Selector("unix", "gid:1"), Selector("unix", "uid:1"))

    @pytest.fixture
    def entry(self, make_entry: Callable[..., Entry]) -> Entry:
        return make_entry("a", selectors=self.SELECTORS)

    async def test_compares_selectors_as_a_set(self, store: Store, entry: Entry) -> None:
        await create(store, entry)
        shuffled = (*reversed(self.SELECTORS), self.SELECTORS[0])
        assert await store.read(lambda tx: tx.entries.find_same(entry.spiffe_id, entry.parent_id, shuffled)) == entry

    async def test_finds_neither_fewer_nor_more_selectors(self, store: Store, entry: Entry) -> None:
        await create(store, entry)
        for selectors in (self.SELECTORS[:1], (*self.SELECTORS, Selector("unix", "uid:2"))):
            assert (
                await store.read(lambda tx: tx.entries.find_same(entry.spiffe_id, entry.parent_id, selectors))  # noqa: B023 - awaited here
                is None
            )

    async def test_wants_both_ids(self, store: Store, entry: Entry) -> None:
        await create(store, entry)
        assert await store.read(lambda tx: tx.entries.find_same(OTHER, entry.parent_id, self.SELECTORS)) is None
        assert await store.read(lambda tx: tx.entries.find_same(entry.spiffe_id, OTHER, self.SELECTORS)) is None

    async def test_is_not_fooled_by_where_type_and_value_part(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        await create(store, make_entry("a", selectors=(Selector("unix", "uid:1"),)))
        assert (
            await store.read(
                lambda tx: tx.entries.find_same(
                    make_entry("a").spiffe_id, make_entry("a").parent_id, [Selector("unixuid", "1")]
                )
            )
            is None
        )

    async def test_sees_what_the_same_function_wrote(self, store: Store, entry: Entry) -> None:
        def work(tx: Transaction) -> Entry | None:
            tx.entries.create(entry)
            return tx.entries.find_same(entry.spiffe_id, entry.parent_id, entry.selectors)

        assert await store.write(work) == entry


class TestLookups:
    async def test_get_many_gives_those_there_are_in_order_of_creation(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        await create(store, *[make_entry(f"e{n}") for n in range(600)])
        wanted = [f"e{n}" for n in reversed(range(700))]
        found = await store.read(lambda tx: tx.entries.get_many([*wanted, "e5"]))
        assert [entry.id for entry in found] == [f"e{n}" for n in range(600)]
        assert await store.read(lambda tx: tx.entries.get_many([])) == []

    async def test_by_parents_takes_any_number_of_parents(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        parents = [SpiffeId(TrustDomain("example.org"), f"/p{n}") for n in range(300)]
        await create(store, *[make_entry(f"e{n}", parent_id=parent) for n, parent in enumerate(parents)])
        found = await store.read(lambda tx: tx.entries.by_parents(parents[:290]))
        assert [entry.id for entry in found] == [f"e{n}" for n in range(290)]
        assert await store.read(lambda tx: tx.entries.by_parents([OTHER])) == []
        assert await store.read(lambda tx: tx.entries.by_parents([])) == []

    async def test_by_spiffe_id_gives_all_with_that_id(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await create(store, make_entry("a", spiffe_id=OTHER), make_entry("b"), make_entry("c", spiffe_id=OTHER))
        found = await store.read(lambda tx: tx.entries.by_spiffe_id(OTHER))
        assert [entry.id for entry in found] == ["a", "c"]

    async def test_expired_leaves_out_what_never_expires(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await create(store, *[make_entry(f"at{at}", expires_at=at) for at in (0, 99, 100, 101)])
        assert await store.read(lambda tx: tx.entries.expired(100)) == ["at99", "at100"]


class TestPaging:
    @pytest.fixture(autouse=True)
    async def ten(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        # IDs fall as positions rise, so that order of creation is not order of name.
        await create(store, *[make_entry(f"e{9 - n}", hint="odd" if n % 2 else "even") for n in range(10)])

    async def pages(self, store: Store, size: int, where: EntryFilter = ALL) -> list[list[str]]:
        pages: list[list[str]] = []
        token = ""
        while not pages or token:
            page = Page(size, token)
            found, token = await store.read(partial(_find, where=where, page=page))
            pages.append([entry.id for entry in found])
        # As SPIRE's, the last page is empty: until then something may be added.
        assert pages.pop() == []
        return pages

    async def test_goes_in_order_of_creation(self, store: Store) -> None:
        assert await self.pages(store, 4) == [["e9", "e8", "e7", "e6"], ["e5", "e4", "e3", "e2"], ["e1", "e0"]]

    async def test_ends_with_a_full_page_when_it_comes_out_even(self, store: Store) -> None:
        assert [len(page) for page in await self.pages(store, 5)] == [5, 5]

    async def test_counts_only_what_the_filter_lets_through(self, store: Store) -> None:
        assert await self.pages(store, 3, EntryFilter(hint="odd")) == [["e8", "e6", "e4"], ["e2", "e0"]]

    async def test_goes_on_after_the_entry_it_stopped_at_is_deleted(self, store: Store) -> None:
        _, token = await store.read(lambda tx: tx.entries.find(ALL, Page(3)))
        await store.write(lambda tx: tx.entries.delete("e7"))
        found, _ = await store.read(lambda tx: tx.entries.find(ALL, Page(1, token)))
        assert [entry.id for entry in found] == ["e6"]

    async def test_misses_none_that_is_created_after_the_last_was_deleted(
        self, store: Store, make_entry: Callable[..., Entry]
    ) -> None:
        _, token = await store.read(lambda tx: tx.entries.find(ALL, Page(9)))
        await store.write(lambda tx: (tx.entries.delete("e1"), tx.entries.delete("e0")))
        await create(store, make_entry("new"))
        found, _ = await store.read(lambda tx: tx.entries.find(ALL, Page(9, token)))
        assert [entry.id for entry in found] == ["new"]

    @pytest.mark.parametrize("token", ["x", "-1", "1.5", "٣", " 1", "e9"])
    async def test_refuses_a_token_that_is_none(self, store: Store, token: str) -> None:
        with pytest.raises(InvalidArgumentError, match="could not parse token"):
            await store.read(lambda tx: tx.entries.find(ALL, Page(1, token)))

    @pytest.mark.parametrize("token", ["999999", "9" * 19, "9" * 5000])
    async def test_finds_nothing_beyond_the_end(self, store: Store, token: str) -> None:
        assert await store.read(lambda tx: tx.entries.find(ALL, Page(1, token))) == ([], "")


class TestFilters:
    @pytest.fixture(autouse=True)
    async def some(self, store: Store, make_entry: Callable[..., Entry]) -> None:
        await create(
            store,
            make_entry("plain"),
            make_entry("hinted", hint="h", spiffe_id=OTHER),
            make_entry("down", downstream=True, parent_id=OTHER),
            make_entry("fed", federates_with=(A_ORG, B_ORG), selectors=(Selector("unix", "uid:2"),)),
        )

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            (EntryFilter(), ["plain", "hinted", "down", "fed"]),
            (EntryFilter(spiffe_id=OTHER), ["hinted"]),
            (EntryFilter(parent_id=OTHER), ["down"]),
            (EntryFilter(hint="h"), ["hinted"]),
            (EntryFilter(hint=""), ["plain", "down", "fed"]),
            (EntryFilter(downstream=True), ["down"]),
            (EntryFilter(downstream=False), ["plain", "hinted", "fed"]),
            (EntryFilter(spiffe_id=OTHER, parent_id=OTHER), []),
            (EntryFilter(selectors=SelectorFilter((Selector("unix", "uid:2"),), Match.EXACT)), ["fed"]),
            (EntryFilter(federates_with=TrustDomainFilter((A_ORG,), Match.ANY)), ["fed"]),
        ],
    )
    async def test_let_through(self, store: Store, where: EntryFilter, expected: list[str]) -> None:
        assert await listed(store, where) == expected

    @pytest.mark.parametrize("match", list(Match))
    async def test_refuse_an_empty_list(self, store: Store, match: Match) -> None:
        with pytest.raises(InvalidArgumentError, match="cannot list by empty selectors set"):
            await listed(store, EntryFilter(selectors=SelectorFilter((), match)))
        with pytest.raises(InvalidArgumentError, match="cannot list by empty trust domains set"):
            await listed(store, EntryFilter(federates_with=TrustDomainFilter((), match)))

    @pytest.mark.parametrize("match", list(Match))
    async def test_take_long_lists(self, store: Store, match: Match) -> None:
        many = tuple(Selector("unix", f"uid:{n}") for n in range(2, 10_002))
        expected = {Match.ANY: ["fed"], Match.SUBSET: ["fed"]}.get(match, [])
        assert await listed(store, EntryFilter(selectors=SelectorFilter(many, match))) == expected

    async def test_refuse_a_list_without_measure(self, store: Store) -> None:
        many = tuple(Selector("unix", f"uid:{n}") for n in range(10_001))
        with pytest.raises(InvalidArgumentError, match="more than 10000 selectors"):
            await listed(store, EntryFilter(selectors=SelectorFilter(many, Match.ANY)))
