"""Puts SVIDs of entries with `store_svid` into stores, when they are issued and renewed, and takes them out again."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

import structlog

from assay.bundle import Bundle
from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError
from assay.plugin.svidstore import StoredSvid, SvidStore
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay.waiting import first_of
from assay_agent.cache import Cache
from assay_agent.svidstore.journal import Journal
from assay_agent.svidstore.plan import Place, assign, outdated

log = structlog.get_logger(__name__)

# Seconds until what failed is tried again, as in SPIRE.
RETRY = 5.0


@dataclass(frozen=True, slots=True)
class _Content:
    """What was put, compared by what it is made of."""

    place: Place
    svid: X509Svid
    bundle: Bundle
    federated: tuple[Bundle, ...]


class Keeper:
    """The loop; stores are by the names that selectors' types give them.

    Nothing is removed before the server has said once what there is. What an earlier run put somewhere is in the
    journal, and goes when its entry has gone meanwhile.
    """

    def __init__(
        self,
        cache: Cache,
        stores: Mapping[str, SvidStore],
        journal: Journal,
        clock: Clock,
        trust_domain: TrustDomain,
    ) -> None:
        self._cache = cache
        self._stores = stores
        self._journal = journal
        self._clock = clock
        self._trust_domain = trust_domain
        self._wanted: frozenset[str] = frozenset()
        self._done: dict[str, _Content] = {}
        self._senseless: dict[str, _Content] = {}
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Keep the stores as the cache says, for ever."""
        while True:
            failed = await self.settle()
            waits: list[Awaitable[object]] = [self._cache.wait_stored()]
            if failed:
                waits.append(self._clock.sleep(RETRY))
            await first_of(*waits)

    async def settle(self) -> bool:
        """Do what is to be done now; whether something failed that may succeed later."""
        entries = {one.id: one for one in self._cache.entries.values() if one.store_svid}
        assignment = assign(entries.values(), self._stores)
        self._tell({**assignment.refused, **self._lost(assignment.places)})
        self._want(frozenset(assignment.places))
        if not self._cache.synced:
            return False
        failed = False
        for entry_id, place in outdated(self._journal.held, assignment.places):
            # What lies there by now may be another entry's.
            others = any(one.place == place for other, one in self._done.items() if other != entry_id)
            failed |= place.store in self._stores and not await self._take_out(entry_id, place, keep=others)
        for entry_id, place in assignment.places.items():
            content = self._content(entries[entry_id], place)
            if content is not None and content not in {self._done.get(entry_id), self._senseless.get(entry_id)}:
                failed |= not await self._put(entries[entry_id], content)
        return failed

    def _want(self, wanted: frozenset[str]) -> None:
        """Have those signed, and no others."""
        self._cache.want(wanted - self._wanted)
        self._cache.release(self._wanted - wanted)
        self._wanted = wanted
        for known in (self._done, self._senseless):
            for entry_id in known.keys() - wanted:
                del known[entry_id]

    def _lost(self, places: Mapping[str, Place]) -> dict[str, str]:
        """What lies in a store that is not configured any more."""
        return {
            entry_id: f'its SVID stays where it is: no SVIDStore plugin "{place.store}" is configured'
            for entry_id, place in outdated(self._journal.held, places)
            if place.store not in self._stores
        }

    def _tell(self, refused: Mapping[str, str]) -> None:
        for entry_id, why in refused.items():
            if self._told.get(entry_id) != why:
                log.error("SVID cannot be stored", entry=entry_id, error=why)
        self._told = dict(refused)

    def _content(self, entry: Entry, place: Place) -> _Content | None:
        svid, bundles = self._cache.svids.get(entry.id), self._cache.bundles
        if svid is None or svid.spiffe_id != entry.spiffe_id:
            return None
        named = sorted(one for one in entry.federates_with if one != self._trust_domain)
        federated = tuple(bundles[one] for one in named if one in bundles)
        return _Content(place, svid, bundles[self._trust_domain], federated)

    async def _put(self, entry: Entry, content: _Content) -> bool:
        place = content.place
        fields = {"entry": entry.id, "spiffe_id": str(entry.spiffe_id), "svid_store": place.store}
        try:
            await asyncio.to_thread(self._journal.add, entry.id, place)
            await self._stores[place.store].put(place.target, _stored(content))
        except InvalidArgumentError as error:
            self._senseless[entry.id] = content
            log.error("Failed to put X509-SVID", error=str(error), **fields)  # noqa: TRY400 - a refusal
            return True
        except AssayError as error:
            log.error("Failed to put X509-SVID", error=str(error), **fields)  # noqa: TRY400 - a refusal
            return False
        except Exception:
            # A plugin's fault must not end the agent.
            log.exception("Failed to put X509-SVID", **fields)
            return False
        self._done[entry.id] = content
        log.debug("SVID stored successfully", **fields)
        return True

    async def _take_out(self, entry_id: str, place: Place, *, keep: bool) -> bool:
        fields = {"entry": entry_id, "svid_store": place.store}
        try:
            if not keep:
                await self._stores[place.store].delete(place.target)
        except InvalidArgumentError as error:
            log.debug("Failed to delete SVID because of malformed selectors", error=str(error), **fields)
        except AssayError as error:
            log.error("Failed to delete SVID", error=str(error), **fields)  # noqa: TRY400 - a refusal
            return False
        except Exception:
            # As above.
            log.exception("Failed to delete SVID", **fields)
            return False
        return await self._forget(entry_id, fields)

    async def _forget(self, entry_id: str, fields: Mapping[str, str]) -> bool:
        self._done.pop(entry_id, None)
        try:
            await asyncio.to_thread(self._journal.remove, entry_id)
        except AssayError as error:
            log.error("Failed to delete SVID", error=str(error), **fields)  # noqa: TRY400 - a refusal
            return False
        log.debug("SVID deleted successfully", **fields)
        return True


def _stored(content: _Content) -> StoredSvid:
    svid = content.svid
    return StoredSvid(
        svid.spiffe_id,
        svid.chain,
        svid.key_pkcs8,
        _certificates(content.bundle),
        {one.trust_domain: _certificates(one) for one in content.federated},
    )


def _certificates(bundle: Bundle) -> tuple[bytes, ...]:
    return tuple(one.der for one in bundle.x509_authorities)
