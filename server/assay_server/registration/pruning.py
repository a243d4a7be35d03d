"""Entries that have expired go every five minutes, as in SPIRE."""

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError
from assay.telemetry.metrics import OFF, Metrics, measured
from assay_server.datastore.base import Store, Transaction

INTERVAL = 300.0  # seconds

log = structlog.get_logger(__name__)


class EntryPruning:
    """The task that deletes expired entries."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics = OFF) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> None:
        """Prune now and every five minutes until cancelled; a store that fails once is tried again."""
        while True:
            try:
                await self.prune()
            except AssayError as error:
                log.error("Failed pruning registration entries", error=str(error))  # noqa: TRY400 - a refusal, no fault
            await self._clock.sleep(INTERVAL)

    async def prune(self) -> int:
        """Delete what has expired; how many entries that were."""
        now = int(self._clock.now().timestamp())
        with measured(self._metrics, ("registration_entry", "manager", "prune")):
            gone = await self._store.write(lambda tx: _prune(tx, now))
        for entry in gone:
            log.info(
                "Pruned an expired registration",
                spiffe_id=str(entry.spiffe_id),
                parent_id=str(entry.parent_id),
                entry_id=entry.id,
            )
        return len(gone)


def _prune(tx: Transaction, now: int) -> list[Entry]:
    gone = tx.entries.get_many(tx.entries.expired(now))
    for entry in gone:
        tx.entries.delete(entry.id)
    return gone
