"""Keeps the cache as the server says: by Watch, or by polling a server that does not have it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from time import perf_counter
from typing import Protocol

import structlog

from assay.backoff import Backoff
from assay.bundle import Bundle
from assay.clock import Clock
from assay.errors import AssayError, PermissionDeniedError, UnimplementedError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.metrics import OFF, Metrics, ended, measured, status_of
from assay_agent.cache.cache import Cache
from assay_agent.cache.update import Update
from assay_agent.client.values import Position, WatchUpdate
from assay_agent.sync.gauges import gauge_sync, news_of
from assay_agent.sync.poll import PollClient, poll

log = structlog.get_logger(__name__)

RECONNECT = Backoff(first=0.5, limit=60, factor=2, jitter=0.5)
# Rounds without an update that follow each other at once: one refused, one with the new SVID, one more for a renewal.
FRUITLESS_AT_ONCE = 3
# How long at most a failing poll waits, as in SPIRE: seconds, and multiples of the interval.
POLL_LIMIT, POLL_LIMIT_MULTIPLE = 480.0, 48
POLL_JITTER = 0.1
FETCH = ("manager", "sync", "fetch_entries_updates")


class SyncClient(PollClient, Protocol):
    """The part of ServerClient that following takes."""

    def watch(self, position: Position | None) -> AsyncGenerator[WatchUpdate]:
        """Updates, until the agent's credentials are renewed; raises AssayError."""
        ...


class Node(Protocol):
    """The agent itself, whose right the server may end."""

    @property
    def spiffe_id(self) -> SpiffeId:
        """Its ID now."""
        ...

    def heeding(self) -> AbstractAsyncContextManager[None]:
        """Do what the server's refusal of the agent asks for and end quietly when the agent can try again.

        What comes through with a reason is final.
        """
        ...


class Signer(Protocol):
    """Who makes SVIDs for the entries."""

    def changed(self) -> None:
        """Entries have changed."""
        ...

    def reachable(self) -> None:
        """The server answers again."""
        ...


class Follower:
    """The loop that follows the server, through its absences.

    `poll_interval` is in seconds, `on_bundle` is told of changes of the own bundle, `draw` gives numbers in [0, 1).
    """

    def __init__(
        self,
        client: SyncClient,
        cache: Cache,
        node: Node,
        signer: Signer,
        clock: Clock,
        *,
        trust_domain: TrustDomain,
        on_bundle: Callable[[Bundle], None],
        poll_interval: float,
        draw: Callable[[], float],
        metrics: Metrics = OFF,
    ) -> None:
        self._metrics = metrics
        self._client = client
        self._cache = cache
        self._node = node
        self._signer = signer
        self._clock = clock
        self._trust_domain = trust_domain
        self._on_bundle = on_bundle
        self._interval = poll_interval
        self._draw = draw
        self._followed: tuple[SpiffeId, Position] | None = None
        self._polling = False
        self._failures = 0
        self._fruitless = 0
        self._synced = asyncio.Event()
        self._last_sync = 0.0
        self._in_touch = False

    @property
    def last_sync(self) -> float:
        """When the cache last was as the server says, in Unix seconds: now, while a stream is open; 0 if never."""
        return self._clock.now().timestamp() if self._in_touch else self._last_sync

    def use_interval(self, poll_interval: float) -> None:
        """Poll so often from the next time on."""
        self._interval = poll_interval

    async def wait_synced(self) -> None:
        """Return when the first snapshot is in the cache."""
        await self._synced.wait()

    async def run(self) -> None:
        """Follow for ever.

        Raises:
            PermissionDeniedError: the agent's right has ended for good.
        """
        while True:
            await self._pace()
            try:
                async with self._node.heeding():
                    await (self._poll() if self._polling else self._watch())
            except UnimplementedError as error:
                await self._unbuilt(error)
            except AssayError as error:
                if isinstance(error, PermissionDeniedError) and error.reason is not None:
                    raise
                await self._failed(error)

    async def _pace(self) -> None:
        """Wait when rounds bring nothing: a server may refuse the very SVID it has just issued, again and again."""
        self._fruitless += 1
        if self._fruitless > FRUITLESS_AT_ONCE:
            await self._clock.sleep(RECONNECT.delay(self._fruitless - FRUITLESS_AT_ONCE, self._draw()))

    async def _watch(self) -> None:
        began = perf_counter()
        try:
            async with aclosing(self._client.watch(self._position())) as updates:
                async for update in updates:
                    self._in_touch = True
                    with measured(self._metrics, FETCH):
                        self._apply(_step(update))
                    self._followed = self._node.spiffe_id, update.position
        except AssayError as error:
            if not isinstance(error, UnimplementedError):
                ended(self._metrics, FETCH, status_of(error), began)
            raise
        finally:
            self._last_sync = self.last_sync
            self._in_touch = False

    async def _poll(self) -> None:
        with measured(self._metrics, FETCH):
            self._apply(await poll(self._client, self._cache))
        await self._clock.sleep(Backoff(self._interval, self._interval, jitter=POLL_JITTER).delay(1, self._draw()))

    def _position(self) -> Position | None:
        """Where to go on; another agent ID has other entries."""
        if self._followed is None or self._followed[0] != self._node.spiffe_id:
            return None
        return self._followed[1]

    def _apply(self, update: Update) -> None:
        own = [bundle for bundle in update.bundles if bundle.trust_domain == self._trust_domain]
        for bundle in own:
            self._on_bundle(bundle)
        news = news_of(self._cache, update)
        self._cache.apply(update)
        gauge_sync(self._metrics, self._cache, news)
        self._last_sync = self._clock.now().timestamp()
        self._fruitless = 0
        if self._failures or not self._synced.is_set():
            self._failures = 0
            self._signer.reachable()
        self._signer.changed()
        if self._cache.synced:
            self._synced.set()

    async def _unbuilt(self, error: UnimplementedError) -> None:
        if self._polling:
            await self._failed(error)
            return
        log.info("Server has no Watch; polling for changes", sync_interval=self._interval)
        self._polling = True
        self._followed = None

    async def _failed(self, error: AssayError) -> None:
        self._failures += 1
        limit = min(POLL_LIMIT, POLL_LIMIT_MULTIPLE * self._interval)
        backoff = Backoff(self._interval, limit) if self._polling else RECONNECT
        delay = backoff.delay(self._failures, self._draw())
        log.error(
            "Synchronize failed",
            error=f"failed to fetch authorized entries: {error}",
            retry_interval=f"{delay:.3f}s",
        )
        self._polling = False  # whoever answers next may be a newer server
        await self._clock.sleep(delay)


def _step(update: WatchUpdate) -> Update:
    own = () if update.bundle is None else (update.bundle,)
    return Update(
        snapshot=update.snapshot,
        entries=update.entries,
        removed=update.removed,
        bundles=(*own, *update.federated),
        removed_bundles=update.removed_federated,
    )
