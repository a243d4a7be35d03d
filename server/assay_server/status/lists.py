"""Status lists for those who are not connected: made when they are asked for, and again when they say too little."""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay import statuslist
from assay.clock import Clock
from assay.statuslist import INVALID, StatusList
from assay_server.credential.authorities import Authorities
from assay_server.credential.jwt import TokenSigner
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.model.governed.statusindex import LIST_LENGTH, list_of, place_of
from assay_server.model.governed.task import CREDENTIAL
from assay_server.status.held import revoked_since

TTL = 30
"""Seconds for which a list may be relied on: so old is what its reader knows of revocations at most."""
LIFETIME = 300
"""Seconds until a list expires, for readers who cannot fetch the next one."""

_KEPT = 256
_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A signed list; `sequence` is the store's at which it says everything, times are Unix seconds."""

    token: str
    etag: str
    built_at: float
    sequence: int

    def lasts(self, now: float) -> int:
        """Seconds until the next one is due anyway."""
        return max(0, int(self.built_at + TTL / 2 - now))


@dataclass(frozen=True, slots=True)
class _Payload:
    claims: Mapping[str, Any]

    def encode(self) -> bytes:
        return _JSON.encode(self.claims).encode()


class StatusLists:
    """All of them; `base` is the URL below which they are, and where they are all named."""

    def __init__(self, base: str, store: Store, authorities: Authorities, clock: Clock) -> None:
        self._base = base
        self._store = store
        self._authorities = authorities
        self._clock = clock
        self._lists: OrderedDict[int, PublishedList] = OrderedDict()
        self._making = asyncio.Lock()

    async def get(self, number: int) -> PublishedList | None:
        """The list of that number, in which every revocation is that is committed now; None if there is no such list.

        Raises:
            UnavailableError: the store cannot be read, or there is no key to sign with.
        """
        if not 0 <= number <= list_of(self._store.sequence + 1):
            return None
        if (found := self._current(number)) is not None:
            return found
        async with self._making:
            return self._current(number) or await self._make(number)

    async def uris(self) -> list[str]:
        """The URIs of all lists that have a credential which counts now (section 9)."""
        now = int(self._clock.now().timestamp())
        first, last = await self._store.read(lambda tx: _living(tx, now))
        return [f"{self._base}/{number}" for number in range(first, last + 1)]

    def _current(self, number: int) -> PublishedList | None:
        found = self._lists.get(number)
        if found is None or self._clock.now().timestamp() >= found.built_at + TTL / 2:
            return None
        written = self._store.recent(found.sequence)
        if written is None or revoked_since(one.change for one in written):
            return None
        return found

    async def _make(self, number: int) -> PublishedList:
        sequence, now = self._store.sequence, int(self._clock.now().timestamp())
        revoked = await self._store.read(lambda tx: _revoked(tx, number))
        authority = self._authorities.jwt
        statuses = StatusList.of(1, LIST_LENGTH, dict.fromkeys(revoked, INVALID))
        claims = statuslist.claims(
            f"{self._base}/{number}", statuses, now, min(now + LIFETIME, authority.not_after), TTL, self._base
        )
        token = TokenSigner.of(authority, statuslist.TYPE).sign(_Payload(claims))
        etag = f'"{hashlib.sha256(token.encode()).hexdigest()[:32]}"'
        self._lists[number] = found = PublishedList(token, etag, now, sequence)
        self._lists.move_to_end(number)
        while len(self._lists) > _KEPT:
            self._lists.popitem(last=False)
        return found


def _revoked(tx: Transaction, number: int) -> list[int]:
    found, _ = tx.governed.find(CREDENTIAL, [("revoked_in", str(number))], Page())
    return [place_of(one.status_index) for one in found]


def _living(tx: Transaction, now: int) -> tuple[int, int]:
    """The numbers of the first and the last list that matter; credentials are found in the order of their indexes."""
    oldest, _ = tx.governed.find(CREDENTIAL, (), Page(1), due_after=now)
    newest = tx.governed.latest(CREDENTIAL, (), 1)
    if not oldest or not newest:
        return 0, -1
    return list_of(oldest[0].status_index), list_of(newest[0].status_index)
