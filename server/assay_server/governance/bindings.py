"""Bindings: how a principal is recognised. Each is a registration entry, so that workloads get it as any other."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.selector import Selector, sorted_distinct
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.deed import Deed
from assay_server.governance.idtemplate import bound_id, has_instances
from assay_server.governance.journal import record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.registration import validate
from assay_server.registration.entry_id import new_entry_id

INSTANCES_FROM = ("unix:process", "systemd:invocation", "docker:container-id", "k8s:pod-uid")
"""Types and keys of selectors that no two running copies share."""


@dataclass(frozen=True, slots=True)
class NewBinding:
    """By what the principal is recognised: below that agent or node alias, a workload with all of these selectors."""

    principal: str
    parent_id: SpiffeId
    selectors: tuple[Selector, ...]
    instance_from: str = ""
    x509_svid_ttl: int = 0
    hint: str = ""


class BindingService:
    """What operators do with bindings; `actor` is who does it."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain

    async def bind(self, binding: NewBinding, actor: str) -> Entry:
        """Make the entry. It is withheld unless the principal is active, and has the ID of its template.

        Raises:
            InvalidArgumentError: a field is malformed, or instances cannot be told apart by that.
            NotFoundError: there is no such principal.
            AlreadyExistsError: it is bound so already.
            FailedPreconditionError: it is retired or a human, its template has no instances, or its ID is another's.
        """
        now = self._clock.now()
        entry_id, deed = new_entry_id(now), Deed(actor, int(now.timestamp()))
        return await self._store.write(lambda tx: self._bind(tx, binding, entry_id, deed))

    async def unbind(self, principal: str, entry_id: str, actor: str) -> Entry:
        """Delete the entry; it as it was.

        Raises:
            NotFoundError: the principal has no such binding.
        """
        deed = Deed(actor, int(self._clock.now().timestamp()))
        return await self._store.write(lambda tx: _unbind(tx, principal, entry_id, deed))

    async def among(self, entry_ids: Sequence[str]) -> list[Entry]:
        """Those of these entries that are bindings."""
        found = await self._store.read(lambda tx: tx.entries.get_many(entry_ids))
        return [entry for entry in found if entry.principal]

    def _bind(self, tx: Transaction, binding: NewBinding, entry_id: str, deed: Deed) -> Entry:
        principal = tx.governed.get(PRINCIPAL, binding.principal)
        if principal is None:
            raise NotFoundError(f'there is no principal "{binding.principal}"', hint="assay principal register")
        _check_bindable(principal, binding.instance_from)
        entry = Entry(
            id=entry_id,
            spiffe_id=bound_id(principal, self._trust_domain),
            parent_id=binding.parent_id,
            selectors=sorted_distinct(binding.selectors),
            x509_svid_ttl=binding.x509_svid_ttl,
            hint=binding.hint,
            principal=principal.name,
            instance_from=binding.instance_from,
            withheld=principal.state is not PrincipalState.ACTIVE,
            created_at=deed.at,
        )
        validate.check_fields(entry, self._trust_domain)
        validate.check_whole(entry)
        _check_own(tx, entry)
        tx.entries.create(entry)
        record(tx, bound(entry, "bound", deed, principal.actor_type))
        return entry


def delete_bindings(tx: Transaction, principal: Principal, deed: Deed) -> int:
    """Delete all of the principal's; how many there were."""
    entries = tx.entries.of_principal(principal.name)
    for entry in entries:
        tx.entries.delete(entry.id)
        record(tx, bound(entry, "unbound", deed, principal.actor_type))
    return len(entries)


def tell_deleted(tx: Transaction, entry: Entry, actor: str, now: int) -> None:
    """Write down that a binding was deleted as an entry."""
    principal = tx.governed.get(PRINCIPAL, entry.principal)
    record(tx, bound(entry, "unbound", Deed(actor, now), principal.actor_type if principal else None))


def bound(entry: Entry, change: str, deed: Deed, actor_type: ActorType | None) -> Event:
    """The event of a binding's change."""
    return Event(
        EventType.BINDING_CHANGED,
        deed.at,
        deed.actor,
        entry.id,
        principal=entry.principal,
        actor_type=actor_type.value if actor_type else "",
        details={
            "change": change,
            "spiffe_id": str(entry.spiffe_id),
            "parent_id": str(entry.parent_id),
            "selectors": [str(selector) for selector in entry.selectors],
            "instance_from": entry.instance_from,
        },
    )


def _unbind(tx: Transaction, principal: str, entry_id: str, deed: Deed) -> Entry:
    entry = tx.entries.get(entry_id)
    if entry is None or entry.principal != principal or not principal:
        raise NotFoundError(
            f'principal "{principal}" has no binding {entry_id}', hint="`assay principal show` names its bindings"
        )
    tx.entries.delete(entry_id)
    tell_deleted(tx, entry, deed.actor, deed.at)
    return entry


def _check_bindable(principal: Principal, instance_from: str) -> None:
    if principal.actor_type is ActorType.HUMAN:
        raise FailedPreconditionError(
            f'principal "{principal.name}" is a human, whom no process is', hint="bind what acts for them"
        )
    if principal.state is PrincipalState.RETIRED:
        raise FailedPreconditionError(f'principal "{principal.name}" is retired', hint="retired is for ever")
    if not instance_from:
        return
    if instance_from not in INSTANCES_FROM:
        raise InvalidArgumentError(
            f'copies cannot be told apart by "{instance_from}"', hint=f"there are: {', '.join(INSTANCES_FROM)}"
        )
    if not has_instances(principal):
        raise FailedPreconditionError(
            f'template "{principal.id_template}" of principal "{principal.name}" does not end in {{instance}}',
            hint="change it with `assay principal update --id-template`",
        )


def _check_own(tx: Transaction, entry: Entry) -> None:
    same = tx.entries.find_same(entry.spiffe_id, entry.parent_id, entry.selectors)
    if same is not None:
        raise AlreadyExistsError(f"entry {same.id} has that ID, parent and selectors")
    others = [one for one in tx.entries.by_spiffe_id(entry.spiffe_id) if one.principal != entry.principal]
    if others:
        whose = f'principal "{others[0].principal}"' if others[0].principal else "no principal"
        raise FailedPreconditionError(
            f"{entry.spiffe_id} is the ID of entry {others[0].id}, which belongs to {whose}",
            hint="delete that entry, or give the principal another --id-template",
        )
