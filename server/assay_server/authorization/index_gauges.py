"""How large the index is, said every few seconds under the names of SPIRE's caches."""

from assay.clock import Clock
from assay.telemetry.metrics import Metrics
from assay_server.authorization.index import AuthorizedEntries

# Seconds; SPIRE says it whenever it has read its events.
INTERVAL = 5.0


async def gauge_index(index: AuthorizedEntries, metrics: Metrics, clock: Clock) -> None:
    """Say it until cancelled."""
    while True:
        size = index.size
        metrics.gauge(("entry", "entries_by_entryid_cache", "count"), size.entries)
        metrics.gauge(("entry", "nodealiases_by_entryid_cache", "count"), size.aliases)
        metrics.gauge(("node", "agents_by_id_cache", "count"), size.agents)
        await clock.sleep(INTERVAL)
