"""The authorities that clients are known by, followed as they change."""

from collections.abc import Mapping
from types import MappingProxyType

from assay.bundle import Bundle
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import ChangeKind, Store
from assay_server.datastore.follow import follow


class OwnAuthorities:
    """A `BundleSource` of our own trust domain's bundle."""

    def __init__(self, store: Store, trust_domain: TrustDomain) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._bundles: Mapping[TrustDomain, Bundle] = MappingProxyType({})

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """What is trusted now."""
        return self._bundles

    @property
    def own(self) -> Bundle | None:
        """Our own bundle."""
        return self._bundles.get(self._trust_domain)

    async def read(self) -> None:
        """Take what the store has."""
        bundle = await self._store.read(lambda tx: tx.bundles.get(self._trust_domain))
        self._bundles = MappingProxyType({self._trust_domain: bundle} if bundle else {})

    async def run(self) -> None:
        """Follow until cancelled."""
        async for changes in follow(self._store):
            if changes is None or any(one.kind is ChangeKind.BUNDLE for one in changes):
                await self.read()
