"""Checkpoints of the ledger: signed when enough was added, when some time has passed, and at an orderly end."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from assay.clock import Clock
from assay.errors import AssayError
from assay.keymanager.base import SigningKey
from assay.ledger.checkpoint import Checkpoint, public_jwk, sign
from assay.spiffeid import TrustDomain
from assay.waiting import first_of
from assay_server.datastore.base import ChangeKind, Page, Store, Transaction
from assay_server.governance.journal import record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.ledger import LEDGER_KEY, Head, LedgerKey, SignedCheckpoint

RECORDS = 1000
SECONDS = 60.0
"""A checkpoint is due after so many records, and so long after the last look if there is a new one."""

ACTOR = "assay:ledger"

_RETRY = 5.0

log = structlog.get_logger(__name__)

CheckpointKey = Callable[[], Awaitable[SigningKey]]
"""The ledger's own key, made when there is none."""


class Checkpoints:
    """Makes them, one after another."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain, key: CheckpointKey) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain
        self._make_key = key
        self._turn, self._key_turn = asyncio.Lock(), asyncio.Lock()

    async def make(self) -> SignedCheckpoint | None:
        """Sign what there is, unless that is signed already: the newest checkpoint, None where there are no records.

        Raises:
            UnavailableError: the store or the key cannot be had.
        """
        async with self._turn:
            head, newest = await self._store.read(_standing)
            if newest is not None and newest.number == head.number:
                return newest
            if not head.number:
                return None
            key = await self._key()
            head = await self._published(key, head)
            signed = self._signed(key, head)
            await self._store.write(lambda tx: tx.ledger.keep(signed))
            return signed

    def _signed(self, key: SigningKey, head: Head) -> SignedCheckpoint:
        now = int(self._clock.now().timestamp())
        said = Checkpoint(self._trust_domain, head.number, head.hash, now, self._store.incarnation)
        return SignedCheckpoint(head.number, now, sign(key, said))

    async def current(self) -> dict[str, str]:
        """The public key (JWK) that signs now."""
        return public_jwk((await self._key()).public_key())

    async def recorded(self) -> list[dict[str, str]]:
        """The public keys that signed before, oldest first, as far as the store is to be believed."""
        keys, _ = await self._store.read(lambda tx: tx.governed.find(LEDGER_KEY, (), Page()))
        return [key.jwk for key in keys]

    async def _key(self) -> SigningKey:
        # Two that ask at once for a key that is not there must not make two.
        async with self._key_turn:
            return await self._make_key()

    async def _published(self, key: SigningKey, head: Head) -> Head:
        """The head, when the key is in the ledger itself: by what it is signed is known before it is."""
        jwk = public_jwk(key.public_key())

        def write(tx: Transaction) -> Head:
            if tx.governed.get(LEDGER_KEY, jwk["kid"]) is not None:
                return head
            now = int(self._clock.now().timestamp())
            event = Event(EventType.LEDGER_KEY, now, ACTOR, jwk["kid"], details={"jwk": jwk})
            record(tx, event, (LEDGER_KEY, LedgerKey(jwk["kid"], jwk, now)))
            return tx.ledger.head()

        return await self._store.write(write)


class Checkpointer:
    """Makes checkpoints beside what is governed."""

    def __init__(self, store: Store, clock: Clock, checkpoints: Checkpoints) -> None:
        self._store = store
        self._clock = clock
        self._checkpoints = checkpoints
        self._enough = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, and then once more; a store that fails is tried again."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                while True:
                    self._enough.clear()
                    pause = SECONDS if await self._round() else _RETRY
                    await first_of(self._enough.wait(), self._clock.sleep(pause))
        finally:
            await self._round()

    async def _round(self) -> bool:
        try:
            await self._checkpoints.make()
        except AssayError as error:
            log.error("Failed to sign a checkpoint of the ledger", error=str(error))  # noqa: TRY400 - a refusal, no fault
            return False
        return True

    async def _follow(self) -> None:
        seen, added = self._store.sequence, 0
        async for sequence in self._store.watch():
            added += self._added(seen)
            seen = sequence
            if added >= RECORDS:
                added = 0
                self._enough.set()

    def _added(self, since: int) -> int:
        """How many records came after that change; enough of them where memory does not say."""
        written = self._store.recent(since)
        if written is None:
            return RECORDS
        changes = (one.change for one in written)
        return sum(one.kind is ChangeKind.GOVERNED and one.object_id.startswith("event/") for one in changes)


def _standing(tx: Transaction) -> tuple[Head, SignedCheckpoint | None]:
    head = tx.ledger.head()
    return head, tx.ledger.checkpoint(head.number)
