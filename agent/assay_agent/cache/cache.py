"""The agent's memory: entries, bundles and SVIDs, and who follows them. Used on one event loop only."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType

import structlog

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import UnavailableError
from assay.selector import Selector
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay_agent.cache.bundles import BundleFollowers, BundleSubscription
from assay_agent.cache.demand import Demand
from assay_agent.cache.groups import Groups
from assay_agent.cache.hints import repeated_hints
from assay_agent.cache.index import EntryIndex
from assay_agent.cache.subscription import PATIENCE, Group, Subscription
from assay_agent.cache.update import Update
from assay_agent.cache.view import Identity, WorkloadView

log = structlog.get_logger(__name__)


class Cache:
    """Fed by the sync and the signer, read by the workload's APIs.

    Entries with `store_svid` are among `entries` and match no workload: their SVIDs go to a store, whose keeper wants
    them by ID. Those with `instance_from` match, but have no SVID here, since each copy of a workload has its own
    (`assay_agent.instance`). `patience` is how many seconds a follower waits for SVIDs that are being signed.
    """

    def __init__(self, trust_domain: TrustDomain, *, patience: float = PATIENCE) -> None:
        self._trust_domain = trust_domain
        self._patience = patience
        self._entries: dict[str, Entry] = {}
        self._bundles: dict[TrustDomain, Bundle] = {}
        self._svids: dict[str, X509Svid] = {}
        self._identities: dict[str, Identity] = {}
        self._used: dict[str, None] = {}
        self._index = EntryIndex()
        self._groups = Groups()
        self._demand = Demand()
        self._bundle_followers = BundleFollowers(self._bundles)
        self._stored = asyncio.Event()
        self._snapshot = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every entry the agent is authorized for, by ID."""
        return MappingProxyType(self._entries)

    @property
    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """The own bundle and the federated ones, by trust domain."""
        return MappingProxyType(self._bundles)

    @property
    def svids(self) -> Mapping[str, X509Svid]:
        """SVIDs by entry ID."""
        return MappingProxyType(self._svids)

    @property
    def synced(self) -> bool:
        """Whether a snapshot has come since the start; before that, not to know an entry means nothing."""
        return self._snapshot and self._trust_domain in self._bundles

    @property
    def wanted(self) -> AbstractSet[str]:
        """IDs of entries whose SVID somebody follows right now, live: to be signed first, never evicted."""
        return self._demand.wanted

    async def wait_wanted(self) -> None:
        """Return when a wanted entry has turned out to lack an SVID since the last call returned."""
        await self._demand.wait()

    async def wait_stored(self) -> None:
        """Return when something that SVIDs in stores depend on has changed since the last call returned."""
        await self._stored.wait()
        self._stored.clear()

    def want(self, entry_ids: Iterable[str]) -> None:
        """Have the SVIDs of these entries signed and kept until they are released."""
        self._want(tuple(entry_ids))

    def release(self, entry_ids: Iterable[str]) -> None:
        """These are not wanted any more by whom they were wanted."""
        self._demand.remove(entry_ids)

    def apply(self, update: Update) -> None:
        """Take what the server said; followers that it concerns wake."""
        removed = set(self._entries).difference(e.id for e in update.entries) if update.snapshot else update.removed
        for entry_id in removed:
            self._remove_entry(entry_id)
        for entry in update.entries:
            self._put_entry(entry)
        known = {bundle.trust_domain for bundle in update.bundles}
        for trust_domain in set(self._bundles) - known if update.snapshot else update.removed_bundles:
            self._remove_bundle(trust_domain)
        for bundle in update.bundles:
            self._put_bundle(bundle)
        self._snapshot = self._snapshot or update.snapshot

    def set_svid(self, entry_id: str, svid: X509Svid) -> None:
        """Keep the SVID, unless its entry has gone or stands for another SPIFFE ID by now."""
        entry = self._entries.get(entry_id)
        if entry is None or entry.spiffe_id != svid.spiffe_id or entry.instance_from:
            log.debug("Entry of SVID is gone or changed", entry=entry_id, spiffe_id=str(svid.spiffe_id))
            return
        log.debug("SVID updated", entry=entry_id, spiffe_id=str(svid.spiffe_id))
        self._svids[entry_id] = svid
        self._used.setdefault(entry_id)
        self._identities[entry_id] = Identity(entry, svid)
        self._touch(entry)

    def drop_svid(self, entry_id: str) -> None:
        """Forget an SVID that must not be used any more; who follows it waits for the next."""
        if entry_id in self._svids:
            self._forget(entry_id)
            self._touch(self._entries[entry_id])

    def evict(self, limit: int) -> int:
        """Forget SVIDs that nobody follows, those out of use for longest first, until `limit` are left.

        A followed SVID stays, so more may be left. Returns how many went.
        """
        idle = [entry_id for entry_id in self._used if entry_id not in self.wanted]
        surplus = idle[: max(0, len(self._svids) - limit)]
        for entry_id in surplus:
            self.drop_svid(entry_id)
        return len(surplus)

    def matching(self, selectors: AbstractSet[Selector]) -> tuple[Entry, ...]:
        """Entries of which all workloads with these selectors have the SVID, by ID, repeated hints left out."""
        return _distinct([entry for entry in self._index.match(selectors) if not entry.instance_from])

    def instanced(self, selectors: AbstractSet[Selector]) -> Sequence[Entry]:
        """Entries of which a workload with these selectors is one instance, by ID."""
        return [entry for entry in self._index.match(selectors) if entry.instance_from]

    def entitled(self, selectors: AbstractSet[Selector]) -> Sequence[Entry]:
        """All of both, with those of repeated hints, which only the Workload API leaves out."""
        return self._index.match(selectors)

    def view(self, selectors: AbstractSet[Selector]) -> WorkloadView:
        """What a workload with these selectors is entitled to now.

        Raises:
            UnavailableError: the own trust domain's bundle is not known yet.
        """
        return self._build(self._index.match(selectors))

    def subscribe(self, selectors: Iterable[Selector], *, signed: bool = True) -> Subscription:
        """Follow what a workload with these selectors is entitled to.

        With `signed` its SVIDs are wanted; without, only bundles are read and nothing waits for a signature.
        """
        group = self._group(frozenset(selectors))
        if signed and not group.wanting:
            self._want(group.shared)
        subscription = Subscription(group, self._leave, signed=signed, patience=self._patience)
        group.join(subscription)
        self._use(group.entries)
        return subscription

    def subscribe_bundles(self) -> BundleSubscription:
        """Follow the bundles of all trust domains."""
        return self._bundle_followers.follow()

    def _group(self, selectors: frozenset[Selector]) -> Group:
        group = self._groups.get(selectors)
        if group is None:
            group = Group(selectors, self._index.match(selectors), self._build)
            self._groups.add(group)
        return group

    def _leave(self, subscription: Subscription) -> None:
        group = subscription.group
        if subscription not in group.followers:
            return
        group.leave(subscription)
        if subscription.signed and not group.wanting:
            self._demand.remove(group.shared)
        if not group.followers:
            self._groups.remove(group)

    def _want(self, entry_ids: Iterable[str]) -> None:
        self._demand.add(entry_ids)
        if any(entry_id not in self._svids for entry_id in entry_ids):
            self._demand.ask()

    def _use(self, entry_ids: Iterable[str]) -> None:
        for entry_id in entry_ids:
            if entry_id in self._used:
                del self._used[entry_id]
                self._used[entry_id] = None

    def _forget(self, entry_id: str) -> None:
        if entry_id in self._svids:
            del self._svids[entry_id], self._identities[entry_id], self._used[entry_id]
        if entry_id in self.wanted:
            self._demand.ask()

    def _touch(self, entry: Entry) -> None:
        if entry.store_svid:
            self._stored.set()
        for group in self._groups.matching(entry):
            group.touch()

    def _put_entry(self, entry: Entry) -> None:
        old = self._entries.get(entry.id)
        if old == entry:
            return
        log.debug("Entry updated" if old else "Entry created", entry=entry.id, spiffe_id=str(entry.spiffe_id))
        if old is not None:
            self._unmatch(old)
        if entry.store_svid or (old is not None and old.store_svid):
            self._stored.set()
        self._entries[entry.id] = entry
        self._keep_identity(entry)
        if not entry.store_svid:
            self._index.put(entry)
        self._match(entry)

    def _keep_identity(self, entry: Entry) -> None:
        svid = self._svids.get(entry.id)
        if svid is not None and svid.spiffe_id == entry.spiffe_id and not entry.instance_from:
            self._identities[entry.id] = Identity(entry, svid)
        else:
            self._forget(entry.id)

    def _remove_entry(self, entry_id: str) -> None:
        entry = self._entries.get(entry_id)
        if entry is None:
            return
        log.debug("Entry removed", entry=entry_id, spiffe_id=str(entry.spiffe_id))
        self._unmatch(entry)
        if entry.store_svid:
            self._stored.set()
        self._forget(entry_id)
        del self._entries[entry_id]

    def _match(self, entry: Entry) -> None:
        for group in self._groups.matching(entry):
            group.entries[entry.id] = entry
            if group.wanting and not entry.instance_from:
                self._want([entry.id])
            group.touch()

    def _unmatch(self, entry: Entry) -> None:
        self._index.discard(entry.id)
        for group in self._groups.matching(entry):
            del group.entries[entry.id]
            if group.wanting and not entry.instance_from:
                self._demand.remove([entry.id])
            group.touch()

    def _put_bundle(self, bundle: Bundle) -> None:
        old = self._bundles.get(bundle.trust_domain)
        if old == bundle:
            return
        log.debug("Bundle updated" if old else "Bundle added", trust_domain_id=str(bundle.trust_domain.id))
        self._bundles[bundle.trust_domain] = bundle
        self._touch_bundle(bundle.trust_domain)

    def _remove_bundle(self, trust_domain: TrustDomain) -> None:
        if trust_domain == self._trust_domain or self._bundles.pop(trust_domain, None) is None:
            return
        log.debug("Bundle removed", trust_domain_id=str(trust_domain.id))
        self._touch_bundle(trust_domain)

    def _touch_bundle(self, trust_domain: TrustDomain) -> None:
        self._bundle_followers.wake()
        self._stored.set()
        own = trust_domain == self._trust_domain
        for group in self._groups if own else self._groups.federating(trust_domain):
            group.touch()

    def _build(self, entries: Iterable[Entry]) -> WorkloadView:
        bundle = self._bundles.get(self._trust_domain)
        if bundle is None:
            raise UnavailableError("trust bundle is not known yet")
        ordered = sorted(entries, key=lambda entry: entry.id)
        signed = [entry for entry in ordered if not entry.instance_from and entry.id in self._identities]
        distinct = _distinct(signed)
        return WorkloadView(
            identities=tuple(self._identities[entry.id] for entry in distinct),
            repeated=tuple(self._identities[entry.id] for entry in signed if entry not in distinct)
            if len(distinct) < len(signed)
            else (),
            bundle=bundle,
            federated=self._federated(ordered),
            pending=tuple(entry for entry in ordered if not entry.instance_from and entry.id not in self._identities),
            instanced=tuple(entry for entry in ordered if entry.instance_from),
        )

    def _federated(self, entries: Iterable[Entry]) -> tuple[Bundle, ...]:
        named = {trust_domain for entry in entries for trust_domain in entry.federates_with}
        named.discard(self._trust_domain)
        return tuple(self._bundles[domain] for domain in sorted(named) if domain in self._bundles)


def _distinct(entries: list[Entry]) -> tuple[Entry, ...]:
    dropped = repeated_hints(entries)
    for entry in dropped:
        log.warning("Ignoring entry with duplicate hint", hint=entry.hint, entry=entry.id)
    return tuple(entry for entry in entries if entry not in dropped)
