"""Node rows kept at hand: every RPC of an agent needs its row, and it hardly ever changes.

A row is read once and dropped when the change sequence names it. Writers in this process go through `write`, which
drops it before they are told that the write is durable, so that no RPC that begins after a ban was acknowledged is
judged by the row from before.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Change, ChangeKind, Store, Transaction
from assay_server.model import Node

T = TypeVar("T")

DEFAULT_LIMIT = 50_000
_CHANGES_AT_ONCE = 1000


class NodeRows:
    """Read-through cache of node rows, at most `limit` of them."""

    def __init__(self, store: Store, *, limit: int = DEFAULT_LIMIT) -> None:
        self._store = store
        self._limit = limit
        self._rows: dict[str, Node] = {}
        # Grows with every row dropped: a read that was under way then may have seen what was before, and is not kept.
        self._drops = 0

    async def get(self, spiffe_id: SpiffeId) -> Node | None:
        """The row of that agent."""
        key = str(spiffe_id)
        if (row := self._rows.get(key)) is not None:
            return row
        drops = self._drops
        row = await self._store.read(lambda tx: tx.nodes.get(spiffe_id))
        if row is not None and drops == self._drops:
            self._keep(key, row)
        return row

    async def write(self, spiffe_id: SpiffeId, work: Callable[[Transaction], T]) -> T:
        """Run a write transaction that changes this agent's row."""
        try:
            return await self._store.write(work)
        finally:
            self._drop(str(spiffe_id))

    async def run(self) -> None:
        """Follow the store until cancelled."""
        position = -1  # so that what was read before the first signal is dropped
        async for latest in self._store.watch():
            position = await self._follow(position, latest) if position >= 0 else self._drop_all(latest)

    def _keep(self, key: str, row: Node) -> None:
        while len(self._rows) >= self._limit:
            del self._rows[next(iter(self._rows))]
        self._rows[key] = row

    def _drop(self, key: str) -> None:
        self._drops += 1
        self._rows.pop(key, None)

    def _drop_all(self, position: int) -> int:
        self._drops += 1
        self._rows.clear()
        return position

    async def _follow(self, position: int, latest: int) -> int:
        while position < latest:
            changes = await self._since(position)
            if not changes:
                return self._drop_all(latest)
            for change in changes:
                if change.kind is ChangeKind.NODE:
                    self._drop(change.object_id)
            position = changes[-1].sequence
        return position

    async def _since(self, position: int) -> Sequence[Change] | None:
        return await self._store.read(lambda tx: tx.changes.since(position, _CHANGES_AT_ONCE))
