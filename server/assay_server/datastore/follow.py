"""Following the change sequence from memory: every change once, in order, or the word that some are gone."""

from collections.abc import AsyncIterator, Sequence

from assay_server.datastore.base import Change, Store

CHANGES_AT_ONCE = 1000


async def follow(store: Store) -> AsyncIterator[Sequence[Change] | None]:
    """Yield None first, and again when changes were pruned unseen: look at everything; else what changed since.

    Ends when the store is closed.
    """
    position = -1
    async for latest in store.watch():
        if position < 0:
            position = latest
            yield None
        while position < latest:
            changes = await _since(store, position)
            position = changes[-1].sequence if changes else latest
            yield changes or None


async def _since(store: Store, position: int) -> Sequence[Change] | None:
    if (recent := store.recent(position)) is not None:
        return [written.change for written in recent]
    return await store.read(lambda tx: tx.changes.since(position, CHANGES_AT_ONCE))
