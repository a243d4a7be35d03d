"""The inventory: every principal with its owner, what of it is live, and when it was last used."""

from collections.abc import Iterator
from dataclasses import dataclass

from assay.clock import Clock
from assay.entry import Entry
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.ending import endable_tasks
from assay_server.governance.missing import Missing
from assay_server.governance.principal_check import missing_of
from assay_server.governance.principals import known
from assay_server.governance.stopping import live_credentials
from assay_server.model.governed.event import Event
from assay_server.model.governed.owner import OWNER, OwnerState
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, Instance, Principal, PrincipalState

EVENTS = 20
"""How many of a principal's last events are shown."""

INSTANCES = 100
"""How many of a principal's instances are looked at, the last ones."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which principals to list; what is empty does not filter. `unused` are seconds."""

    owner: str = ""
    tenant: str = ""
    state: PrincipalState | None = None
    actor_type: str = ""
    unused: int = 0
    orphaned: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A principal with all that hangs on it. `owner_state` is None when there is no such owner.

    `instances` are the last ones, newest first, of `instance_count`. `last_used_at` is in Unix seconds, 0 for never;
    `unused_since` is that or, for one never used, when it was made.
    """

    principal: Principal
    owner_state: OwnerState | None
    missing: tuple[Missing, ...]
    live_credentials: int
    live_tasks: int
    bindings: tuple[Entry, ...]
    instances: tuple[Instance, ...]
    instance_count: int
    last_used_at: int
    events: tuple[Event, ...] = ()

    @property
    def unused_since(self) -> int:
        """Since when nobody has used it."""
        return self.last_used_at or self.principal.created_at

    @property
    def orphaned(self) -> bool:
        """Whether nobody answers for it, though it is not retired."""
        return self.owner_state is not OwnerState.ACTIVE and self.principal.state is not PrincipalState.RETIRED


class Inventory:
    """What is there, read in one consistent view for each page."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, name: str) -> Report:
        """One principal, with its last events.

        Raises:
            NotFoundError: there is none.
        """
        now = self._now()
        return await self._store.read(
            lambda tx: _report(tx, known(tx, name), now, tuple(tx.events.latest(name, EVENTS)))
        )

    async def find(self, wanted: Wanted, page: Page) -> tuple[list[Report], str]:
        """Those of the page that are wanted, perhaps none, and the token of the next page."""
        now = self._now()

        def read(tx: Transaction) -> tuple[list[Report], str]:
            found, token = tx.governed.find(PRINCIPAL, list(_terms(wanted)), page)
            reports = (_report(tx, one, now) for one in found)
            return [one for one in reports if _fits(one, wanted, now)], token

        return await self._store.read(read)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _terms(wanted: Wanted) -> Iterator[tuple[str, str]]:
    state = wanted.state.value if wanted.state else ""
    for term, value in (
        ("owner", wanted.owner),
        ("tenant", wanted.tenant),
        ("state", state),
        ("actor_type", wanted.actor_type),
    ):
        if value:
            yield term, value


def _fits(report: Report, wanted: Wanted, now: int) -> bool:
    if wanted.orphaned and not report.orphaned:
        return False
    return not wanted.unused or now - report.unused_since >= wanted.unused


def _report(tx: Transaction, principal: Principal, now: int, events: tuple[Event, ...] = ()) -> Report:
    owner = tx.governed.get(OWNER, principal.owner)
    credentials = live_credentials(tx, principal.name, now)
    of_it = [("principal", principal.name)]
    instances = tuple(tx.governed.latest(INSTANCE, of_it, INSTANCES))
    uses = [one.last_seen for one in instances] + [one.issued_at for one in credentials]
    return Report(
        principal=principal,
        owner_state=owner.state if owner else None,
        missing=tuple(missing_of(tx, principal)),
        live_credentials=len(credentials),
        live_tasks=len(endable_tasks(tx, ("principal", principal.name))),
        bindings=tuple(tx.entries.of_principal(principal.name)),
        instances=instances,
        instance_count=tx.governed.count(INSTANCE, of_it),
        last_used_at=max([principal.last_used_at, *uses]),
        events=events,
    )
