"""Where the index reads from: the store, or the store's memory of its last writes, which is far cheaper."""

from collections.abc import Collection, Sequence
from typing import Protocol

from assay.bundle import Bundle
from assay.entry import Entry
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Change, ChangeKind, Store, Transaction, Written
from assay_server.model import Node

_CHANGES_AT_ONCE = 5000


class NotInMemoryError(LookupError):
    """The store's memory does not answer this; the store does."""


class Source(Protocol):
    """One consistent state of the store, as of `latest`."""

    def latest(self) -> int:
        """How far in the change sequence it is."""
        ...

    def since(self, sequence: int) -> Sequence[Change] | None:
        """Every change after that sequence; None when some were pruned."""
        ...

    def entries(self, entry_ids: Collection[str]) -> Sequence[Entry]:
        """Those there are."""
        ...

    def children(self, parents: Collection[SpiffeId]) -> Sequence[Entry]:
        """The entries below these parents."""
        ...

    def node(self, agent_id: SpiffeId) -> Node | None:
        """The row of that agent."""
        ...

    def bundles(self, trust_domains: Collection[TrustDomain]) -> Sequence[Bundle]:
        """Those there are."""
        ...


class StoredSource:
    """A transaction; used in the store's thread."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def latest(self) -> int:
        """The transaction's sequence."""
        return self._tx.changes.latest()

    def since(self, sequence: int) -> Sequence[Change] | None:
        """Every change after that sequence, in as many steps as it takes."""
        found: list[Change] = []
        while True:
            changes = self._tx.changes.since(sequence, _CHANGES_AT_ONCE)
            if changes is None:
                return None
            found += changes
            if len(changes) < _CHANGES_AT_ONCE:
                return found
            sequence = changes[-1].sequence

    def entries(self, entry_ids: Collection[str]) -> Sequence[Entry]:
        """Those there are."""
        return self._tx.entries.get_many(entry_ids)

    def children(self, parents: Collection[SpiffeId]) -> Sequence[Entry]:
        """The entries below these parents."""
        return self._tx.entries.by_parents(parents)

    def node(self, agent_id: SpiffeId) -> Node | None:
        """The row of that agent."""
        return self._tx.nodes.get(agent_id)

    def bundles(self, trust_domains: Collection[TrustDomain]) -> Sequence[Bundle]:
        """Those there are."""
        return self._tx.bundles.get_many(trust_domains)


class RecentSource:
    """What was written last, used in the loop's thread, where nothing is committed meanwhile."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest(self) -> int:
        """The latest committed sequence."""
        return self._store.sequence

    def since(self, sequence: int) -> Sequence[Change] | None:
        """Every change after that sequence."""
        recent = self._store.recent(sequence)
        if recent is None:
            raise NotInMemoryError
        return [written.change for written in recent]

    def entries(self, entry_ids: Collection[str]) -> Sequence[Entry]:
        """Those there are."""
        found = [self._newest(ChangeKind.ENTRY, entry_id).value for entry_id in entry_ids]
        return [entry for entry in found if isinstance(entry, Entry)]

    def children(self, parents: Collection[SpiffeId]) -> Sequence[Entry]:  # noqa: ARG002 - the protocol's
        """Not known here."""
        raise NotInMemoryError

    def node(self, agent_id: SpiffeId) -> Node | None:
        """The row of that agent."""
        value = self._newest(ChangeKind.NODE, str(agent_id)).value
        return value if isinstance(value, Node) else None

    def bundles(self, trust_domains: Collection[TrustDomain]) -> Sequence[Bundle]:  # noqa: ARG002 - the protocol's
        """Not known here."""
        raise NotInMemoryError

    def _newest(self, kind: ChangeKind, object_id: str) -> Written:
        written = self._store.newest(kind, object_id)
        if written is None:
            raise NotInMemoryError
        return written
