"""Batches: one transaction, every item answered by itself.

Every check of an item must come before its first write: then an item that is refused has changed nothing, and the
others stand.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from assay.errors import AssayError
from assay_server.datastore.base import Store, Transaction

T = TypeVar("T")
R = TypeVar("R")


async def write_each(store: Store, items: Sequence[T], work: Callable[[Transaction, T], R]) -> list[R | AssayError]:
    """What `work` returned or refused for each item, in order."""
    if not items:
        return []
    return await store.write(lambda tx: [_outcome(tx, item, work) for item in items])


def _outcome(tx: Transaction, item: T, work: Callable[[Transaction, T], R]) -> R | AssayError:
    try:
        return work(tx, item)
    except AssayError as error:
        return error
