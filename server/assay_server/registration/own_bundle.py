"""Our own trust domain's bundle in memory: everyone asks for it again and again, and it changes a few times a day."""

from assay.bundle import Bundle
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import ChangeKind, Store


class OwnBundle:
    """Reads the bundle once, and again when the change sequence names it or cannot tell; never behind the store."""

    def __init__(self, store: Store, trust_domain: TrustDomain) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._bundle: Bundle | None = None
        self._sequence = -1

    async def get(self) -> Bundle | None:
        """The bundle with every acknowledged write; None before the first authority is published."""
        if self._bundle is not None and self._unchanged():
            return self._bundle
        # Taken before the read, which may see more: what comes between is looked through once more.
        sequence = self._store.sequence
        bundle = await self._store.read(lambda tx: tx.bundles.get(self._trust_domain))
        if sequence >= self._sequence:
            self._bundle, self._sequence = bundle, sequence
        return bundle

    def _unchanged(self) -> bool:
        recent = self._store.recent(self._sequence)
        if recent is None:
            return False
        name = self._trust_domain.name
        if any(each.change.kind is ChangeKind.BUNDLE and each.change.object_id == name for each in recent):
            return False
        self._sequence = self._store.sequence
        return True
