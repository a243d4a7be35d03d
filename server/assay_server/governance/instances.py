"""Instances of principals: who a copy is that an agent has attested, and the record of it.

The agent names the entry and the attested value; the SPIFFE ID is formed here, so that no agent can choose one.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from assay.batch import each
from assay.clock import Clock
from assay.entry import Entry
from assay.errors import (
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    prefixed,
)
from assay.namespace import require_workload
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.journal import erase, record
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, ActorType, Instance, Principal, PrincipalState

SEEN_EVERY = 3600
"""Seconds; that an instance was seen again is written down no more often."""

MOST_VALUE = 512
"""Characters of an attested value; a container's ID has 64."""

FORGOTTEN_AT_ONCE = 10
"""How many instances that were not seen for long are forgotten when a new one comes."""

_DIGITS = 20  # of a digest in base32: 100 bits


@dataclass(frozen=True, slots=True)
class Copy:
    """One running copy as its agent attested it; `value` is empty where the entry does not name instances."""

    entry: Entry
    value: str
    agent: SpiffeId


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who a copy is."""

    copy: Copy
    principal: Principal
    spiffe_id: SpiffeId


class Instances:
    """Tells who copies are, and remembers them."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain

    async def admit(self, copies: Iterable[Copy | AssayError]) -> list[Admitted | AssayError]:
        """Who each of them is, or why it gets nothing; what was refused before stays so.

        Refusals: InvalidArgumentError for a value that is missing, or not wanted; PermissionDeniedError for a principal
        that is not active; FailedPreconditionError for an ID template that does not tell instances apart.
        """
        now, asked = int(self._clock.now().timestamp()), list(copies)
        admitted, unknown = await self._store.read(lambda tx: self._looked_up(tx, asked, now))
        if unknown:
            return await self._store.write(lambda tx: self._written(tx, asked, now))
        return admitted

    async def admit_one(self, copy: Copy) -> Admitted:
        """As `admit`; the refusal is raised."""
        (admitted,) = await self.admit([copy])
        if isinstance(admitted, AssayError):
            raise admitted
        return admitted

    def _looked_up(
        self, tx: Transaction, copies: Sequence[Copy | AssayError], now: int
    ) -> tuple[list[Admitted | AssayError], bool]:
        admitted = each(lambda copy: self._admitted(tx, copy), copies)
        return admitted, any(isinstance(one, Admitted) and _due(tx, one, now) for one in admitted)

    def _written(self, tx: Transaction, copies: Sequence[Copy | AssayError], now: int) -> list[Admitted | AssayError]:
        return each(lambda one: _noted(tx, one, now), each(lambda copy: self._admitted(tx, copy), copies))

    def _admitted(self, tx: Transaction, copy: Copy) -> Admitted:
        principal = tx.governed.get(PRINCIPAL, copy.entry.principal)
        if principal is None:
            raise PermissionDeniedError("entry is not bound to a principal")
        if principal.state is not PrincipalState.ACTIVE or copy.entry.withheld:
            raise PermissionDeniedError(f"principal is not active: {principal.state.value}")
        return Admitted(copy, principal, instance_id(principal, copy, self._trust_domain))


def instance_id(principal: Principal, copy: Copy, trust_domain: TrustDomain) -> SpiffeId:
    """The copy's SPIFFE ID: the entry's own, or by the principal's template where the entry names instances."""
    if not copy.entry.instance_from:
        if copy.value:
            raise InvalidArgumentError("entry does not name instances")
        return copy.entry.spiffe_id
    if not 0 < len(copy.value) <= MOST_VALUE:
        raise InvalidArgumentError(f"instance has to be 1 to {MOST_VALUE} characters")
    if "{instance}" not in principal.id_template:
        raise FailedPreconditionError(
            "the principal's ID template does not tell instances apart", hint="put {instance} into it"
        )
    path = principal.id_template.replace("{name}", principal.name).replace("{instance}", path_segment(principal, copy))
    with prefixed("the principal's ID template makes no SPIFFE ID"):
        spiffe_id = SpiffeId.parse(f"{trust_domain.id}{path}")
        require_workload(spiffe_id, trust_domain)
    return spiffe_id


def path_segment(principal: Principal, copy: Copy) -> str:
    """The instance as a segment of a path: one of 2^100 for each principal, host, kind of value, and value."""
    # As JSON, so that no two of them run together into the same text.
    said = json.dumps([principal.name, str(copy.agent), copy.entry.instance_from, copy.value])
    return base64.b32encode(hashlib.sha256(said.encode()).digest()).decode().lower()[:_DIGITS]


def taskless(tx: Transaction, principals: Collection[str]) -> frozenset[str]:
    """Those whose tokens stand on no task: all but AI agents, whoever is in quarantine, and whoever is not known."""
    found = [one for name in principals if (one := tx.governed.get(PRINCIPAL, name)) is not None]
    return frozenset(one.name for one in found if one.actor_type is not ActorType.AI_AGENT and not one.quarantined)


def _due(tx: Transaction, admitted: Admitted, now: int) -> bool:
    """Whether there is something to write down."""
    if not admitted.copy.entry.instance_from:
        # Nobody knows of the copies, but that somebody asks is a use of the principal.
        return now - admitted.principal.last_used_at >= SEEN_EVERY
    known = tx.governed.get(INSTANCE, str(admitted.spiffe_id))
    return known is None or known.entry_id != admitted.copy.entry.id or now - known.last_seen >= SEEN_EVERY


def _noted(tx: Transaction, admitted: Admitted, now: int) -> Admitted:
    if not _due(tx, admitted, now):
        return admitted
    copy, name = admitted.copy, str(admitted.spiffe_id)
    if not copy.entry.instance_from:
        tx.governed.put(PRINCIPAL, replace(admitted.principal, last_used_at=now))
        return admitted
    known = tx.governed.get(INSTANCE, name)
    if known is not None:
        tx.governed.put(INSTANCE, replace(known, entry_id=copy.entry.id, last_seen=now))
        return admitted
    instance = Instance(name, admitted.principal.name, copy.entry.id, copy.value, str(copy.agent), now, now)
    record(tx, _seen(admitted, now), (INSTANCE, instance))
    _forget(tx, now)
    return admitted


def _forget(tx: Transaction, now: int) -> None:
    """Make room: processes come and go without end, so some of those not seen for long go with each that is new."""
    for old in tx.governed.due(INSTANCE, now, FORGOTTEN_AT_ONCE):
        details = {"entry_id": old.entry_id, "forgotten": True, "last_seen": old.last_seen}
        event = Event(
            EventType.INSTANCE_SEEN, now, "assay:instances", old.spiffe_id, principal=old.principal, details=details
        )
        erase(tx, event, INSTANCE, old.spiffe_id)


def _seen(admitted: Admitted, now: int) -> Event:
    copy, principal = admitted.copy, admitted.principal
    return Event(
        EventType.INSTANCE_SEEN,
        now,
        str(copy.agent),
        str(admitted.spiffe_id),
        principal=principal.name,
        actor_type=principal.actor_type.value,
        details={"entry_id": copy.entry.id, "instance_from": copy.entry.instance_from},
    )
