import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_server.authorization.index import IDLE_SECONDS, SWEEP_SECONDS, AuthorizedEntries
from assay_server.authorization.view import LOG_LENGTH, MAX_PENDING, AgentView, Position, ViewUpdate
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.model import Node
from assay_server.model.governed.owner import OWNER, Owner

TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
OTHER = SpiffeId.parse("spiffe://example.org/spire/agent/two")
SERVER = SpiffeId.parse("spiffe://example.org/spire/server")
LINUX = Selector("os", "linux")
NORTH = Selector("zone", "north")


def entry(entry_id: str, path: str, parent: SpiffeId | str = AGENT, **fields: object) -> Entry:
    parent_id = SpiffeId(TD, parent) if isinstance(parent, str) else parent
    made = Entry(entry_id, SpiffeId(TD, path), parent_id, (Selector("unix", "uid:1"),))
    return replace(made, **fields)  # type: ignore[arg-type]


def node(agent_id: SpiffeId, *selectors: Selector) -> Node:
    return Node(agent_id, "join_token", serial="1", expires_at=10**10, selectors=tuple(sorted(selectors)))


def alias(entry_id: str, path: str, *selectors: Selector) -> Entry:
    return entry(entry_id, path, SERVER, selectors=tuple(sorted(selectors)))


class House:
    """A store, the index on it and short ways to write."""

    def __init__(self, store: SqlStore, index: AuthorizedEntries, clock: FakeClock) -> None:
        self.store = store
        self.index = index
        self.clock = clock

    async def write(self, *works: Callable[[Transaction], object]) -> None:
        await self.store.write(lambda tx: [work(tx) for work in works])

    async def create(self, *entries: Entry) -> None:
        await self.write(*(lambda tx, each=each: tx.entries.create(each) for each in entries))

    async def update(self, *entries: Entry) -> None:
        await self.write(*(lambda tx, each=each: tx.entries.update(each) for each in entries))

    async def delete(self, *entry_ids: str) -> None:
        await self.write(*(lambda tx, each=each: tx.entries.delete(each) for each in entry_ids))

    async def ids(self, agent_id: SpiffeId = AGENT) -> set[str]:
        return set((await self.index.view(agent_id)).entries)


@asynccontextmanager
async def opened(folder: Path, *, keep_changes: int = 100_000) -> AsyncIterator[House]:
    clock = FakeClock()
    store = await open_store(folder / "data.sqlite3", clock=clock, keep_changes=keep_changes)
    try:
        yield House(store, AuthorizedEntries(store, TD, clock), clock)
    finally:
        await store.close()


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(house.index.run())
        try:
            yield house
        finally:
            task.cancel()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as made, running(made):
        yield made


class Copy:
    """What a follower holds that applies every update."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.bundle: Bundle | None = None
        self.federated: dict[TrustDomain, Bundle] = {}
        self.position = Position("", -1)

    def apply(self, update: ViewUpdate) -> None:
        if update.snapshot:
            self.entries.clear()
            self.federated.clear()
        self.entries.update({each.id: each for each in update.entries})
        for entry_id in update.removed:
            self.entries.pop(entry_id, None)
        self.bundle = update.bundle or self.bundle
        self.federated.update({each.trust_domain: each for each in update.federated})
        for name in update.removed_federated:
            self.federated.pop(name, None)
        self.position = update.position


async def test_entries_below_the_agent_and_below_those_are_authorized(house: House) -> None:
    await house.create(
        entry("a", "/web"), entry("b", "/web/sub", "/web"), entry("c", "/deep", "/web/sub"), entry("d", "/x", OTHER)
    )
    assert await house.ids() == {"a", "b", "c"}
    assert await house.ids(OTHER) == {"d"}


async def test_a_write_acknowledged_before_the_question_is_in_the_answer(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:  # nothing runs beside: the answer itself has to catch up
        await house.index.view(AGENT)
        for number in range(20):
            await house.create(entry(f"e{number}", f"/w{number}"))
            assert await house.index.authorized(AGENT, f"e{number}") is not None
            await house.delete(f"e{number}")
            assert await house.index.authorized(AGENT, f"e{number}") is None


async def test_an_entry_of_another_agent_is_not_authorized_though_it_is_held(house: House) -> None:
    await house.create(entry("mine", "/a"), entry("theirs", "/b", OTHER))
    await house.index.view(OTHER)
    assert await house.index.authorized(AGENT, "theirs") is None
    assert await house.index.authorized(AGENT, "none") is None
    assert await house.index.authorized(AGENT, "mine") is not None


async def test_an_alias_gives_its_entries_to_nodes_that_have_all_its_selectors(house: House) -> None:
    await house.create(
        alias("al", "/cluster", LINUX, NORTH), entry("w", "/web", "/cluster"), alias("al2", "/all", LINUX)
    )
    await house.create(entry("v", "/db", "/all"))
    await house.write(
        lambda tx: tx.nodes.put(node(AGENT, LINUX, NORTH, Selector("more", "1"))),
        lambda tx: tx.nodes.put(node(OTHER, LINUX)),
    )
    assert await house.ids() == {"w", "v"}  # the alias entries themselves are not handed out
    assert await house.ids(OTHER) == {"v"}


async def test_node_selectors_that_change_change_what_the_node_gets(house: House) -> None:
    await house.create(alias("al", "/cluster", LINUX), entry("w", "/web", "/cluster"))
    assert await house.ids() == set()
    await house.write(lambda tx: tx.nodes.put(node(AGENT, LINUX)))
    assert await house.ids() == {"w"}
    await house.write(lambda tx: tx.nodes.put(node(AGENT, NORTH)))
    assert await house.ids() == set()
    await house.write(lambda tx: tx.nodes.put(node(AGENT, LINUX)))
    await house.write(lambda tx: tx.nodes.delete(AGENT))
    assert await house.ids() == set()


async def test_an_alias_that_changes_moves_what_is_below_it(house: House) -> None:
    await house.write(lambda tx: tx.nodes.put(node(AGENT, LINUX)))
    await house.index.view(AGENT)
    await house.create(entry("w", "/web", "/cluster"), entry("v", "/db", "/other"))
    assert await house.ids() == set()
    await house.create(alias("al", "/cluster", LINUX))
    assert await house.ids() == {"w"}
    await house.update(alias("al", "/other", LINUX))
    assert await house.ids() == {"v"}
    await house.update(alias("al", "/other", NORTH))
    assert await house.ids() == set()
    await house.update(alias("al", "/cluster", LINUX))
    await house.delete("al")
    assert await house.ids() == set()


async def test_entries_in_a_ring_end_when_nothing_leads_there(house: House) -> None:
    await house.create(entry("a", "/a"), entry("b", "/b", "/a"), entry("c", "/a", "/b"))
    assert await house.ids() == {"a", "b", "c"}
    await house.delete("a")
    assert await house.ids() == set()


async def test_an_entry_stays_while_another_way_leads_to_it(house: House) -> None:
    await house.create(entry("a", "/p"), entry("b", "/p", selectors=(LINUX,)), entry("c", "/c", "/p"))
    await house.index.view(AGENT)
    await house.delete("a")
    assert await house.ids() == {"b", "c"}


async def test_views_share_their_entries(house: House) -> None:
    await house.create(alias("al", "/cluster", LINUX), entry("w", "/web", "/cluster"))
    await house.write(lambda tx: tx.nodes.put(node(AGENT, LINUX)), lambda tx: tx.nodes.put(node(OTHER, LINUX)))
    one, two = await house.index.view(AGENT), await house.index.view(OTHER)
    assert one.entries["w"] is two.entries["w"]


async def test_bundles_are_our_own_and_those_that_authorized_entries_name(house: House) -> None:
    north, south = TrustDomain("north.test"), TrustDomain("south.test")
    await house.write(*(lambda tx, td=td: tx.bundles.put(Bundle(td, sequence=1)) for td in (TD, north, south)))
    await house.create(entry("a", "/a", federates_with=(north,)), entry("b", "/b", OTHER, federates_with=(south,)))
    view = await house.index.view(AGENT)
    assert set(view.bundles) == {TD, north}
    await house.delete("a")
    assert set((await house.index.view(AGENT)).bundles) == {TD}
    assert set((await house.index.view(OTHER)).bundles) == {TD, south}


async def test_a_follower_without_position_gets_a_snapshot_and_then_what_changes(house: House) -> None:
    north = TrustDomain("north.test")
    await house.write(lambda tx: tx.bundles.put(Bundle(TD, sequence=1)), lambda tx: tx.bundles.put(Bundle(north)))
    await house.create(entry("a", "/a"))
    view = await house.index.view(AGENT)
    async with aclosing(view.follow()) as updates:
        first = await anext(updates)
        assert first.snapshot
        assert [each.id for each in first.entries] == ["a"]
        assert first.bundle == Bundle(TD, sequence=1)
        await house.create(entry("b", "/b", federates_with=(north,)))
        second = await anext(updates)
        assert (second.snapshot, [e.id for e in second.entries], second.bundle) == (False, ["b"], None)
        assert second.federated == (Bundle(north),)
        await house.delete("b")
        third = await anext(updates)
        assert (third.removed, third.removed_federated) == (("b",), (north,))
        await house.write(lambda tx: tx.bundles.put(Bundle(TD, sequence=2)))
        assert (await anext(updates)).bundle == Bundle(TD, sequence=2)
        assert third.position.sequence < view.sequence
        assert third.position.incarnation == house.store.incarnation


async def test_changes_that_do_not_concern_an_agent_do_not_wake_it(house: House) -> None:
    await house.create(entry("a", "/a"))
    view = await house.index.view(AGENT)
    async with aclosing(view.follow()) as updates:
        await anext(updates)
        await house.create(entry("b", "/b", OTHER), entry("c", "/c", "/nowhere"))
        await house.write(lambda tx: tx.nodes.put(node(OTHER)))
        await house.create(entry("d", "/d"))
        assert [each.id for each in (await anext(updates)).entries] == ["d"]


async def test_changes_of_governed_objects_are_passed_over_and_those_beside_them_are_not(house: House) -> None:
    owner = Owner("person:alice@corp")
    view = await house.index.view(AGENT)
    await house.write(lambda tx: tx.governed.put(OWNER, owner), lambda tx: tx.entries.create(entry("a", "/a")))
    assert await house.ids() == {"a"}
    await house.write(lambda tx: tx.governed.put(OWNER, owner))
    await house.index.view(AGENT)
    position = view.position
    assert position.sequence == house.store.sequence
    await house.delete("a")
    assert await house.ids() == set()


async def test_a_slow_follower_gets_many_changes_as_one(house: House) -> None:
    view = await house.index.view(AGENT)
    async with aclosing(view.follow()) as updates:
        await anext(updates)
        await house.create(entry("gone", "/g"))
        for revision in range(10):
            await house.create(entry(f"e{revision}", f"/w{revision}"))
            await house.update(entry("e0", "/w0", revision=revision + 1))
        await house.delete("gone")
        await house.index.view(AGENT)  # now the index has seen it all
        update = await anext(updates)
        assert sorted(each.id for each in update.entries) == sorted(f"e{n}" for n in range(10))
        assert {each.id: each.revision for each in update.entries}["e0"] == 10
        assert update.removed == ("gone",)


async def test_a_follower_too_far_behind_gets_a_snapshot_instead_of_a_queue(house: House) -> None:
    view = await house.index.view(AGENT)
    async with aclosing(view.follow()) as updates:
        await anext(updates)
        await house.create(*(entry(f"e{n}", f"/w{n}") for n in range(MAX_PENDING + 1)))
        update = await anext(updates)
        assert update.snapshot
        assert len(update.entries) == MAX_PENDING + 1


async def test_the_node_row_alone_gives_an_empty_update(house: House) -> None:
    await house.write(lambda tx: tx.nodes.put(node(AGENT)))
    view = await house.index.view(AGENT)
    async with aclosing(view.follow()) as updates:
        await anext(updates)
        await house.write(lambda tx: tx.nodes.put(replace(node(AGENT), serial="")))
        update = await anext(updates)
        assert (update.entries, update.removed, update.bundle) == ((), (), None)
        assert view.node is not None
        assert view.node.banned


async def test_a_position_of_this_view_resumes_with_what_changed_since(house: House) -> None:
    await house.create(entry("a", "/a"), entry("b", "/b"))
    view = await house.index.view(AGENT)
    position = view.position
    await house.create(entry("c", "/c"))
    await house.delete("a")
    async with aclosing((await house.index.view(AGENT)).follow(position)) as updates:
        update = await anext(updates)
    assert (update.snapshot, [each.id for each in update.entries], update.removed) == (False, ["c"], ("a",))


async def test_a_follower_that_has_everything_is_told_so_at_once(house: House) -> None:
    await house.create(entry("a", "/a"))
    view = await house.index.view(AGENT)
    async with aclosing(view.follow(view.position)) as updates:
        update = await anext(updates)
    assert (update.snapshot, update.entries, update.position) == (False, (), view.position)


@pytest.mark.parametrize("case", ["another incarnation", "the future", "forgotten"])
async def test_a_position_that_says_nothing_gives_a_snapshot(house: House, case: str) -> None:
    await house.create(entry("a", "/a"))
    view = await house.index.view(AGENT)
    position = view.position
    if case == "another incarnation":
        position = Position("other", position.sequence)
    elif case == "the future":
        position = replace(position, sequence=position.sequence + 1)
    else:
        for number in range(LOG_LENGTH + 1):
            await house.update(entry("a", "/a", revision=number))
            await house.index.view(AGENT)
    async with aclosing(view.follow(position)) as updates:
        assert (await anext(updates)).snapshot


async def test_after_a_restart_a_position_resumes_when_no_entry_changed(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        await house.write(lambda tx: tx.bundles.put(Bundle(TD, sequence=1)))
        await house.create(entry("a", "/a"))
        position = (await house.index.view(AGENT)).position
        await house.write(lambda tx: tx.nodes.put(node(OTHER)), lambda tx: tx.bundles.put(Bundle(TD, sequence=2)))
    async with opened(tmp_path) as house:
        view = await house.index.view(AGENT)
        async with aclosing(view.follow(position)) as updates:
            update = await anext(updates)
        assert (update.snapshot, update.entries, update.bundle) == (False, (), Bundle(TD, sequence=2))


async def test_after_a_restart_a_position_before_an_entry_changed_gives_a_snapshot(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        await house.create(entry("a", "/a"))
        position = (await house.index.view(AGENT)).position
        await house.delete("a")
    async with opened(tmp_path) as house:
        view = await house.index.view(AGENT)
        async with aclosing(view.follow(position)) as updates:
            assert await anext(updates) == ViewUpdate(view.position, snapshot=True)


async def test_an_index_that_fell_behind_what_the_store_keeps_starts_anew(tmp_path: Path) -> None:
    async with opened(tmp_path, keep_changes=5) as house:
        await house.create(alias("al", "/cluster", LINUX), entry("w", "/web", "/cluster"), entry("a", "/a"))
        await house.write(lambda tx: tx.nodes.put(node(AGENT, LINUX)))
        view = await house.index.view(AGENT)
        async with aclosing(view.follow()) as updates:
            await anext(updates)
            await house.delete("a")
            for number in range(20):
                await house.create(entry(f"e{number}", f"/w{number}", OTHER))
            await house.create(entry("b", "/b"))
            assert await house.ids() == {"w", "b"}
            update = await anext(updates)
            assert update.snapshot
            assert {each.id for each in update.entries} == {"w", "b"}


async def test_a_view_nobody_uses_is_dropped_with_the_entries_it_alone_needed(house: House) -> None:
    await house.create(entry("a", "/a"), entry("b", "/b", "/a"), entry("c", "/c", OTHER))
    idle = await house.index.view(AGENT)
    followed = await house.index.view(OTHER)
    async with aclosing(followed.follow()) as updates:
        await anext(updates)
        await house.clock.wait_sleepers()
        await house.clock.run(IDLE_SECONDS + 2 * SWEEP_SECONDS, step=SWEEP_SECONDS)
        assert dict(idle.entries) == {}
        assert set(followed.entries) == {"c"}
        assert len(house.index._state.graph) == 1
        assert await house.ids() == {"a", "b"}  # and made anew when it is asked for


async def test_a_view_in_use_is_kept(house: House) -> None:
    view = await house.index.view(AGENT)
    await house.clock.wait_sleepers()
    for _ in range(10):
        await house.clock.run(SWEEP_SECONDS, step=SWEEP_SECONDS)
        assert await house.index.view(AGENT) is view


async def test_many_agents_that_come_at_once_are_all_answered(house: House) -> None:
    agents = [SpiffeId(TD, f"/spire/agent/a{number}") for number in range(50)]
    await house.create(*(entry(f"e{number}", "/w", agent) for number, agent in enumerate(agents)))
    views = await asyncio.gather(*(house.index.view(agent) for agent in agents))
    assert [set(view.entries) for view in views] == [{f"e{number}"} for number in range(50)]


async def test_a_question_that_is_cancelled_leaves_the_index_whole(house: House) -> None:
    await house.create(entry("a", "/a"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(house.index.view(AGENT), 0)
    assert await house.ids() == {"a"}
    assert await house.ids(OTHER) == set()


# The model: whatever is written, the index equals what a walk over the whole table finds.

ENTRIES = 6
PATHS = ["/a", "/b", "/c"]
PARENTS: list[SpiffeId] = [AGENT, OTHER, SERVER, SERVER, SERVER, *(SpiffeId(TD, path) for path in PATHS)]
SELECTORS = [LINUX, NORTH]
DOMAINS = [TrustDomain("north.test"), TrustDomain("south.test")]

selector_sets = st.sets(st.sampled_from(SELECTORS), min_size=1).map(lambda found: tuple(sorted(found)))
entries_made = st.builds(
    lambda number, path, parent, selectors, domains: Entry(
        f"e{number}", SpiffeId(TD, path), parent, selectors, federates_with=tuple(sorted(domains))
    ),
    st.integers(0, ENTRIES - 1),
    st.sampled_from(PATHS),
    st.sampled_from(PARENTS),
    selector_sets,
    st.sets(st.sampled_from(DOMAINS)),
)
nodes_made = st.builds(lambda agent, selectors: node(agent, *selectors), st.sampled_from([AGENT, OTHER]), selector_sets)
bundles_made = st.builds(
    lambda name, number: Bundle(name, sequence=number), st.sampled_from([TD, *DOMAINS]), st.integers(0, 9)
)


def put_entry(tx: Transaction, made: Entry) -> None:
    if tx.entries.get(made.id) is None:
        tx.entries.create(made)
    else:
        tx.entries.update(made)


def beat(number: int) -> Callable[[Transaction], object]:
    return lambda tx: put_entry(tx, entry("beat", "/x", revision=number))


writes = st.one_of(
    entries_made.map(lambda made: lambda tx: put_entry(tx, made)),
    entries_made.map(lambda made: lambda tx: put_entry(tx, made)),
    st.integers(0, ENTRIES - 1).map(lambda number: lambda tx: tx.entries.delete(f"e{number}")),
    nodes_made.map(lambda made: lambda tx: tx.nodes.put(made)),
    st.sampled_from([AGENT, OTHER]).map(lambda agent: lambda tx: tx.nodes.delete(agent)),
    bundles_made.map(lambda made: lambda tx: tx.bundles.put(made)),
)


def walk(tx: Transaction, agent_id: SpiffeId) -> dict[str, Entry]:
    row = tx.nodes.get(agent_id)
    selectors = set(row.selectors if row else ())
    aliases = [each for each in tx.entries.by_parents([SERVER]) if selectors.issuperset(each.selectors)]
    found: dict[str, Entry] = {}
    waiting = [agent_id, *(each.spiffe_id for each in aliases)]
    while waiting:
        for each in tx.entries.by_parents([waiting.pop()]):
            if each.id not in found:
                found[each.id] = each
                waiting.append(each.spiffe_id)
    return found


def wanted_bundles(tx: Transaction, entries: dict[str, Entry]) -> dict[TrustDomain, Bundle]:
    names = {TD, *(name for each in entries.values() for name in each.federates_with)}
    return {each.trust_domain: each for each in tx.bundles.get_many(names)}


# Where every example begins: an alias, and entries below it, below the agent and below one another.
BEGINNING = [
    alias("e0", "/a", LINUX),
    entry("e1", "/c", "/a"),
    entry("e2", "/b"),
    entry("e3", "/d", "/b"),
    entry("e4", "/e", "/b", selectors=(NORTH,)),
]


def start(tx: Transaction) -> None:
    for number in range(ENTRIES):
        tx.entries.delete(f"e{number}")
    tx.entries.delete("beat")
    for each in BEGINNING:
        tx.entries.create(each)
    tx.nodes.put(node(AGENT, LINUX))
    tx.nodes.put(node(OTHER, NORTH))
    for name in DOMAINS:
        tx.bundles.put(Bundle(name))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as path:
        yield Path(path)


@settings(max_examples=40, deadline=None)
@given(rounds=st.lists(st.lists(writes, min_size=1, max_size=5), min_size=1, max_size=8), late=st.integers(0, 7))
def test_views_and_followers_equal_a_walk_over_the_table(
    folder: Path, rounds: list[list[Callable[[Transaction], object]]], late: int
) -> None:
    asyncio.run(asyncio.wait_for(check_model(folder, rounds, late), 20))


async def check_model(folder: Path, rounds: list[list[Callable[[Transaction], object]]], late: int) -> None:
    async with opened(folder) as house:
        await house.write(start)
        view, followed, resumed = await house.index.view(AGENT), Copy(), Copy()
        async with aclosing(view.follow()) as updates:
            followed.apply(await anext(updates))
            resumed.position = followed.position
            resumed.entries, resumed.bundle = dict(followed.entries), followed.bundle
            for number, works in enumerate(rounds):
                # An entry that certainly changes, so that the follower is certainly woken.
                await house.write(*works, beat(number))
                if number >= late:
                    await check_view(house, OTHER)
                await check_view(house, AGENT)
                followed.apply(await anext(updates))
                await check_copy(house, followed)
                if number % 2:
                    await resume(view, resumed)
                    await check_copy(house, resumed)
        house.index._drop_idle(float("inf"))
        assert len(house.index._state.graph) == 0
        assert set(house.index._state.bundles) <= {TD}


async def check_view(house: House, agent_id: SpiffeId) -> None:
    view = await house.index.view(agent_id)
    entries = await house.store.read(lambda tx: walk(tx, agent_id))
    assert dict(view.entries) == entries
    assert dict(view.bundles) == await house.store.read(lambda tx: wanted_bundles(tx, entries))
    for number in range(ENTRIES):
        assert view.get(f"e{number}") == entries.get(f"e{number}")


async def check_copy(house: House, copy: Copy) -> None:
    entries = await house.store.read(lambda tx: walk(tx, AGENT))
    bundles = await house.store.read(lambda tx: wanted_bundles(tx, entries))
    assert copy.entries == entries
    assert copy.bundle == bundles.pop(TD, None)
    assert copy.federated == bundles
    assert copy.position.sequence == house.store.sequence


async def resume(view: AgentView, copy: Copy) -> None:
    async with aclosing(view.follow(copy.position)) as updates:
        copy.apply(await anext(updates))
