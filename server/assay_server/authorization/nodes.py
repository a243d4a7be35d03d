"""Node rows kept in memory: every RPC of an agent needs its row, and it hardly ever changes.

What the store wrote last it still knows; any other row is read once and dropped when the change sequence names it.
Writers in this process go through `write`, which drops it before they are told that the write is durable, so that no
RPC that begins after a ban was acknowledged is judged by the row from before.
"""

from collections.abc import Callable
from typing import TypeVar

from assay.spiffeid import SpiffeId
from assay_server.datastore.base import ChangeKind, Store, Transaction
from assay_server.datastore.follow import follow
from assay_server.model import Node

T = TypeVar("T")

DEFAULT_LIMIT = 50_000


class NodeRows:
    """Read-through cache of node rows, at most `limit` of them."""

    def __init__(self, store: Store, *, limit: int = DEFAULT_LIMIT) -> None:
        self._store = store
        self._limit = limit
        self._rows: dict[str, Node] = {}
        # Grows with every row dropped: a read that was under way then may have seen what was before, and is not kept.
        self._drops = 0

    def known(self, spiffe_id: SpiffeId) -> Node | None:
        """The row of that agent, if it is in memory."""
        key = str(spiffe_id)
        if (written := self._store.newest(ChangeKind.NODE, key)) is not None:
            return written.value if isinstance(written.value, Node) else None
        return self._rows.get(key)

    async def get(self, spiffe_id: SpiffeId) -> Node | None:
        """The row of that agent."""
        key = str(spiffe_id)
        if (written := self._store.newest(ChangeKind.NODE, key)) is not None:
            return written.value if isinstance(written.value, Node) else None
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
        async for changes in follow(self._store):
            if changes is None:
                self._drop_all()
            for change in changes or ():
                if change.kind is ChangeKind.NODE:
                    self._drop(change.object_id)

    def _keep(self, key: str, row: Node) -> None:
        while len(self._rows) >= self._limit:
            del self._rows[next(iter(self._rows))]
        self._rows[key] = row

    def _drop(self, key: str) -> None:
        self._drops += 1
        self._rows.pop(key, None)

    def _drop_all(self) -> None:
        self._drops += 1
        self._rows.clear()
