"""The ledger for whoever reads it: listed, exported with its checkpoints, and pruned so that what stays verifies."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from assay.clock import Clock
from assay.errors import FailedPreconditionError, UnavailableError
from assay.ledger.export import Header, checkpoint_line
from assay.ledger.record import record_line
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.checkpoints import Checkpoints
from assay_server.governance.deed import Deed
from assay_server.governance.journal import record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.ledger import LedgerRecord, SignedCheckpoint

# In one transaction, which others wait for, or in one message.
_AT_ONCE = 500
_DELETED_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of one task, of one principal, from that second on (Unix); all where nothing is said."""

    task_id: str = ""
    principal: str = ""
    since: int = 0

    @property
    def part(self) -> dict[str, str]:
        """What makes of an export a part, which cannot be verified as a whole."""
        named = {"task_id": self.task_id, "principal": self.principal}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Pruned:
    """Records up to that number went, and how many they and the checkpoints of them were."""

    through: int
    records: int
    checkpoints: int


@dataclass(frozen=True, slots=True)
class _Range:
    """Records to hand out, from behind `after`, which the checkpoint `anchor` is of unless it is 0."""

    after: int
    until: int
    anchor: str = ""


class LedgerBook:
    """Reads the ledger, and prunes it."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain, checkpoints: Checkpoints) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain
        self._checkpoints = checkpoints

    async def records(self, wanted: Wanted, after: int, limit: int) -> list[LedgerRecord]:
        """At most `limit` records behind that number, oldest first."""

        def read(tx: Transaction) -> list[LedgerRecord]:
            begin = max(after, _before(tx, wanted.since)) if wanted.since else after
            return tx.ledger.records(begin, limit, task_id=wanted.task_id, principal=wanted.principal)

        return await self._store.read(read)

    async def checkpoints(self, after: int, limit: int) -> list[SignedCheckpoint]:
        """At most `limit` behind the record of that number, oldest first."""
        return await self._store.read(lambda tx: tx.ledger.checkpoints(after, limit))

    async def export(self, wanted: Wanted) -> AsyncIterator[Sequence[str]]:
        """Lines of an export that ends in a checkpoint, made now if there is none.

        With `since` it begins behind the last checkpoint before that, so that it verifies.

        Raises:
            UnavailableError: the store or the ledger's key cannot be had, or what was left to hand out is pruned.
        """
        newest = await self._checkpoints.make()
        until = newest.number if newest else 0
        found = await self._store.read(lambda tx: _range(tx, wanted, until))
        yield [self._header(wanted, found, newest.token if newest else "").line()]
        after = found.after
        while lines := await self._lines(wanted, after, until):
            after = lines[-1][0]
            yield [line for _, line in lines]
        if not wanted.part and after != until:
            raise _overtaken()

    async def prune(self, before: int, deed: Deed) -> Pruned:
        """Drop the records up to the last checkpoint before that second, which becomes the anchor of those that stay.

        Raises:
            FailedPreconditionError: there are no such records, or no checkpoint.
        """
        first, pruned = await self._store.write(lambda tx: _pruned(tx, before, deed))
        for until in range(first + _DELETED_AT_ONCE, pruned.through, _DELETED_AT_ONCE):
            await self._store.write(lambda tx, until=until: tx.ledger.delete(until))  # type: ignore[misc]
        await self._store.write(lambda tx: tx.ledger.delete(pruned.through))
        return pruned

    def _header(self, wanted: Wanted, found: _Range, checkpoint: str) -> Header:
        now, part = int(self._clock.now().timestamp()), wanted.part
        anchor, end = ("", "") if part else (found.anchor, checkpoint)
        first = found.after + 1
        return Header(self._trust_domain.name, self._store.incarnation, first, found.until, now, anchor, end, part)

    async def _lines(self, wanted: Wanted, after: int, until: int) -> list[tuple[int, str]]:
        """The next lines with the number that each brings one to."""

        def read(tx: Transaction) -> tuple[list[LedgerRecord], list[SignedCheckpoint]]:
            part = wanted.part
            records = tx.ledger.records(after, _AT_ONCE, until=until, **part)
            return records, [] if part or not records else tx.ledger.checkpoints(after, _AT_ONCE)

        records, checkpoints = await self._store.read(read)
        if records and not wanted.part and records[0].number != after + 1:
            raise _overtaken()
        last = records[-1].number if records else 0
        signed = [(one.number, 1, checkpoint_line(one.token)) for one in checkpoints if one.number <= last]
        lines = [(one.number, 0, record_line(one.body, one.hash)) for one in records]
        return [(number, line) for number, _, line in sorted([*lines, *signed])]


def _overtaken() -> UnavailableError:
    return UnavailableError("the ledger was pruned meanwhile", hint="export again")


def _range(tx: Transaction, wanted: Wanted, until: int) -> _Range:
    first = tx.ledger.first()
    if wanted.part:
        return _Range(max(0, first - 1, _before(tx, wanted.since) if wanted.since else 0), until)
    anchor = _anchor(tx, first)
    if wanted.since:
        later = tx.ledger.checkpoint(min(until, _before(tx, wanted.since)))
        if later is not None and (anchor is None or later.number > anchor.number):
            anchor = later
    return _Range(anchor.number, until, anchor.token) if anchor else _Range(0, until)


def _anchor(tx: Transaction, first: int) -> SignedCheckpoint | None:
    """What the oldest record follows, or the oldest from which all are there: pruning may have been cut short."""
    found = tx.ledger.checkpoints(first - 2, 1) if first > 1 else []
    return found[0] if found else None


def _before(tx: Transaction, at: int) -> int:
    """The number of the last record before all from that second on."""
    number = tx.ledger.since(at)
    return tx.ledger.head().number if number is None else number - 1


def _pruned(tx: Transaction, before: int, deed: Deed) -> tuple[int, Pruned]:
    first, anchor = tx.ledger.first(), tx.ledger.checkpoint(_before(tx, before))
    if anchor is None or not first or anchor.number < first:
        raise FailedPreconditionError(
            "no records that end in a checkpoint are older than that: nothing was pruned",
            hint="`assay ledger checkpoints` lists them; records behind the last one always stay",
        )
    records, checkpoints = anchor.number - first + 1, tx.ledger.forget(anchor.number)
    details = {"through": anchor.number, "records": records, "checkpoints": checkpoints, "before": before}
    record(tx, Event(EventType.LEDGER_PRUNED, deed.at, deed.actor, f"ledger/{anchor.number}", details=details))
    return first, Pruned(anchor.number, records, checkpoints)
