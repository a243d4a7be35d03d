"""Owners: who answers for principals, and what happens to these when they leave."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from assay.clock import Clock
from assay.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.deed import Deed
from assay_server.governance.journal import record
from assay_server.governance.naming import check_owner_name
from assay_server.governance.orphans import active_count, end_work, suspend_some
from assay_server.governance.stopping import Stopped
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.owner import OWNER, Owner, OwnerState
from assay_server.model.governed.principal import PRINCIPAL, PrincipalState


@dataclass(frozen=True, slots=True)
class OwnerReport:
    """An owner, and how many principals name it, by their state."""

    owner: Owner
    principals: dict[PrincipalState, int] = field(default_factory=dict[PrincipalState, int])


@dataclass(frozen=True, slots=True)
class Left:
    """What an owner's leaving did at once, and how many principals are still to be suspended."""

    owner: Owner
    stopped: Stopped
    pending: int


class OwnerService:
    """What operators do with owners; `actor` is who does it, `swept` has what is left over done at once."""

    def __init__(self, store: Store, clock: Clock, sweep: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._sweep = sweep

    async def add(self, name: str, actor: str) -> Owner:
        """Make it known.

        Raises:
            InvalidArgumentError: it is no owner's name.
            AlreadyExistsError: it is known, perhaps as one who left.
        """
        check_owner_name(name)
        deed = self._deed(actor)
        return await self._store.write(lambda tx: _add(tx, name, deed))

    async def leave(self, name: str, actor: str) -> Left:
        """It answers for nothing from now on: its principals are suspended, at once if they are few.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: it has left already.
        """
        deed = self._deed(actor)
        left = await self._store.write(lambda tx: self._leave(tx, name, deed))
        if left.pending:
            self._sweep()
        return left

    async def come_back(self, name: str, actor: str) -> OwnerReport:
        """It answers for its principals again; those stay suspended until each is resumed.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: it has not left.
        """
        deed = self._deed(actor)
        return await self._store.write(lambda tx: _come_back(tx, name, deed))

    async def get(self, name: str) -> OwnerReport:
        """One, with the numbers of its principals.

        Raises:
            NotFoundError: there is none.
        """
        return await self._store.read(lambda tx: _report(tx, known(tx, name)))

    async def find(self, state: OwnerState | None, page: Page) -> tuple[list[Owner], str]:
        """Those in that state, or all, in order of creation, and the token of the next page."""
        terms = [("state", state.value)] if state else []
        return await self._store.read(lambda tx: tx.governed.find(OWNER, terms, page))

    def _deed(self, actor: str) -> Deed:
        return Deed(actor, int(self._clock.now().timestamp()))

    def _leave(self, tx: Transaction, name: str, deed: Deed) -> Left:
        before = known(tx, name)
        if before.state is OwnerState.LEFT:
            raise FailedPreconditionError(f"owner {name} has left already")
        owner = replace(before, state=OwnerState.LEFT, left_at=deed.at)
        record(tx, told(owner, "left", deed), (OWNER, owner))
        stopped = suspend_some(tx, name, deed)
        pending = active_count(tx, name)
        if not pending:
            stopped += end_work(tx, owner, deed)
        return Left(owner, stopped, pending)


def known(tx: Transaction, name: str) -> Owner:
    """The owner of that name.

    Raises:
        NotFoundError: there is none.
    """
    found = tx.governed.get(OWNER, name)
    if found is None:
        raise NotFoundError(f"there is no owner {name}", hint="`assay owner list` names those there are")
    return found


def told(owner: Owner, change: str, deed: Deed) -> Event:
    """The event of an owner's change."""
    details = {"change": change, "state": owner.state.value}
    return Event(EventType.OWNER_CHANGED, deed.at, deed.actor, owner.name, details=details)


def _add(tx: Transaction, name: str, deed: Deed) -> Owner:
    there = tx.governed.get(OWNER, name)
    if there is not None:
        hint = f"assay owner return {name}" if there.state is OwnerState.LEFT else ""
        raise AlreadyExistsError(f"owner {name} is known, and {there.state.value}", hint=hint)
    owner = Owner(name, created_at=deed.at)
    record(tx, told(owner, "added", deed), (OWNER, owner))
    return owner


def _come_back(tx: Transaction, name: str, deed: Deed) -> OwnerReport:
    before = known(tx, name)
    if before.state is OwnerState.ACTIVE:
        raise FailedPreconditionError(f"owner {name} has not left")
    owner = replace(before, state=OwnerState.ACTIVE, left_at=0, swept_at=0)
    record(tx, told(owner, "returned", deed), (OWNER, owner))
    return _report(tx, owner)


def _report(tx: Transaction, owner: Owner) -> OwnerReport:
    counts = {
        state: tx.governed.count(PRINCIPAL, [("owner", owner.name), ("state", state.value)]) for state in PrincipalState
    }
    return OwnerReport(owner, {state: number for state, number in counts.items() if number})
