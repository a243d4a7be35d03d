"""What there is to measure of the cache as the server's word and its signatures come in; SPIRE's names."""

from collections.abc import Iterable
from dataclasses import dataclass

from assay.entry import Entry
from assay.telemetry.metrics import Metrics
from assay_agent.cache.cache import Cache
from assay_agent.cache.update import Update
from assay_agent.sync.plan import outdated

_X509 = (("svid_type", "X509"),)


@dataclass(frozen=True, slots=True)
class News:
    """How many entries of an update were not known, are different from those known, and are there no more."""

    missing: int
    stale: int
    dropped: int


def news_of(cache: Cache, update: Update) -> News:
    """What an update tells that the cache does not know yet."""
    known, named = cache.entries, {entry.id for entry in update.entries}
    missing = sum(entry_id not in known for entry_id in named)
    stale = sum(entry.id in known and known[entry.id] != entry for entry in update.entries)
    dropped = len(known.keys() - named) if update.snapshot else sum(one in known for one in update.removed)
    return News(missing, stale, dropped)


def gauge_sync(metrics: Metrics, cache: Cache, news: News) -> None:
    """Measure a cache that has taken in an update with such news."""
    metrics.count(("lru_cache_entry_add",), news.missing)
    metrics.count(("lru_cache_entry_update",), news.stale)
    metrics.count(("lru_cache_entry_remove",), news.dropped)
    metrics.gauge(("lru_cache_record_map_size",), len(cache.entries), _X509)
    metrics.gauge(("sync_bundles_total",), len(cache.bundles))
    metrics.gauge(("sync_entries_total",), len(cache.entries))
    metrics.gauge(("sync_entries_missing",), news.missing)
    metrics.gauge(("sync_entries_stale",), news.stale)
    metrics.gauge(("sync_entries_dropped",), news.dropped)
    gauge_svids(metrics, cache)


def gauge_svids(metrics: Metrics, cache: Cache) -> None:
    """Measure how many SVIDs the cache has."""
    metrics.gauge(("lru_cache_svid_map_size",), len(cache.svids), _X509)


def sample_due(metrics: Metrics, renewed: Iterable[tuple[Entry, Entry]]) -> None:
    """Measure a batch of renewals: of each the entry that the SVID was signed for, and what it is now."""
    changed = [outdated(signed_for, entry) for signed_for, entry in renewed]
    if late := sum(changed):
        metrics.sample(("cache_manager", "outdated_svids"), late)
    if expiring := len(changed) - sum(changed):
        metrics.sample(("cache_manager", "expiring_svids"), expiring)
