"""Keeps the cache's SVIDs signed: what the plan names, in batches, until there is nothing to do."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from assay.backoff import Backoff
from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, FailedPreconditionError
from assay.keymanager.base import KeyType
from assay.rotation import draw, renew_at, rest
from assay.svid import X509Svid
from assay.telemetry.metrics import OFF, Metrics, measured
from assay.waiting import first_of
from assay_agent.cache.cache import Cache
from assay_agent.cache.vouched import sound_authorities, vouched
from assay_agent.client.values import Signed
from assay_agent.sync.csrs import AT_ONCE, KeyedRequest, batch_limit, make_requests
from assay_agent.sync.gauges import gauge_svids, sample_due
from assay_agent.sync.plan import Held, Outlook, Plan, Postponed, plan

log = structlog.get_logger(__name__)

RETRY = Backoff(first=0.5, limit=240)
REFUSED = Backoff(first=5, limit=240)
# The wall clock may jump, and a laptop sleep: never trust one long wait.
LONGEST_LOOK_AWAY = 60.0
FETCH = ("manager", "sync", "fetch_svids_updates")
TAINTING = ("cache_manager", "workload", "process_tainted_x509_svids")
TAINTED = ("cache_manager", "tainted_x509_svids", "workload")


class SigningClient(Protocol):
    """Who signs: ServerClient."""

    async def new_x509_svids(self, requests: Sequence[tuple[str, bytes]]) -> Signed:
        """Sign requests, each an entry ID and a CSR; raises AssayError."""
        ...


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """`limit` is how many SVIDs to keep beside those that somebody follows; `availability_target` is in seconds."""

    key_type: KeyType = KeyType.EC_P256
    limit: int = 1000
    availability_target: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """An SVID, which is not renewed before `rested` by the monotonic clock: the wall clock may be set back."""

    svid: X509Svid
    held: Held
    rested: float

    def resting(self, ahead: float) -> Held:
        """As the plan takes it; `ahead` is by how much the wall clock is ahead of the monotonic one."""
        rested = self.rested + ahead
        return self.held if rested <= self.held.renew_at else replace(self.held, renew_at=rested)


@dataclass(frozen=True, slots=True)
class _Refused:
    """An entry that was refused so often, and is left alone until then by the monotonic clock."""

    entry: Entry
    failures: int
    until: float


class Signer:
    """The loop that signs. `draw_jitter` gives random numbers in [0, 1)."""

    def __init__(
        self,
        cache: Cache,
        client: SigningClient,
        clock: Clock,
        settings: SigningSettings,
        draw_jitter: Callable[[], float],
        metrics: Metrics = OFF,
    ) -> None:
        self._metrics = metrics
        self._cache = cache
        self._client = client
        self._clock = clock
        self._settings = settings
        self._draw = draw_jitter
        self._kept: dict[str, _Kept] = {}
        self._refused: dict[str, _Refused] = {}
        self._authorities: frozenset[bytes] = frozenset()
        self._batch = batch_limit(settings.key_type)
        self._failures = 0
        self._changed = asyncio.Event()
        self._reachable = asyncio.Event()

    def use(self, settings: SigningSettings) -> None:
        """Take these from now on; SVIDs keep the keys that they have, and are renewed when these say."""
        self._settings = settings
        self._kept = {
            entry_id: replace(kept, held=Held(kept.held.entry, self._renew_at(kept.svid)))
            for entry_id, kept in self._kept.items()
        }
        self._batch = batch_limit(settings.key_type)
        self.changed()

    def changed(self) -> None:
        """Entries have changed: look again."""
        self._changed.set()

    def reachable(self) -> None:
        """The server has answered again: try now what failed before."""
        self._reachable.set()

    async def run(self) -> None:
        """Sign whatever is due, for ever."""
        while True:
            self._changed.clear()
            todo = self._plan()
            if entry_ids := todo.pressing or todo.others:
                await self._sign(entry_ids)
            else:
                if self._cache.evict(self._settings.limit):
                    gauge_svids(self._metrics, self._cache)
                await self._wait(todo.next_at)

    def _plan(self) -> Plan:
        svids, entries = self._cache.svids, self._cache.entries
        # An SVID counts while it is the one the cache serves: a lost or replaced one is to be signed anew.
        self._kept = {entry_id: kept for entry_id, kept in self._kept.items() if svids.get(entry_id) is kept.svid}
        self._drop_unvouched()
        self._refused = {entry_id: one for entry_id, one in self._refused.items() if entry_id in entries}
        ahead = self._now - self._clock.monotonic()
        return plan(
            self._now,
            Outlook(
                entries,
                {entry_id: kept.resting(ahead) for entry_id, kept in self._kept.items()},
                self._cache.wanted,
                self._settings.limit,
                {entry_id: Postponed(one.entry, one.until + ahead) for entry_id, one in self._refused.items()},
            ),
        )

    def _drop_unvouched(self) -> None:
        """Have those signed anew whose authority has left the bundle, or is tainted now."""
        some = next((kept.svid for kept in self._kept.values()), None)
        bundle = None if some is None else self._cache.bundles.get(some.spiffe_id.trust_domain)
        if bundle is None:
            return
        before, self._authorities = self._authorities, (sound := sound_authorities(bundle))
        if before <= sound:
            return
        now, held = self._clock.now(), len(self._kept)
        with measured(self._metrics, TAINTING):
            self._kept = {entry_id: kept for entry_id, kept in self._kept.items() if vouched(kept.svid, bundle, now)}
        count = held - len(self._kept)
        self._metrics.sample(TAINTED, count)
        if count:
            log.debug("Scheduled rotation for SVID entries due to tainted X.509 authorities", count=count)

    async def _sign(self, entry_ids: Sequence[str]) -> None:
        entries = [self._cache.entries[entry_id] for entry_id in entry_ids[: self._batch]]
        self._announce(entries)
        try:
            with measured(self._metrics, FETCH):
                requests = await make_requests(entries, self._settings.key_type)
                signed = await self._client.new_x509_svids([(one.entry.id, one.csr) for one in requests])
        except AssayError as error:
            await self._fail(error)
            return
        self._failures = 0
        self._batch = min(batch_limit(self._settings.key_type), self._batch * 2)
        await self._take(requests, signed)
        gauge_svids(self._metrics, self._cache)

    def _announce(self, entries: Sequence[Entry]) -> None:
        sample_due(self._metrics, [(kept.held.entry, one) for one in entries if (kept := self._kept.get(one.id))])
        for entry in entries:
            kept = self._kept.get(entry.id)
            if kept is None:
                log.info("Creating X509-SVID", entry_id=entry.id, spiffe_id=str(entry.spiffe_id))
            else:
                log.info(
                    "Renewing X509-SVID",
                    entry_id=entry.id,
                    spiffe_id=str(entry.spiffe_id),
                    expires_at=datetime.fromtimestamp(kept.svid.not_after, UTC).isoformat(),
                )

    async def _fail(self, error: AssayError) -> None:
        self._failures += 1
        self._batch = max(1, self._batch // 2)
        log.error("SVID sync failed", error=str(error))
        self._reachable.clear()
        await first_of(self._reachable.wait(), self._clock.sleep(RETRY.delay(self._failures, self._draw())))

    async def _take(self, requests: Sequence[KeyedRequest], signed: Signed) -> None:
        for number, request in enumerate(requests, start=1):
            chain = signed.chains.get(request.entry.id)
            refusal = signed.refused.get(request.entry.id)
            if chain is not None:
                refusal = self._accept(request, chain)
            if chain is None or refusal is not None:
                self._postpone(request.entry, str(refusal or "server left it out of its answer"))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _accept(self, request: KeyedRequest, chain: Sequence[bytes]) -> AssayError | None:
        entry = request.entry
        try:
            svid = X509Svid.parse(chain, request.key)
        except AssayError as error:
            return error
        now = self._cache.entries.get(entry.id)
        if now is not None and now.spiffe_id == entry.spiffe_id != svid.spiffe_id:
            return FailedPreconditionError(f"server signed another SPIFFE ID: {svid.spiffe_id}")
        rested = self._clock.monotonic() + rest(svid.not_after - self._now)
        self._cache.set_svid(entry.id, svid)
        self._kept[entry.id] = _Kept(svid, Held(entry, self._renew_at(svid)), rested)
        self._refused.pop(entry.id, None)
        return None

    def _renew_at(self, svid: X509Svid) -> float:
        return renew_at(svid.not_before, svid.not_after, draw(svid.chain[0]), self._settings.availability_target)

    def _postpone(self, entry: Entry, reason: str) -> None:
        failures = self._refused[entry.id].failures + 1 if entry.id in self._refused else 1
        delay = REFUSED.delay(failures, self._draw())
        log.warning(
            "Failed to sign X509-SVID", entry_id=entry.id, spiffe_id=str(entry.spiffe_id), error=reason, retry=delay
        )
        self._refused[entry.id] = _Refused(entry, failures, self._clock.monotonic() + delay)

    async def _wait(self, until: float) -> None:
        pause = min(LONGEST_LOOK_AWAY, until - self._now) if math.isfinite(until) else math.inf
        waits: list[Awaitable[object]] = [self._changed.wait(), self._cache.wait_wanted()]
        if math.isfinite(pause):
            waits.append(self._clock.sleep(pause))
        await first_of(*waits)

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()
