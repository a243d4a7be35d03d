"""The cache against a model that looks at everything each time."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay_agent.cache import Cache, Subscription, Update

OWN, FOREIGN = TrustDomain("example.org"), TrustDomain("other.test")
SELECTORS = [Selector("t", name) for name in "xyz"]
SETS = st.frozensets(st.sampled_from(SELECTORS), max_size=3)
IDS = st.sampled_from("abc")


def made(entry_id: str, selectors: frozenset[Selector], path: str, federates: bool) -> Entry:
    return Entry(
        id=entry_id,
        spiffe_id=SpiffeId(OWN, path),
        parent_id=SpiffeId(OWN, "/agent"),
        selectors=tuple(sorted(selectors)),
        federates_with=(FOREIGN,) if federates else (),
    )


ENTRIES = st.builds(made, IDS, SETS, st.sampled_from(["/p", "/q"]), st.booleans())
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), ENTRIES),
        st.tuples(st.just("remove"), IDS),
        st.tuples(st.just("sign"), IDS),
        st.tuples(st.just("drop"), IDS),
        st.tuples(st.just("join"), SETS),
        st.tuples(st.just("leave"), st.integers(0, 3)),
        st.tuples(st.just("bundle"), st.integers(1, 3)),
        st.tuples(st.just("snapshot"), st.lists(ENTRIES, max_size=3, unique_by=lambda one: one.id)),
    ),
    max_size=25,
)


class House:
    def __init__(self) -> None:
        self.cache = Cache(OWN)
        self.cache.apply(Update(snapshot=True, bundles=[Bundle(OWN), Bundle(FOREIGN)]))
        self.followers: list[Subscription] = []

    def put(self, entry: Entry) -> None:
        self.cache.apply(Update(entries=[entry]))

    def remove(self, entry_id: str) -> None:
        self.cache.apply(Update(removed=[entry_id]))

    def sign(self, entry_id: str) -> None:
        if entry := self.cache.entries.get(entry_id):
            self.cache.set_svid(entry_id, X509Svid(entry.spiffe_id, (b"",), None, 0, 1))

    def drop(self, entry_id: str) -> None:
        self.cache.drop_svid(entry_id)

    def join(self, selectors: frozenset[Selector]) -> None:
        self.followers.append(self.cache.subscribe(selectors))

    def leave(self, number: int) -> None:
        if number < len(self.followers):
            self.followers.pop(number).close()

    def bundle(self, sequence: int) -> None:
        self.cache.apply(Update(bundles=[Bundle(FOREIGN, sequence=sequence)]))

    def snapshot(self, entries: Sequence[Entry]) -> None:
        self.cache.apply(Update(snapshot=True, entries=entries, bundles=[Bundle(OWN), Bundle(FOREIGN)]))

    def check(self) -> None:
        for follower in self.followers:
            self.check_view(follower)
        followed = {entry.id for follower in self.followers for entry in self.matching(follower.group.selectors)}
        assert set(self.cache.wanted) == followed

    def check_view(self, follower: Subscription) -> None:
        matching = self.matching(follower.group.selectors)
        view = follower.group.view
        assert [(one.entry, one.svid) for one in view.identities] == [
            (entry, self.cache.svids[entry.id]) for entry in matching if entry.id in self.cache.svids
        ]
        assert list(view.pending) == [entry for entry in matching if entry.id not in self.cache.svids]
        federates = any(entry.federates_with for entry in matching)
        assert view.federated == ((self.cache.bundles[FOREIGN],) if federates else ())
        assert view.same_as(self.cache.view(follower.group.selectors))

    def matching(self, selectors: frozenset[Selector]) -> list[Entry]:
        entries = sorted(self.cache.entries.values(), key=lambda entry: entry.id)
        return [entry for entry in entries if entry.selectors and set(entry.selectors) <= selectors]


@settings(deadline=None, max_examples=150)
@given(operations=OPERATIONS)
def test_whatever_happens_followers_see_what_a_full_look_would_find(operations: list[tuple[str, object]]) -> None:
    house = House()
    for name, argument in operations:
        getattr(house, name)(argument)
        house.check()


def test_the_model_itself_tells_a_wrong_view() -> None:
    house = House()
    house.join(frozenset(SELECTORS))
    house.put(made("a", frozenset(SELECTORS[:1]), "/p", federates=True))
    house.followers[0].group.entries.clear()
    house.followers[0].group.touch()
    with pytest.raises(AssertionError):
        house.check()
