"""A store that counts and times what is done with it, under the names of SPIRE's datastore."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar, cast

from assay.telemetry.metrics import Metrics, status_of
from assay.telemetry.tracing import span
from assay_server.datastore.base import ChangeKind, Store, Transaction, Written
from assay_server.datastore.writing import WRITINGS

T = TypeVar("T")

# What SPIRE calls the objects and their operations. Changes are read from memory for the most part: not counted.
_OPERATIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "entries": (
        "registration_entry",
        {
            "get": "fetch", "get_many": "fetch", "find_same": "list", "find": "list", "count": "count",
            "by_parents": "list", "by_spiffe_id": "list", "create": "create", "update": "update", "delete": "delete",
            "expired": "prune",
        },
    ),
    "nodes": ("node", {"get": "fetch", "find": "list", "count": "count", "delete": "delete"}),
    "join_tokens": ("join_token", {"create": "create", "get": "fetch", "take": "delete", "prune": "prune"}),
    "bundles": (
        "bundle",
        {"get": "fetch", "get_many": "fetch", "find": "list", "count": "count", "delete": "delete"},
    ),
    "federation_relationships": (
        "federation_relationship", {"get": "fetch", "find": "list", "delete": "delete"},
    ),
    "authorities": ("ca_journal", {"load": "fetch", "save": "set"}),
}  # fmt: skip


class MeteredStore:
    """The store behind it; each operation is counted when its transaction has ended, and ends as that does.

    A transaction is a part of what is traced, with the names of its operations.

    `elapsed_time` is that of the transaction, waiting and commit with it, once for each kind of operation in it.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    @property
    def incarnation(self) -> str:
        """The store's."""
        return self._store.incarnation

    @property
    def sequence(self) -> int:
        """The store's."""
        return self._store.sequence

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """As the store's, counted."""
        return await self._counted("datastore.read", self._store.read, work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """As the store's, counted."""
        return await self._counted("datastore.write", self._store.write, work)

    def recent(self, sequence: int) -> Sequence[Written] | None:
        """As the store's."""
        return self._store.recent(sequence)

    def newest(self, kind: ChangeKind, object_id: str) -> Written | None:
        """As the store's."""
        return self._store.newest(kind, object_id)

    def watch(self) -> AsyncIterator[int]:
        """As the store's."""
        return self._store.watch()

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _counted(
        self, name: str, run: Callable[[Callable[[Transaction], T]], Any], work: Callable[[Transaction], T]
    ) -> T:
        done: list[tuple[str, ...]] = []

        def noting(tx: Transaction) -> T:
            done.clear()  # a transaction may be tried again
            return work(cast("Transaction", _Noting(tx, done)))

        began, status = perf_counter(), "OK"
        try:
            with span(name) as traced:
                try:
                    return cast("T", await run(noting))
                finally:
                    traced.put("datastore.operations", tuple(".".join(one) for one in dict.fromkeys(done)))
        except BaseException as error:
            status = status_of(error)
            raise
        finally:
            self._say(done, status, (perf_counter() - began) * 1000)

    def _say(self, done: list[tuple[str, ...]], status: str, milliseconds: float) -> None:
        labels = (("status", status),)
        for kind in dict.fromkeys(done):
            key = ("datastore", *kind)
            self._metrics.count(key, done.count(kind), labels)
            self._metrics.sample((*key, "elapsed_time"), milliseconds, labels)


class _Noting:
    """A transaction that notes what is done in it; `cast` to the protocol that it passes on."""

    def __init__(self, tx: Transaction, done: list[tuple[str, ...]]) -> None:
        self._tx = tx
        self._done = done
        self._found: dict[str, dict[object, object]] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transaction has
        objects = getattr(self._tx, name)
        if name not in _OPERATIONS:
            return objects
        return _NotingObjects(objects, *_OPERATIONS[name], self._done, self._found.setdefault(name, {}))


class _NotingObjects:
    """`found` is what was looked up in the transaction: it tells what is created from what is changed."""

    def __init__(
        self,
        objects: Any,  # noqa: ANN401 - those of the transaction
        name: str,
        operations: Mapping[str, str],
        done: list[tuple[str, ...]],
        found: dict[object, object],
    ) -> None:
        self._objects = objects
        self._name = name
        self._operations = operations
        self._done = done
        self._found = found

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the objects have
        if name == "put" and self._name in WRITINGS:
            return self._put
        operation = self._operations.get(name)
        if operation is not None:
            self._done.append((self._name, operation))
        return self._get if name == "get" else getattr(self._objects, name)

    def _get(self, key: object) -> object:
        found: object = self._objects.get(key)
        self._found[key] = found
        return found

    def _put(self, value: Any) -> None:  # noqa: ANN401 - one of the objects
        self._done.extend(WRITINGS[self._name](self._found, value))
        self._objects.put(value)
