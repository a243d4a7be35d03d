"""What is measured of the cache."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.entry import Entry
from assay.testing.authority import Authority
from assay.testing.metrics import Recorded
from assay_agent.cache.cache import Cache
from assay_agent.cache.update import Update
from assay_agent.sync.gauges import News, news_of, sample_due

MakeEntry = Callable[..., Entry]


@pytest.fixture
def known(cache: Cache, entry: MakeEntry, authority: Authority) -> Cache:
    cache.apply(Update(snapshot=True, entries=[entry(1), entry(2)], bundles=[authority.bundle]))
    return cache


def test_an_update_is_news_as_far_as_it_was_not_known(known: Cache, entry: MakeEntry) -> None:
    update = Update(entries=[entry(1), entry(2, hint="x"), entry(3)], removed=["entry-0001", "entry-0009"])
    assert news_of(known, update) == News(missing=1, stale=1, dropped=1)


def test_a_snapshot_drops_what_it_does_not_name(known: Cache, entry: MakeEntry) -> None:
    assert news_of(known, Update(snapshot=True, entries=[entry(2)])) == News(missing=0, stale=0, dropped=1)


def test_what_is_signed_again_is_outdated_or_expiring_and_nothing_of_none(entry: MakeEntry) -> None:
    metrics, one = Recorded(), entry(1)
    sample_due(metrics, [])
    assert metrics.taken == []
    sample_due(metrics, [(one, one), (one, replace(one, hint="x")), (one, replace(one, dns_names=("a.test",)))])
    assert metrics.taken == [
        ("sample", "cache_manager.outdated_svids", {}, 1),
        ("sample", "cache_manager.expiring_svids", {}, 2),
    ]
