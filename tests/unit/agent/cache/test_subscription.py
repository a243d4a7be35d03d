"""Who is told of which change."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import UnavailableError
from assay.selector import Selector
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay_agent.cache import Cache, Subscription, Update, WorkloadView

MakeEntry = Callable[..., Entry]
Sign = Callable[[Entry], X509Svid]
Select = Callable[..., frozenset[Selector]]

T = TypeVar("T")

FOREIGN = TrustDomain("other.test")


async def at_once(work: Awaitable[T]) -> T | None:
    """What can be had without waiting for anything but the loop, or None."""
    task = asyncio.gather(work)
    for _ in range(5):
        await asyncio.sleep(0)
    if task.done():
        return task.result()[0]
    task.cancel()
    await asyncio.wait([task])
    return None


async def told(subscription: Subscription) -> WorkloadView | None:
    """The next view, or None if there is nothing new."""
    return await at_once(anext(subscription))


def ids(view: WorkloadView | None) -> list[str] | None:
    return [identity.entry.id for identity in view.identities] if view else None


@pytest.fixture
def one(cache: Cache, entry: MakeEntry, sign: Sign) -> Entry:
    """A signed entry for uid 1 that federates with other.test."""
    made = entry("one", "/one", "uid:1", federates_with=(FOREIGN,))
    cache.apply(Update(entries=[made]))
    cache.set_svid("one", sign(made))
    return made


@pytest.mark.spec("WAPI-4.3-c")
async def test_the_first_view_comes_at_once_and_the_second_on_change(
    cache: Cache, one: Entry, sign: Sign, select: Select
) -> None:
    with cache.subscribe(select("uid:1")) as follower:
        assert ids(await told(follower)) == ["one"]
        assert await told(follower) is None
        cache.set_svid("one", sign(one))
        view = await told(follower)
        assert view is not None
        assert view.identities[0].svid is cache.svids["one"]


@pytest.mark.spec("WAPI-4.3-b")
async def test_changes_that_do_not_concern_a_follower_do_not_wake_it(
    cache: Cache, one: Entry, entry: MakeEntry, sign: Sign, select: Select, bundle: Bundle
) -> None:
    with cache.subscribe(select("uid:1", "user:x")) as follower:
        await told(follower)
        other, partly = entry("two", "/two", "uid:2"), entry("three", "/three", "uid:1", "gid:9")
        cache.apply(Update(entries=[other, partly, one], bundles=[Bundle(TrustDomain("third.test")), bundle]))
        cache.set_svid("two", sign(other))
        cache.set_svid("three", sign(partly))
        cache.apply(Update(removed=["two"]))
        assert not follower._woken.is_set()
        assert await told(follower) is None


@pytest.mark.usefixtures("one")
async def test_each_kind_of_change_that_concerns_a_follower_wakes_it(
    cache: Cache, entry: MakeEntry, sign: Sign, select: Select, bundle: Bundle
) -> None:
    with cache.subscribe(select("uid:1", "gid:9")) as follower:
        await told(follower)

        cache.apply(Update(bundles=[replace(bundle, sequence=2)]))
        view = await told(follower)
        assert view is not None
        assert view.bundle.sequence == 2

        cache.apply(Update(bundles=[Bundle(FOREIGN, sequence=7)]))
        view = await told(follower)
        assert view is not None
        assert [bundle.sequence for bundle in view.federated] == [7]

        second = entry("two", "/two", "uid:2")
        cache.apply(Update(entries=[second]))
        cache.set_svid("two", sign(second))
        assert await told(follower) is None
        cache.apply(Update(entries=[replace(second, selectors=(Selector("unix", "gid:9"),), revision=1)]))
        assert ids(await told(follower)) == ["one", "two"]

        cache.apply(Update(entries=[replace(second, revision=2)]))
        assert ids(await told(follower)) == ["one"]

        cache.apply(Update(removed_bundles=[FOREIGN]))
        view = await told(follower)
        assert view is not None
        assert view.federated == ()

        cache.apply(Update(removed=["one"]))
        assert ids(await told(follower)) == []


async def test_a_slow_reader_finds_the_newest_view_and_no_queue(
    cache: Cache, one: Entry, sign: Sign, select: Select
) -> None:
    with cache.subscribe(select("uid:1")) as follower:
        await told(follower)
        for _ in range(20):
            cache.set_svid("one", sign(one))
        view = await told(follower)
        assert view is not None
        assert view.identities[0].svid is cache.svids["one"]
        assert await told(follower) is None


@pytest.mark.usefixtures("one")
async def test_followers_with_the_same_selectors_get_the_same_view_object(cache: Cache, select: Select) -> None:
    with cache.subscribe(select("uid:1")) as first, cache.subscribe(select("uid:1")) as second:
        assert await told(first) is await told(second)


@pytest.mark.usefixtures("one")
async def test_a_change_back_before_anybody_looked_is_no_change(cache: Cache, entry: MakeEntry, select: Select) -> None:
    with cache.subscribe(select("uid:1"), signed=False) as follower:
        await told(follower)
        cache.apply(Update(entries=[entry("two", "/two", "uid:1")]))
        cache.apply(Update(removed=["two"]))
        assert await told(follower) is None


async def test_a_first_answer_waits_for_svids_that_are_being_signed(
    bundle: Bundle, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    cache = Cache(TrustDomain("example.org"), patience=30)
    entries = [entry("a", "/a", "uid:1"), entry("b", "/b", "uid:1")]
    cache.apply(Update(snapshot=True, entries=entries, bundles=[bundle]))
    cache.set_svid("a", sign(entries[0]))
    with cache.subscribe(select("uid:1")) as follower:
        assert await told(follower) is None
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(anext(follower))
            await cache.wait_wanted()
            assert not waiting.done()
            cache.set_svid("b", sign(entries[1]))
        assert ids(waiting.result()) == ["a", "b"]


async def test_an_entry_that_cannot_be_signed_does_not_keep_the_others_back_for_long(
    cache: Cache, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    entries = [entry("a", "/a", "uid:1"), entry("b", "/b", "uid:1")]
    cache.apply(Update(entries=entries))
    cache.set_svid("a", sign(entries[0]))
    with cache.subscribe(select("uid:1")) as follower:
        assert ids(await anext(follower)) == ["a"]


@pytest.mark.spec("WEP-6-c")
async def test_entries_without_any_svid_are_unavailable_and_not_denied(
    cache: Cache, entry: MakeEntry, select: Select
) -> None:
    cache.apply(Update(entries=[entry("a", "/a", "uid:1")]))
    with cache.subscribe(select("uid:1")) as follower, pytest.raises(UnavailableError, match="not signed yet"):
        await anext(follower)


async def test_a_caller_without_entries_is_told_so_at_once(cache: Cache, select: Select) -> None:
    with cache.subscribe(select("uid:1")) as follower:
        assert ids(await told(follower)) == []


async def test_an_entry_put_in_anothers_place_does_not_look_like_the_end(
    bundle: Bundle, entry: MakeEntry, sign: Sign, select: Select
) -> None:
    cache = Cache(TrustDomain("example.org"), patience=30)
    old, new = entry("a", "/a", "uid:1"), entry("b", "/b", "uid:1")
    cache.apply(Update(snapshot=True, entries=[old], bundles=[bundle]))
    cache.set_svid("a", sign(old))
    with cache.subscribe(select("uid:1")) as follower:
        await told(follower)
        cache.apply(Update(entries=[new], removed=["a"]))
        assert await told(follower) is None
        cache.set_svid("b", sign(new))
        assert ids(await told(follower)) == ["b"]


async def test_an_svid_that_is_dropped_holds_its_only_reader_until_the_next(
    cache: Cache, one: Entry, sign: Sign, select: Select
) -> None:
    with cache.subscribe(select("uid:1")) as follower:
        await told(follower)
        cache.drop_svid("one")
        assert await told(follower) is None
        cache.set_svid("one", sign(one))
        assert ids(await told(follower)) == ["one"]


async def test_readers_of_bundles_do_not_wait_and_want_no_svid(cache: Cache, entry: MakeEntry, select: Select) -> None:
    cache.apply(Update(entries=[entry("a", "/a", "uid:1")]))
    with cache.subscribe(select("uid:1"), signed=False) as follower:
        view = await told(follower)
        assert view is not None
        assert view.entitled
        assert not cache.wanted


async def test_wanted_are_the_entries_somebody_follows(
    cache: Cache, one: Entry, entry: MakeEntry, select: Select
) -> None:
    first, second = cache.subscribe(select("uid:1")), cache.subscribe(select("uid:1"))
    wider = cache.subscribe(select("uid:1", "gid:1"))
    cache.apply(Update(entries=[entry("two", "/two", "gid:1")]))
    assert set(cache.wanted) == {"one", "two"}
    first.close()
    first.close()
    wider.close()
    assert set(cache.wanted) == {"one"}
    cache.apply(Update(entries=[replace(one, selectors=(Selector("unix", "uid:5"),), revision=1)]))
    assert not cache.wanted
    second.close()
    assert not cache.wanted
    assert list(cache._groups) == []


@pytest.mark.usefixtures("one")
async def test_the_signer_is_woken_when_something_wanted_is_missing_and_only_then(
    cache: Cache, entry: MakeEntry, select: Select
) -> None:
    async def woken() -> bool:
        async def wait() -> bool:
            await cache.wait_wanted()
            return True

        return bool(await at_once(wait()))

    with cache.subscribe(select("uid:1")):
        assert not await woken()
        cache.apply(Update(entries=[entry("two", "/two", "uid:2")]))
        assert not await woken()
        cache.apply(Update(entries=[entry("three", "/three", "uid:1")]))
        assert await woken()
        assert not await woken()
        cache.drop_svid("one")
        assert await woken()
    with cache.subscribe(select("uid:2")):
        assert await woken()


@pytest.mark.usefixtures("one")
async def test_a_closed_subscription_leaves_nothing_behind(cache: Cache, select: Select) -> None:
    with pytest.raises(RuntimeError), cache.subscribe(select("uid:1")):
        raise RuntimeError
    assert not cache.wanted
    assert not cache._groups._having
