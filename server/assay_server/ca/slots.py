"""When authorities change places: one planner for every kind of key; pure.

An authority is prepared (published, not signing), then active, then old (published, not signing any more). Each
kind of key has two slots. Preparing overwrites a slot's key, so it happens only in a slot whose key is done with.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from assay_server.model import AuthorityRecord, AuthorityStatus, Slot
from assay_server.model.lifetime import DAY, safe_ttl

# Seconds.
PREPARATION_CAP = 30 * DAY
SETTLING = 10
_PREPARATION_SHARE = 2


class Step(Enum):
    """What to do with a slot."""

    PREPARE = "prepare"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True)
class Action:
    """One step in one slot."""

    step: Step
    slot: Slot


def plan(now: int, usable: Collection[AuthorityRecord]) -> Sequence[Action]:
    """What is due at `now` (Unix seconds) for one kind of key, in order.

    `usable` are the journal's records of that kind whose key is at hand; expired ones may be among them. A next
    authority is prepared when the active one's remaining life is at most half of it (30 days at most) and activated
    at a sixth (7 days at most), but not within its first ten seconds while another can sign, since peers need a
    moment to learn of it.
    """
    living = [record for record in usable if record.not_after > now]
    active = _newest(living, AuthorityStatus.ACTIVE)
    prepared = _newest(living, AuthorityStatus.PREPARED)
    if active is None and prepared is None:
        slot = _free_slot(living)
        return [Action(Step.PREPARE, slot), Action(Step.ACTIVATE, slot)]
    if active is None and prepared is not None:
        return [Action(Step.ACTIVATE, prepared.slot)]
    if active is not None and prepared is None:
        return [Action(Step.PREPARE, other(active.slot))] if now >= preparation_time(active) else []
    if (
        active is not None
        and prepared is not None
        and now >= max(activation_time(active), prepared.issued_at + SETTLING)
    ):
        return [Action(Step.ACTIVATE, prepared.slot)]
    return []


def preparation_time(record: AuthorityRecord) -> int:
    """When its successor is due to be published, in Unix seconds."""
    return record.not_after - min((record.not_after - record.issued_at) // _PREPARATION_SHARE, PREPARATION_CAP)


def activation_time(record: AuthorityRecord) -> int:
    """When its successor is due to sign, in Unix seconds."""
    return record.not_after - safe_ttl(record.not_after - record.issued_at)


def other(slot: Slot) -> Slot:
    """The other one of the two."""
    return Slot.B if slot is Slot.A else Slot.A


def activate(records: Sequence[AuthorityRecord], slot: Slot) -> list[AuthorityRecord]:
    """One kind's records with the one in that slot active and any that was active old."""
    return [_after_activation(record, slot) for record in records]


def put(records: Sequence[AuthorityRecord], prepared: AuthorityRecord) -> list[AuthorityRecord]:
    """One kind's records with this one in its slot."""
    return [*(record for record in records if record.slot is not prepared.slot), prepared]


def _after_activation(record: AuthorityRecord, slot: Slot) -> AuthorityRecord:
    if record.slot is slot:
        return replace(record, status=AuthorityStatus.ACTIVE)
    if record.status is AuthorityStatus.ACTIVE:
        return replace(record, status=AuthorityStatus.OLD)
    return record


def _newest(records: Sequence[AuthorityRecord], status: AuthorityStatus) -> AuthorityRecord | None:
    return max((one for one in records if one.status is status), key=lambda one: one.issued_at, default=None)


def _free_slot(living: Sequence[AuthorityRecord]) -> Slot:
    # Here all that live are old; keep the newest of them, whose key may still be wanted for a look.
    newest = _newest(living, AuthorityStatus.OLD)
    return other(newest.slot) if newest else Slot.A
