import asyncio

from assay.entry import Entry
from assay.namespace import server_id
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.testing.metrics import Recorded
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.index_gauges import INTERVAL, gauge_index
from assay_server.datastore.sql.store import SqlStore

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/one")
SELECTORS = (Selector("a", "b"),)


async def test_what_the_index_holds_is_said_again_and_again(store: SqlStore, clock: FakeClock) -> None:
    metrics = Recorded()
    index = AuthorizedEntries(store, TD, clock, metrics)
    for one in (
        Entry("e-1", SpiffeId(TD, "/web"), AGENT, SELECTORS),
        Entry("e-2", SpiffeId(TD, "/db"), AGENT, SELECTORS),
        Entry("alias", SpiffeId(TD, "/group"), server_id(TD), SELECTORS),
    ):
        await store.write(lambda tx, one=one: tx.entries.create(one))  # type: ignore[misc]
    await index.view(AGENT)
    assert metrics.counts() == {("entry.cache.reload", "OK"): 1}
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(gauge_index(index, metrics, clock))
        await clock.wait_sleepers()
        await clock.run(INTERVAL, INTERVAL)
        task.cancel()
    gauges = [(name, value) for kind, name, _, value in metrics.taken if kind == "gauge"]
    assert gauges == 2 * [
        ("entry.entries_by_entryid_cache.count", 2),
        ("entry.nodealiases_by_entryid_cache.count", 1),
        ("node.agents_by_id_cache.count", 1),
    ]
