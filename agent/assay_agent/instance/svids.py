"""X.509-SVIDs of instances: signed when a process asks, renewed while it follows, gone when it has ended."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError
from assay.rotation import draw, renew_at, rest
from assay.svid import X509Svid
from assay.transport.peer import UnixPeer
from assay.waiting import first_of
from assay_agent.cache import Cache, Identity
from assay_agent.cache.vouched import sound_authorities, vouched
from assay_agent.client.values import InstanceRequest
from assay_agent.instance.known import Instance, KnownInstances
from assay_agent.sync.csrs import KeyedRequest, make_requests
from assay_agent.sync.signer import LONGEST_LOOK_AWAY, REFUSED, RETRY, SigningSettings

log = structlog.get_logger(__name__)

# How many are asked for at once: also those that have come meanwhile should not wait for long.
BATCH = 64


class InstanceSource(Protocol):
    """Who signs: ServerClient."""

    async def new_instance_svids(self, requests: Sequence[InstanceRequest]) -> list[tuple[bytes, ...] | AssayError]:
        """A chain for each, in order, or why there is none; raises AssayError."""
        ...


class InstanceSvids:
    """The loop that signs. `draw_jitter` gives random numbers in [0, 1)."""

    def __init__(
        self,
        cache: Cache,
        source: InstanceSource,
        clock: Clock,
        settings: SigningSettings,
        draw_jitter: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._source = source
        self._clock = clock
        self._settings = settings
        self._draw = draw_jitter
        self._known = KnownInstances(settings.limit)
        self._authorities: frozenset[bytes] = frozenset()
        self._failures = 0
        self._changed = asyncio.Event()
        self._reachable = asyncio.Event()

    def __len__(self) -> int:
        return len(self._known)

    def follow(self, entry: Entry, value: str, peer: UnixPeer, wake: Callable[[], object]) -> Instance:
        """The instance that this process is; `wake` is called when its SVID has changed, until `leave`."""
        instance = self._known.follow(entry, value, peer, wake)
        # One that nobody followed was not renewed.
        if instance.identity is not None and instance.identity.svid.not_after <= self._now:
            instance.identity = None
        self._changed.set()
        return instance

    def leave(self, instance: Instance, wake: Callable[[], object]) -> None:
        """Not followed any more by whom that woke."""
        self._known.leave(instance, wake)

    def use(self, settings: SigningSettings) -> None:
        """Take these from now on; SVIDs keep the keys that they have, and are renewed when these say."""
        self._settings = settings
        self._known.limit = settings.limit
        for instance in self._known.all:
            if instance.identity is not None:
                instance.renew_at = self._renew_at(instance.identity.svid)
        self.changed()

    def changed(self) -> None:
        """Entries or bundles have changed: look again."""
        if len(self._known):
            self._changed.set()

    def reachable(self) -> None:
        """The server has answered again: try now what failed before."""
        self._reachable.set()

    async def run(self) -> None:
        """Have signed whatever is due, for ever."""
        while True:
            self._changed.clear()
            self._look_at_entries()
            self._look_at_authorities()
            now, monotonic = self._now, self._clock.monotonic()
            pauses = [(one.due_in(now, monotonic), one) for one in self._known.followed]
            if due := [one for pause, one in pauses if pause <= 0]:
                await self._sign(due[:BATCH])
            else:
                await self._wait(min((pause for pause, _ in pauses), default=math.inf))

    def _look_at_entries(self) -> None:
        for instance in self._known.all:
            entry = self._cache.entries.get(instance.entry.id)
            if entry is None or entry.instance_from != instance.entry.instance_from:
                self._known.drop(instance)
            else:
                instance.put_entry(entry)

    def _look_at_authorities(self) -> None:
        """Have those signed anew whose authority has left the bundle, or is tainted now."""
        known = self._known.all
        # Also before the first is signed: an authority may leave while it is.
        bundle = self._cache.bundles.get(known[0].entry.spiffe_id.trust_domain) if known else None
        if bundle is None:
            return
        before, self._authorities = self._authorities, (sound := sound_authorities(bundle))
        if before <= sound:
            return
        now = self._clock.now()
        for instance in known:
            if instance.identity is not None and not vouched(instance.identity.svid, bundle, now):
                instance.signed_for = None

    async def _sign(self, instances: Sequence[Instance]) -> None:
        entries = [instance.entry for instance in instances]
        try:
            requests = await make_requests(entries, self._settings.key_type)
            asked = [
                InstanceRequest(instance.entry.id, instance.value, request.csr)
                for instance, request in zip(instances, requests, strict=True)
            ]
            chains = await self._source.new_instance_svids(asked)
        except AssayError as error:
            await self._fail(error)
            return
        self._failures = 0
        for instance, request, chain in zip(instances, requests, chains, strict=True):
            refusal = chain if isinstance(chain, AssayError) else self._accept(instance, request, chain)
            if refusal is not None:
                self._postpone(instance, refusal)
            instance.wake()

    def _accept(self, instance: Instance, request: KeyedRequest, chain: Sequence[bytes]) -> AssayError | None:
        try:
            svid = X509Svid.parse(chain, request.key)
        except AssayError as error:
            return error
        instance.renew_at = self._renew_at(svid)
        instance.rested = self._clock.monotonic() + rest(svid.not_after - self._now)
        instance.identity = Identity(replace(request.entry, spiffe_id=svid.spiffe_id), svid)
        instance.signed_for, instance.refusal = request.entry, None
        instance.failures, instance.retry_at = 0, 0.0
        log.info("Signed X509-SVID of instance", entry_id=request.entry.id, spiffe_id=str(svid.spiffe_id))
        return None

    def _renew_at(self, svid: X509Svid) -> float:
        return renew_at(svid.not_before, svid.not_after, draw(svid.chain[0]), self._settings.availability_target)

    def _postpone(self, instance: Instance, refusal: AssayError) -> None:
        instance.failures += 1
        delay = REFUSED.delay(instance.failures, self._draw())
        instance.refusal, instance.retry_at = refusal, self._clock.monotonic() + delay
        log.warning(
            "Failed to sign X509-SVID of instance",
            entry_id=instance.entry.id,
            principal=instance.entry.principal,
            error=str(refusal),
            retry=delay,
        )

    async def _fail(self, error: AssayError) -> None:
        self._failures += 1
        log.error("Could not have SVIDs of instances signed", error=str(error))
        self._reachable.clear()
        await first_of(self._reachable.wait(), self._clock.sleep(RETRY.delay(self._failures, self._draw())))

    async def _wait(self, pause: float) -> None:
        waits: list[Awaitable[object]] = [self._changed.wait()]
        if math.isfinite(pause):
            waits.append(self._clock.sleep(min(LONGEST_LOOK_AWAY, pause)))
        await first_of(*waits)

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()
