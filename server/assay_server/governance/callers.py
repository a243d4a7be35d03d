"""Which instances of which principals a workload is, by what its agent attested and is authorized for now."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import FailedPreconditionError, InvalidArgumentError, PermissionDeniedError
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.calling import Asker
from assay_server.governance.tasks import By, Caller
from assay_server.model.governed.principal import INSTANCE, copy_of

MAX_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class Attested:
    """A workload as its agent describes it: its selectors, and the entries that match it, by ID.

    With each goes what tells this copy from others, where the agent knows that and no selector says it.
    """

    matches: Mapping[str, str]
    selectors: AbstractSet[Selector]


class Callers:
    """Finds out who calls through an agent."""

    def __init__(self, authorized: AuthorizedEntries, store: Store, clock: Clock) -> None:
        self._authorized = authorized
        self._store = store
        self._clock = clock

    async def of(self, agent: SpiffeId, workload: Attested) -> tuple[Caller, ...]:
        """The instances that the workload is, by principal.

        Raises:
            InvalidArgumentError: too many entries are named.
            PermissionDeniedError: the agent has no binding of a governed principal that matches the workload.
            FailedPreconditionError: the instance has no identity yet.
        """
        bindings = [entry for entry in await self._matching(agent, workload) if entry.principal]
        if not bindings:
            raise PermissionDeniedError(
                "no governed principal is registered for this workload", hint="see `assay principal bind`"
            )
        return await self._store.read(lambda tx: _callers(tx, agent, bindings, workload))

    async def asking(self, agent: SpiffeId, workload: Attested) -> Asker:
        """Who asks about a call: the instances that the workload is, if any, and its registered SPIFFE IDs.

        Raises:
            InvalidArgumentError: too many entries are named.
            PermissionDeniedError: the agent has no entry that matches the workload.
        """
        entries = await self._matching(agent, workload)
        if not entries:
            raise PermissionDeniedError("nothing is registered for this workload")
        bindings = [entry for entry in entries if entry.principal]
        callers = await self._store.read(lambda tx: _identified(tx, agent, bindings, workload))
        return Asker(By(callers=callers), frozenset(str(entry.spiffe_id) for entry in entries))

    async def _matching(self, agent: SpiffeId, workload: Attested) -> list[Entry]:
        if len(workload.matches) > MAX_ENTRIES:
            raise InvalidArgumentError(f"too many entries for one workload: at most {MAX_ENTRIES}")
        view = await self._authorized.view(agent)
        now = self._clock.now().timestamp()
        found = [entry for one in workload.matches if (entry := view.get(one)) is not None]
        return [entry for entry in found if grants(entry, workload.selectors, now)]


def grants(entry: Entry, selectors: AbstractSet[Selector], now: float) -> bool:
    """Whether it gives a workload with these selectors an identity."""
    expired = bool(entry.expires_at) and entry.expires_at <= now
    return not entry.withheld and not expired and set(entry.selectors) <= selectors


def value_of(instance_from: str, selectors: Iterable[Selector]) -> str | None:
    """What tells one copy from the others: the only selector's that begins so; None if there is not exactly one."""
    values = {str(one)[len(instance_from) + 1 :] for one in selectors if str(one).startswith(f"{instance_from}:")}
    return values.pop() if len(values) == 1 else None


def only(callers: Sequence[Caller], principal: str) -> Caller:
    """The caller as that principal, or as the only one it is.

    Raises:
        PermissionDeniedError: it is not that one.
        FailedPreconditionError: it is several, and none is named.
    """
    if principal:
        found = next((one for one in callers if one.principal == principal), None)
        if found is None:
            raise PermissionDeniedError(f'this workload is not principal "{principal}"')
        return found
    if len(callers) > 1:
        names = ", ".join(one.principal for one in callers)
        raise FailedPreconditionError(f"this workload is several principals: {names}; name one")
    return callers[0]


def _callers(tx: Transaction, agent: SpiffeId, bindings: Collection[Entry], workload: Attested) -> tuple[Caller, ...]:
    identified = _identified(tx, agent, bindings, workload)
    if not identified:
        raise FailedPreconditionError("this instance has no identity yet: fetch its X.509-SVID first")
    return identified


def _identified(
    tx: Transaction, agent: SpiffeId, bindings: Collection[Entry], workload: Attested
) -> tuple[Caller, ...]:
    found = ((entry.principal, _instance(tx, agent, entry, workload)) for entry in bindings)
    return tuple(Caller(*one) for one in sorted({(principal, name) for principal, name in found if name is not None}))


def _instance(tx: Transaction, agent: SpiffeId, entry: Entry, workload: Attested) -> str | None:
    """The instance's SPIFFE ID; the binding's where all copies share it."""
    if not entry.instance_from:
        return str(entry.spiffe_id)
    value = workload.matches[entry.id] or value_of(entry.instance_from, workload.selectors)
    # Two hosts may have copies with the same value; one that had an ID by an older template has its newest now.
    known = tx.governed.latest(INSTANCE, [("copy", copy_of(entry.id, str(agent), value))], 1) if value else []
    return known[0].spiffe_id if known else None
