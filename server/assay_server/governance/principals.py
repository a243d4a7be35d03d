"""Principals: registered, completed, put to work, and stopped."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from assay.clock import Clock
from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import Store, Transaction
from assay_server.governance.bindings import delete_bindings
from assay_server.governance.deed import Deed
from assay_server.governance.journal import record
from assay_server.governance.missing import Missing
from assay_server.governance.naming import check_text
from assay_server.governance.principal_check import check_fields, check_grants, check_owner, missing_of
from assay_server.governance.principal_state import Move, moved, require_whole, touched
from assay_server.governance.stopping import Stopped, stop, withhold
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import PRINCIPAL, Principal, PrincipalState

T = TypeVar("T")

UPDATABLE = (
    "owner", "purpose", "environment", "tenant", "data_classes", "risk_class", "model", "tools", "grants", "approvals",
    "heartbeat", "triggers", "id_template",
)  # fmt: skip
"""Fields that an update may name."""

MAX_RISK = 100

# What their tasks and credentials end for.
_CAUSES = {PrincipalState.SUSPENDED: "principal_suspended", PrincipalState.RETIRED: "principal_retired"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A principal, and what it needs before it may act."""

    principal: Principal
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A principal after its state changed, and what ended with that."""

    principal: Principal
    stopped: Stopped


class PrincipalService:
    """What operators do with principals; `actor` is who does it."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain

    async def register(self, principal: Principal, actor: str) -> Standing:
        """Put it on the stage: it gets nothing until it is activated.

        Raises:
            InvalidArgumentError: a field is malformed, or no owner is named.
            AlreadyExistsError: there is one of that name, perhaps a retired one.
            NotFoundError: owner or grant are not known.
            FailedPreconditionError: the owner has left, or a grant is for another kind of actor.
        """
        check_fields(principal, self._trust_domain)
        return await self._write(actor, lambda tx, deed: _register(tx, principal, deed))

    async def update(self, given: Principal, fields: Iterable[str], actor: str) -> Standing:
        """Take over these fields of `given`. An active principal stays complete.

        Raises:
            InvalidArgumentError: a field is malformed, or cannot be changed.
            NotFoundError: the principal, its owner or a grant is not known.
            FailedPreconditionError: it is retired, would lack what an active one needs, its new owner has left, a
                grant is for another kind of actor, or its bindings have the IDs of the old template.
        """
        named = tuple(dict.fromkeys(fields))
        if wrong := [name for name in named if name not in UPDATABLE]:
            raise InvalidArgumentError(f"{wrong[0]} of a principal is never changed", hint="register another principal")
        return await self._write(actor, lambda tx, deed: self._update(tx, given, named, deed))

    async def move(self, name: str, move: Move, reason: str, actor: str) -> Moved:
        """Activate, suspend, resume or retire it, with all that comes of that, in one transaction.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: its state does not allow it, or something is missing.
        """
        check_text("reason", reason)
        return await self._write(actor, lambda tx, deed: apply(tx, known(tx, name), move, reason, deed))

    async def set_risk(self, name: str, score: int, reason: str, actor: str) -> Principal:
        """Say how doubtful it is, 0 to 100: policy is asked with that from now on.

        Raises:
            InvalidArgumentError: no such score, or no reason.
            NotFoundError: there is no such principal.
            FailedPreconditionError: it is retired.
        """
        if not 0 <= score <= MAX_RISK:
            raise InvalidArgumentError(f"risk score of {score} is out of range", hint=f"0 to {MAX_RISK}")

        def doubt(principal: Principal) -> Principal:
            return replace(principal, risk_score=score, risk_reason=reason)

        return await self._doubt(name, doubt, reason, actor, "risk_set", risk_score=score)

    async def quarantine(self, name: str, reason: str, actor: str, *, released: bool = False) -> Principal:
        """Have every decision about it refused, until it is released.

        Raises:
            InvalidArgumentError: there is no reason.
            NotFoundError: there is no such principal.
            FailedPreconditionError: it is retired; or it is released and was in no quarantine.
        """

        def doubt(principal: Principal) -> Principal:
            if released and not principal.quarantined:
                raise FailedPreconditionError(f'principal "{name}" is not in quarantine')
            return replace(principal, quarantined=not released, quarantine_reason="" if released else reason)

        return await self._doubt(name, doubt, reason, actor, "released" if released else "quarantined")

    async def standing(self, name: str) -> Standing:
        """The principal of that name.

        Raises:
            NotFoundError: there is none.
        """

        def read(tx: Transaction) -> Standing:
            principal = known(tx, name)
            return Standing(principal, tuple(missing_of(tx, principal)))

        return await self._store.read(read)

    async def _write(self, actor: str, work: Callable[[Transaction, Deed], T]) -> T:
        deed = Deed(actor, int(self._clock.now().timestamp()))
        return await self._store.write(lambda tx: work(tx, deed))

    async def _doubt(
        self,
        name: str,
        doubt: Callable[[Principal], Principal],
        reason: str,
        actor: str,
        change: str,
        **details: object,
    ) -> Principal:
        check_text("reason", reason)
        if not reason:
            raise InvalidArgumentError(
                "a reason is needed", hint="whoever looks at it later has nothing else: --reason"
            )

        def write(tx: Transaction, deed: Deed) -> Principal:
            before = known(tx, name)
            if before.state is PrincipalState.RETIRED:
                raise FailedPreconditionError(f'principal "{name}" is retired', hint="retired is for ever")
            after = touched(doubt(before), deed.at)
            record(tx, told(after, change, deed, reason=reason, **details), (PRINCIPAL, after))
            return after

        return await self._write(actor, write)

    def _update(self, tx: Transaction, given: Principal, fields: tuple[str, ...], deed: Deed) -> Standing:
        before = known(tx, given.name)
        if before.state is PrincipalState.RETIRED:
            raise FailedPreconditionError(f'principal "{before.name}" is retired', hint="retired is for ever")
        after = touched(replace(before, **{field: getattr(given, field) for field in fields}), deed.at)
        check_fields(after, self._trust_domain)
        if "owner" in fields:
            check_owner(tx, after)
        check_grants(tx, after)
        _check_template_free(tx, before, after)
        missing = missing_of(tx, after)
        if after.state is PrincipalState.ACTIVE:
            require_whole(after, missing, "changed so while it is active")
        record(tx, told(after, "updated", deed, fields=list(fields)), (PRINCIPAL, after))
        return Standing(after, tuple(missing))


def known(tx: Transaction, name: str) -> Principal:
    """The principal of that name.

    Raises:
        NotFoundError: there is none.
    """
    found = tx.governed.get(PRINCIPAL, name)
    if found is None:
        raise NotFoundError(f'there is no principal "{name}"', hint="`assay principal list` names those there are")
    return found


def apply(tx: Transaction, principal: Principal, move: Move, reason: str, deed: Deed, *, cause: str = "") -> Moved:
    """Move it, and do what comes of that: withhold or grant, end for that cause, revoke, delete.

    Raises:
        FailedPreconditionError: its state does not allow it, or something is missing.
    """
    after = moved(principal, move, missing_of(tx, principal), reason, deed.at)
    if after.state is PrincipalState.ACTIVE:
        withhold(tx, after.name, withheld=False)
        record(tx, told(after, f"{move.value}d", deed, reason=reason), (PRINCIPAL, after))
        return Moved(after, Stopped())
    stopped = stop(tx, principal, cause or _CAUSES[after.state], deed)
    if after.state is PrincipalState.RETIRED:
        stopped = replace(stopped, bindings=delete_bindings(tx, principal, deed))
    event = told(
        after, after.state.value, deed, reason=reason, tasks=stopped.tasks, credentials=stopped.credentials,
        bindings=stopped.bindings,
    )  # fmt: skip
    record(tx, event, (PRINCIPAL, after))
    return Moved(after, stopped)


def told(principal: Principal, change: str, deed: Deed, **details: object) -> Event:
    """The event of a change of it."""
    return Event(
        EventType.PRINCIPAL_CHANGED,
        deed.at,
        deed.actor,
        principal.name,
        principal=principal.name,
        actor_type=principal.actor_type.value,
        details={
            "change": change,
            "state": principal.state.value,
            "owner": principal.owner,
            "revision": principal.revision,
            **details,
        },
    )


def _register(tx: Transaction, principal: Principal, deed: Deed) -> Standing:
    there = tx.governed.get(PRINCIPAL, principal.name)
    if there is not None:
        raise AlreadyExistsError(
            f'there is a principal "{principal.name}", {there.state.value}',
            hint="names are not used again; `assay principal update` changes one that is there",
        )
    check_owner(tx, principal)
    check_grants(tx, principal)
    fresh = replace(
        principal,
        state=PrincipalState.STAGED,
        state_reason="",
        created_at=deed.at,
        updated_at=deed.at,
        revision=1,
        last_used_at=0,
        risk_score=0,
        risk_reason="",
        quarantined=False,
        quarantine_reason="",
    )
    record(tx, told(fresh, "registered", deed), (PRINCIPAL, fresh))
    return Standing(fresh, tuple(missing_of(tx, fresh)))


def _check_template_free(tx: Transaction, before: Principal, after: Principal) -> None:
    if before.id_template != after.id_template and tx.entries.of_principal(before.name):
        raise FailedPreconditionError(
            f'bindings of principal "{before.name}" have IDs of its template', hint="unbind them first"
        )
