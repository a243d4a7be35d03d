"""Forgets what nobody will come back for: agents long expired, when configured, and join tokens never used."""

import random
from dataclasses import dataclass

import structlog

from assay.clock import Clock
from assay.telemetry.metrics import OFF, Metrics, measured
from assay_server.attestation.nodes import delete_node
from assay_server.datastore.base import NodeFilter, Page, Store, Transaction

log = structlog.get_logger(__name__)

# Seconds.
INTERVAL = 3600.0
JITTER = 900.0
# An expired token still says "expired" for a day, then it is one that does not exist.
TOKEN_KEPT = 24 * 3600


@dataclass(frozen=True, slots=True)
class NodePruningSettings:
    """`expired_for` seconds after its SVID's end an agent is forgotten (None: never), at most `batch_size` at once.

    Agents that cannot attest again are spared unless `tofu`: forgetting one would shut it out, or let another in.
    """

    expired_for: int | None = None
    batch_size: int = 1000
    tofu: bool = False


@dataclass(frozen=True, slots=True)
class NodePruning:
    """Prunes about once an hour."""

    store: Store
    clock: Clock
    settings: NodePruningSettings
    metrics: Metrics = OFF

    async def run(self) -> None:
        """Prune until cancelled."""
        interval = INTERVAL + random.uniform(-JITTER, JITTER)  # noqa: S311 - spreads load, keeps no secret
        while True:
            await self.clock.sleep(interval)
            try:
                await self.prune()
            except Exception:
                # Tidying up is no reason to stop serving; the next hour tries again.
                log.exception("Failed during periodic pruning of expired nodes")

    async def prune(self) -> int:
        """Prune once; how many agents were forgotten."""
        now = int(self.clock.now().timestamp())
        with measured(self.metrics, ("node", "manager", "prune")):
            count = await self.store.write(lambda tx: _prune(tx, self.settings, now))
        if self.settings.expired_for is not None:
            log.info("Pruned expired agents", count=count)
        return count


def _prune(tx: Transaction, settings: NodePruningSettings, now: int) -> int:
    tx.join_tokens.prune(now - TOKEN_KEPT)
    if settings.expired_for is None:
        return 0
    where = NodeFilter(
        banned=False, can_reattest=None if settings.tofu else True, expires_before=now - settings.expired_for
    )
    nodes, _ = tx.nodes.find(where, Page(size=settings.batch_size))
    for node in nodes:
        delete_node(tx, node)
    return len(nodes)
