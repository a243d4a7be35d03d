from collections.abc import Callable
from itertools import permutations

import pytest

from assay.entry import Entry
from assay_agent.cache.hints import repeated_hints


@pytest.mark.spec("WAPI-5.2.1-d")
def test_of_one_hint_the_entry_created_first_stays_whatever_the_order(entry: Callable[..., Entry]) -> None:
    entries = [entry("a", "/a", hint="db", created_at=30), entry("b", "/b", hint="db", created_at=10)]
    entries.append(entry("c", "/c", hint="db", created_at=20))
    for order in permutations(entries):
        assert {one.id for one in repeated_hints(order)} == {"a", "c"}


@pytest.mark.spec("WAPI-5.2.1-d")
def test_in_the_same_second_the_smaller_id_stays(entry: Callable[..., Entry]) -> None:
    entries = [entry("b", "/b", hint="db", created_at=1), entry("a", "/a", hint="db", created_at=1)]
    assert [one.id for one in repeated_hints(entries)] == ["b"]


def test_entries_without_hint_are_not_repeats_of_each_other(entry: Callable[..., Entry]) -> None:
    assert repeated_hints([entry("a", "/a"), entry("b", "/b"), entry("c", "/c", hint="db")]) == ()
