"""FetchWITSVID: the caller's WIT-SVIDs now, and whenever they are renewed or its identities change."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from assay.backoff import Backoff
from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, UnavailableError
from assay.spiffeid import SpiffeId
from assay.waiting import first_of
from assay.workloadapi.wire import Context
from assay_agent.cache import Cache
from assay_agent.cache.wit import Key, Wit, WitCache, key_of
from assay_agent.instance.instances import Instances
from assay_agent.workload.caller import Caller
from assay_agent.workload.streams import SERVICE, no_identity, passed_on
from assay_proto.workloadapi import workloadapi_pb2 as pb

log = structlog.get_logger(__name__)

METHOD = "FetchWITSVID"
RETRY = Backoff(first=5, limit=240)
# The wall clock may jump, and a laptop sleep: never trust one long wait.
LONGEST_LOOK_AWAY = 60.0


@dataclass(frozen=True, slots=True)
class WitFollower:
    """One call. `wanted` is the only identity it asks for; all if None."""

    cache: Cache
    wits: WitCache
    instances: Instances
    clock: Clock
    caller: Caller
    wanted: SpiffeId | None
    draw: Callable[[], float] = random.random

    async def follow(self, context: Context) -> None:
        """Send until the caller goes; responses equal to the last are left out.

        Raises:
            AssayError: the caller has died, is entitled to nothing any more, or no token can be had for it.
        """
        sent, failures = b"", 0
        found: dict[Key, Wit] = {}
        with self.cache.subscribe(self.caller.selectors, signed=False) as views:
            await anext(views)
            while True:
                entries = await self._entitled()
                found = await self._fetch(entries, found)
                reply = _encode(entries, found)
                if reply != sent:
                    self.caller.check_alive()
                    await context.write(reply)
                    sent = reply
                    self._log(entries, found)
                overdue = len(found) < len(entries) or min(one.renew_at for one in found.values()) <= self._now
                failures = failures + 1 if overdue else 0
                # Whatever has changed meanwhile makes the first of these return at once.
                await first_of(anext(views), self.clock.sleep(self._pause(found, failures)))

    @property
    def _now(self) -> float:
        return self.clock.now().timestamp()

    async def _entitled(self) -> Sequence[Entry]:
        """The caller's entries; those that name instances have the SPIFFE ID that it has by them."""
        entries = [*self.cache.matching(self.caller.selectors), *await self._own()]
        if self.wanted is not None:
            entries = [entry for entry in entries if entry.spiffe_id == self.wanted]
        if not entries:
            raise no_identity(self.caller, METHOD)
        return entries

    async def _own(self) -> Sequence[Entry]:
        found: list[Entry] = []
        for entry in self.cache.instanced(self.caller.selectors):
            try:
                found.append(replace(entry, spiffe_id=await self.instances.spiffe_id(self.caller, entry)))
            except AssayError as error:
                log.warning("Instance is not known", pid=self.caller.peer.pid, entry=entry.id, error=str(error))
        return found

    async def _fetch(self, entries: Sequence[Entry], held: Mapping[Key, Wit]) -> dict[Key, Wit]:
        """What is held and not due, and the rest; one that the server refuses does not keep the caller from others."""
        asked = (self._one(entry, held.get(key_of(entry))) for entry in entries)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[Key, Wit] = {}
        refused: list[AssayError] = []
        for entry, answer in zip(entries, answers, strict=True):
            if isinstance(answer, Wit):
                found[key_of(entry)] = answer
            elif isinstance(answer, AssayError):
                refused.append(passed_on(answer, entry, "WIT-SVID"))
                self._complain(entry, answer)
            else:
                raise answer
        if refused and not found:
            raise refused[0]
        return found

    async def _one(self, entry: Entry, held: Wit | None) -> Wit:
        if held is not None and self._now < held.renew_at and self.wits.trusts(held):
            return held
        if not entry.principal:
            return await self.wits.fetch(entry)
        try:
            return await self.instances.wit(self.caller, entry, self.wits)
        except UnavailableError:
            if held is not None and self._now < held.expires_at and self.wits.trusts(held):
                return held
            raise

    def _pause(self, found: Mapping[Key, Wit], failures: int) -> float:
        if failures:
            until = RETRY.delay(failures, self.draw())
        else:
            until = min(one.renew_at for one in found.values()) - self._now
        ends = [one.expires_at - self._now for one in found.values() if one.expires_at > self._now]
        return max(0.0, min(until, LONGEST_LOOK_AWAY, *ends))

    def _complain(self, entry: Entry, error: AssayError) -> None:
        log.error("Could not fetch WIT-SVID", error=str(error), spiffe_id=str(entry.spiffe_id), **self._fields)

    def _log(self, entries: Sequence[Entry], found: Mapping[Key, Wit]) -> None:
        for entry in entries:
            if (wit := found.get(key_of(entry))) is not None:
                ttl = wit.expires_at - self._now
                log.debug("Fetched WIT-SVID", spiffe_id=str(entry.spiffe_id), ttl=ttl, **self._fields)

    @property
    def _fields(self) -> dict[str, object]:
        return {"method": METHOD, "pid": self.caller.peer.pid, "registered": True, "service": SERVICE}


def _encode(entries: Sequence[Entry], found: Mapping[Key, Wit]) -> bytes:
    held = [(entry, found[key_of(entry)]) for entry in entries if key_of(entry) in found]
    svids = [
        pb.WITSVID(spiffe_id=str(entry.spiffe_id), wit_svid=wit.token, wit_svid_key=wit.key, hint=entry.hint)
        for entry, wit in held
    ]
    return pb.WITSVIDResponse(svids=svids).SerializeToString(deterministic=True)
