"""Revocations as operators ask for them: to the last slice, and until connected verifiers know."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay.waiting import first_of
from assay_server.datastore.base import Store
from assay_server.governance.revoking import Affected, affected, begun, check, continued, running
from assay_server.model.governed.revocation import Revocation, Target

INTERVAL = 5.0
"""Seconds between two looks for revocations that somebody left unfinished."""

log = structlog.get_logger(__name__)


class Confirmed(Protocol):
    """How many verifiers there are, how many of them hold what was asked for, and how long that took in seconds."""

    @property
    def verifiers(self) -> int:
        """All that are connected."""
        ...

    @property
    def confirmed(self) -> int:
        """Those of them that obey it."""
        ...

    @property
    def seconds(self) -> float:
        """How long that took."""
        ...


class Feed(Protocol):
    """What tells connected verifiers, and knows what they hold."""

    async def confirmed(self, position: int, within: float) -> Confirmed:
        """Wait until all hold everything to that position of the store, or so many seconds are over."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was revoked, and who knows; `confirmed` is None where nobody waited or nobody is told."""

    revocation: Revocation
    confirmed: Confirmed | None


class RevocationService:
    """What operators do; `feed` is asked for when it is needed, and may be None."""

    def __init__(self, store: Store, clock: Clock, feed: Callable[[], Feed | None]) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._driven: set[str] = set()
        self._left = asyncio.Event()

    async def preview(self, target: Target, value: str) -> Affected:
        """What it would end now.

        Raises:
            NotFoundError: there is no such thing.
            InvalidArgumentError: what is named is no SPIFFE ID.
        """
        now = self._now()
        return await self._store.read(lambda tx: affected(tx, target, value, now))

    async def revoke(self, asked: Revocation, wait: float) -> Outcome:
        """End all of it, then wait so many seconds at most until connected verifiers know.

        Raises:
            InvalidArgumentError: it does not say what and why.
            NotFoundError: there is no such thing.
        """
        check(asked.target, asked.value, asked.reason, suspend=asked.suspend)
        one = await self._store.write(lambda tx: begun(tx, asked))
        done = await self._driven_on(one)
        log.info(
            "Revoked",
            target=asked.target.value, value=asked.value, tasks=done.tasks, credentials=done.credentials,
        )  # fmt: skip
        feed = self._feed() if wait else None
        return Outcome(done, await feed.confirmed(self._store.sequence, wait) if feed is not None else None)

    async def run(self) -> None:
        """Finish, until cancelled, what somebody left: a server that was killed, a caller who went away."""
        while True:
            self._left.clear()
            try:
                await self.finish()
            except AssayError as error:
                log.error("Failed to finish a revocation", error=str(error))  # noqa: TRY400 - a refusal, no fault
            await first_of(self._left.wait(), self._clock.sleep(INTERVAL))

    async def finish(self) -> None:
        """Finish all that nobody is at."""
        for one in await self._store.read(running):
            if one.revocation_id not in self._driven:
                await self._driven_on(one)

    async def _driven_on(self, one: Revocation) -> Revocation:
        """Slice by slice to its end."""
        self._driven.add(one.revocation_id)
        try:
            while not one.done_at:
                now, name = self._now(), one.revocation_id
                one = await self._store.write(lambda tx, name=name, now=now: continued(tx, name, now))  # type: ignore[misc]
        finally:
            self._driven.discard(one.revocation_id)
            if not one.done_at:
                self._left.set()
        return one

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
