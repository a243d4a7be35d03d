"""One round of SPIRE's synchronization: what a server without Watch is asked every few seconds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import TrustDomain
from assay_agent.cache.cache import Cache
from assay_agent.cache.update import Update
from assay_agent.client.values import EntryChanges


class PollClient(Protocol):
    """The part of ServerClient that polling takes; every method raises AssayError."""

    async def sync_entries(self, known: Mapping[str, Entry]) -> EntryChanges:
        """How the entries differ from those known."""
        ...

    async def bundle(self) -> Bundle:
        """The own trust domain's bundle."""
        ...

    async def federated_bundles(self, trust_domains: Sequence[TrustDomain]) -> Sequence[Bundle]:
        """Those of others, as far as the server has them."""
        ...


async def poll(client: PollClient, cache: Cache) -> Update:
    """What to apply to the cache to bring it up to date.

    Raises:
        AssayError: the server's refusal.
    """
    known: Mapping[str, Entry] = cache.entries if cache.synced else {}
    changes = await client.sync_entries(known)
    entries = {**known, **{entry.id: entry for entry in changes.changed}}
    for entry_id in changes.removed:
        entries.pop(entry_id, None)
    own = await client.bundle()
    federated = await client.federated_bundles(_federated_with(entries.values()))
    bundles = {bundle.trust_domain: bundle for bundle in (*federated, own)}
    return Update(
        snapshot=not cache.synced,
        entries=changes.changed,
        removed=changes.removed,
        bundles=[bundle for name, bundle in bundles.items() if cache.bundles.get(name) != bundle],
        removed_bundles=[name for name in cache.bundles if name not in bundles],
    )


def _federated_with(entries: Iterable[Entry]) -> list[TrustDomain]:
    return sorted({name for entry in entries for name in entry.federates_with})
