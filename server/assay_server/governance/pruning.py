"""Forgets what is over for good: credentials, ended tasks, and decisions that the ledger does not tell of any more.

What was issued, decided and ended stays in the events. A decision is kept for as long as its own event is, since it has
the inputs by which the answer can be had again.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.journal import forget
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.noun import Noun, Terms
from assay_server.model.governed.task import CREDENTIAL, ENDED, TASK, TaskState

INTERVAL = 60.0  # seconds

CREDENTIAL_KEPT = 3600
"""Seconds after its end for which a credential can still be asked for: clocks differ, and people look late."""

AT_ONCE = 100
"""How many go in one transaction, which tokens wait for."""

LOOKED_AT = 1000
"""How many of the oldest are looked at for one that may go."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Pruning:
    """Prunes every minute; tasks go `keep_ended` seconds after their end."""

    def __init__(self, store: Store, clock: Clock, keep_ended: int) -> None:
        self._store = store
        self._clock = clock
        self._keep_ended = keep_ended
        self._told_since = -1

    async def run(self) -> None:
        """Prune now and every minute until cancelled; a store that fails once is tried again."""
        while True:
            try:
                await self.prune()
            except AssayError as error:
                log.error("Failed to prune what is over", error=str(error))  # noqa: TRY400 - a refusal, no fault
            await self._clock.sleep(INTERVAL)

    async def prune(self) -> dict[str, int]:
        """Forget what may be forgotten now; how many of each kind.

        Raises:
            UnavailableError: the store cannot be read or written.
        """
        gone: dict[str, int] = {}
        while found := await self._store.read(self._over):
            for noun, keys in found:
                await self._forget(noun, keys)
                gone[noun.name] = gone.get(noun.name, 0) + len(keys)
        if gone:
            log.info("Pruned what is over", **gone)
        return gone

    def _over(self, tx: Transaction) -> list[tuple[Noun[Any], list[str]]]:
        now = int(self._clock.now().timestamp())
        found: list[tuple[Noun[Any], list[str]]] = [
            (CREDENTIAL, [one.jti for one in tx.governed.due(CREDENTIAL, now - CREDENTIAL_KEPT, LOOKED_AT)]),
            (TASK, [name for state in ENDED for name in _ended(tx, state, now - self._keep_ended)]),
            (DECISION, self._untold(tx)),
        ]
        return [(noun, keys) for noun, keys in found if keys]

    def _untold(self, tx: Transaction) -> list[str]:
        """Decisions from before the first event that there still is: each was written together with its own."""
        first, _ = tx.events.find(Page(1))
        since = first[0].at if first else 0
        # To look for the oldest goes through all of them, so only when events have gone.
        if since == self._told_since:
            return []
        found = [one.decision_id for one in _oldest(tx, DECISION, [], lambda one: one.at < since)]
        if not found:
            self._told_since = since
        return found

    async def _forget(self, noun: Noun[Any], keys: list[str]) -> None:
        for begin in range(0, len(keys), AT_ONCE):
            some = keys[begin : begin + AT_ONCE]
            await self._store.write(lambda tx, some=some: forget(tx, noun, some))  # type: ignore[misc]


def _ended(tx: Transaction, state: TaskState, until: int) -> list[str]:
    """Tasks that ended so, and no later than that."""
    return [task.task_id for task in _oldest(tx, TASK, [("state", state.value)], lambda task: task.ended_at <= until)]


def _oldest(tx: Transaction, noun: Noun[T], terms: Terms, over: Callable[[T], bool]) -> list[T]:
    """Those of the oldest that are over: none if the first is not, since the others hardly are before it."""
    first, _ = tx.governed.find(noun, terms, Page(1))
    if not first or not over(first[0]):
        return []
    return [one for one in tx.governed.find(noun, terms, Page(LOOKED_AT))[0] if over(one)]
