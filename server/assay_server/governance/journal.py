"""The one way in which governed state is written: what changed and what is said of it are one transaction's.

A ledger joins here: whoever writes governed objects anywhere else writes what nobody can prove.
"""

from collections.abc import Sequence
from typing import Any

from assay_server.datastore.base import Transaction
from assay_server.model.governed.event import Event
from assay_server.model.governed.noun import Noun

Write = tuple[Noun[Any], Any]
"""A noun and a value of its."""


def record(tx: Transaction, event: Event, *writes: Write) -> None:
    """Write these objects and the event that tells of them."""
    for noun, value in writes:
        tx.governed.put(noun, value)
    tx.events.append(event)


def erase(tx: Transaction, event: Event, noun: Noun[Any], key: str) -> bool:
    """Delete that object and say so; False, and nothing is said, if there was none."""
    if not tx.governed.delete(noun, key):
        return False
    tx.events.append(event)
    return True


def forget(tx: Transaction, noun: Noun[Any], keys: Sequence[str]) -> None:
    """Delete what is over for good. Nothing is said: all that there was to say is in the events, which stay."""
    tx.governed.forget(noun, keys)
