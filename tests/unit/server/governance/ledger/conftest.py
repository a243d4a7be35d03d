"""A ledger in a real store: events that mean nothing, checkpoints by a key of its own, and exports of it."""

from collections.abc import Callable
from typing import Any

import pytest

from assay.crypto.keys import generate
from assay.keymanager.base import KeyType, SigningKey
from assay.ledger.checkpoint import CheckpointKeys
from assay.ledger.verification import Trusted, Verdict, verify
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.checkpoints import Checkpoints
from assay_server.governance.journal import record
from assay_server.governance.ledger import LedgerBook, Wanted
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.owner import OWNER, Owner

A_ORG = TrustDomain("example.org")
KEY = generate(KeyType.EC_P256)


class Ledger:
    """What the tests do with it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.key: SigningKey = KEY
        self.checkpoints = Checkpoints(store, clock, A_ORG, self._key)
        self.book = LedgerBook(store, clock, A_ORG, self.checkpoints)

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    async def write(self, count: int, principal: str = "bot", task_id: str = "tsk_1") -> None:
        for _ in range(count):
            await self.store.write(self.event(principal, task_id))

    def event(self, principal: str = "bot", task_id: str = "tsk_1") -> Callable[[Transaction], None]:
        details = {"change": "heartbeat"}
        event = Event(EventType.TASK_CHANGED, self.now, "assay:test", "tsk_1", task_id, principal, details=details)

        def work(tx: Transaction) -> None:
            record(tx, event, (OWNER, Owner(f"person:{tx.ledger.head().number}@corp")))

        return work

    async def numbers(self) -> list[int]:
        return [one.number for one in await self.store.read(lambda tx: tx.ledger.records(0, 100_000))]

    async def export(self, **wanted: Any) -> list[bytes]:  # noqa: ANN401 - fields of Wanted
        return [line.encode() async for lines in self.book.export(Wanted(**wanted)) for line in lines]

    def verdict(self, lines: list[bytes], *held: str) -> Verdict:
        return verify(lines, Trusted(CheckpointKeys([self.key.public_key()]), held, A_ORG))

    async def _key(self) -> SigningKey:
        return self.key


@pytest.fixture
def ledger(store: Store, clock: FakeClock) -> Ledger:
    return Ledger(store, clock)
