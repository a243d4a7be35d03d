from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_agent.cache.index import EntryIndex

SELECTORS = [Selector("t", str(number)) for number in range(6)]
SETS = st.frozensets(st.sampled_from(SELECTORS), max_size=4)


def made(number: int, selectors: frozenset[Selector]) -> Entry:
    spiffe_id = SpiffeId(TrustDomain("example.org"), f"/{number}")
    return Entry(id=f"{number:03}", spiffe_id=spiffe_id, parent_id=spiffe_id, selectors=tuple(sorted(selectors)))


@given(kept=st.lists(SETS, max_size=12), dropped=st.sets(st.integers(0, 11)), workload=SETS)
def test_matches_are_the_entries_whose_selectors_the_workload_has(
    kept: list[frozenset[Selector]], dropped: set[int], workload: frozenset[Selector]
) -> None:
    index = EntryIndex()
    entries = [made(number, selectors) for number, selectors in enumerate(kept)]
    for one in entries:
        index.put(one)
    for number in dropped:
        index.discard(f"{number:03}")
    expected = [
        one
        for number, one in enumerate(entries)
        if number not in dropped and one.selectors and set(one.selectors) <= workload
    ]
    assert index.match(workload) == expected


def test_an_entry_with_the_same_id_takes_the_others_place(entry: Callable[..., Entry]) -> None:
    index = EntryIndex()
    index.put(entry("a", "/a", "uid:1"))
    index.put(entry("a", "/a", "uid:2"))
    assert index.match({Selector("unix", "uid:1")}) == []
    assert [one.id for one in index.match({Selector("unix", "uid:2")})] == ["a"]
    assert len(index) == 1


def test_a_selector_that_all_have_does_not_gather_all(entry: Callable[..., Entry]) -> None:
    index = EntryIndex()
    for number in range(500):
        index.put(entry(str(number), "/x", "uid:0", f"pod:{number}"))
    common = Selector("unix", "uid:0")
    assert len(index._filed.get(common, {})) <= 1
    assert [one.id for one in index.match({common, Selector("unix", "pod:7")})] == ["7"]
