"""Keys and requests for a batch, made without holding up the loop."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from assay.crypto import csr
from assay.crypto.keys import generate
from assay.entry import Entry
from assay.keymanager.base import KeyType, SigningKey

_SLOW = frozenset({KeyType.RSA_2048, KeyType.RSA_4096})
# EC keys and requests made between two turns of the loop: under a millisecond.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A new key for an entry and the request (DER) to sign for it. The key stays here."""

    entry: Entry
    key: SigningKey = field(repr=False)
    csr: bytes


def batch_limit(key_type: KeyType) -> int:
    """How many to ask for at once: what is made in the time in which a newcomer would not notice having to wait.

    SPIRE's server signs at most 500 at once.
    """
    return 8 if key_type in _SLOW else 128


async def make_requests(entries: Sequence[Entry], key_type: KeyType) -> list[KeyedRequest]:
    """One for each entry."""
    made: list[KeyedRequest] = []
    for start in range(0, len(entries), AT_ONCE):
        some = entries[start : start + AT_ONCE]
        made += [await _make_aside(one, key_type) for one in some] if key_type in _SLOW else _make(some, key_type)
        if len(some) == AT_ONCE:
            await asyncio.sleep(0)
    return made


async def _make_aside(entry: Entry, key_type: KeyType) -> KeyedRequest:
    # Takes long and lets other threads run; an EC key costs less than the way to a thread and back.
    (made,) = await asyncio.to_thread(_make, [entry], key_type)
    return made


def _make(entries: Sequence[Entry], key_type: KeyType) -> list[KeyedRequest]:
    # All keys, then all requests: what is done again finds itself in the processor's caches.
    keys = [generate(key_type) for _ in entries]
    return [KeyedRequest(entry, key, csr.create(key)) for entry, key in zip(entries, keys, strict=True)]
