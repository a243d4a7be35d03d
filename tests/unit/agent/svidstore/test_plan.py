"""Which SVIDs go where."""

import pytest

from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_agent.svidstore.plan import Place, assign, outdated, place_of

TD = TrustDomain("example.org")


def entry(entry_id: str, *selectors: str) -> Entry:
    return Entry(entry_id, SpiffeId(TD, f"/{entry_id}"), SpiffeId(TD, "/a"), tuple(map(Selector.parse, selectors)))


def test_the_type_is_the_store_and_the_values_are_the_target() -> None:
    assert place_of(entry("a", "disk:name:web", "disk:uid:5")) == Place("disk", ("name:web", "uid:5"))


@pytest.mark.parametrize(
    ("selectors", "why"), [((), "no selectors found"), (("a:x", "b:y"), "selector contains multiple types")]
)
def test_selectors_that_name_no_store(selectors: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        place_of(entry("a", *selectors))


def test_each_place_has_one_entry() -> None:
    found = assign([entry("b", "disk:name:x"), entry("a", "disk:name:x"), entry("c", "disk:name:y")], ["disk"])
    assert found.places == {"a": Place("disk", ("name:x",)), "c": Place("disk", ("name:y",))}
    assert found.refused == {"b": "entry a has the same selectors"}


def test_what_goes_nowhere_is_said() -> None:
    found = assign([entry("a", "vault:x"), entry("b", "disk:x", "unix:y")], ["disk"])
    assert found.places == {}
    assert found.refused == {
        "a": 'no SVIDStore plugin "vault" is configured',
        "b": "invalid store name in selectors: selector contains multiple types",
    }


def test_what_has_gone_or_goes_elsewhere_is_outdated() -> None:
    x, y = Place("disk", ("name:x",)), Place("disk", ("name:y",))
    assert outdated({"same": x, "gone": x, "moved": x}, {"same": x, "moved": y}) == (("gone", x), ("moved", x))
