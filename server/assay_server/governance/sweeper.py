"""Looks every few seconds for principals whose owner has left, and at once when it is told to."""

import asyncio

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay.waiting import first_of
from assay_server.datastore.base import Store
from assay_server.governance.deed import Deed
from assay_server.governance.orphans import sweep_slice, unswept
from assay_server.governance.stopping import Stopped

INTERVAL = 5.0  # seconds
ACTOR = "assay:sweeper"

log = structlog.get_logger(__name__)


class Sweeper:
    """The task that leaves no principal without a live owner."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have it look now."""
        self._asked.set()

    async def run(self) -> None:
        """Sweep now and then until cancelled; a store that fails once is tried again."""
        while True:
            self._asked.clear()
            try:
                await self.sweep()
            except AssayError as error:
                log.error("Failed sweeping orphaned principals", error=str(error))  # noqa: TRY400 - a refusal, no fault
            await first_of(self._asked.wait(), self._clock.sleep(INTERVAL))

    async def sweep(self) -> Stopped:
        """Suspend every active principal whose owner has left; what that ended."""
        stopped = Stopped()
        while owners := await self._store.read(unswept):
            for owner in owners:
                stopped += await self._sweep(owner.name)
        return stopped

    async def _sweep(self, owner: str) -> Stopped:
        stopped = Stopped()
        while True:
            deed = Deed(ACTOR, int(self._clock.now().timestamp()))
            some = await self._store.write(lambda tx, deed=deed: sweep_slice(tx, owner, deed))  # type: ignore[misc]
            if some is None:
                break
            stopped += some
        if stopped.principals:
            log.info("Suspended principals whose owner left", owner=owner, principals=len(stopped.principals))
        return stopped
