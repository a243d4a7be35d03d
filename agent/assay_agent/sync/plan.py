"""Which SVIDs are to be signed now, and when to look again: all decisions, no I/O."""

import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum

from assay.entry import Entry


class Urgency(IntEnum):
    """Why an SVID is signed, the most pressing first."""

    MISSING = 0
    OUTDATED = 1
    EXPIRING = 2


@dataclass(frozen=True, slots=True)
class Held:
    """An SVID the agent has: the entry as it was when it was signed, and when to renew it (Unix seconds)."""

    entry: Entry
    renew_at: float


@dataclass(frozen=True, slots=True)
class Postponed:
    """A refused entry, which is not asked for again before that time (Unix seconds) unless it changes."""

    entry: Entry
    until: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Entry IDs to sign: `pressing` are those that somebody follows, then the others, each in order.

    `next_at` is the Unix time of the next thing to do, infinity if nothing is in sight.
    """

    pressing: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    next_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the planner looks at. `wanted` are the entries that somebody follows, `limit` is how many SVIDs to keep."""

    entries: Mapping[str, Entry]
    held: Mapping[str, Held]
    wanted: AbstractSet[str]
    limit: int
    postponed: Mapping[str, Postponed]


def plan(now: float, outlook: Outlook) -> Plan:
    """Sign what is wanted, whatever the limit, and what is prefetched as far as the limit goes."""
    due: list[tuple[Urgency, float, str]] = []
    later = math.inf
    for entry in _kept(outlook):
        wait, urgency, renew_at = _judge(entry, outlook, now)
        if wait > now:
            later = min(later, wait)
        else:
            due.append((urgency, renew_at, entry.id))
    due.sort()
    pressing = tuple(entry_id for _, _, entry_id in due if entry_id in outlook.wanted)
    missing = [entry_id for urgency, _, entry_id in due if urgency is Urgency.MISSING]
    room = max(0, outlook.limit - len(outlook.held) - sum(entry_id in outlook.wanted for entry_id in missing))
    surplus = set([entry_id for entry_id in missing if entry_id not in outlook.wanted][room:])
    others = tuple(entry_id for _, _, entry_id in due if entry_id not in outlook.wanted and entry_id not in surplus)
    return Plan(pressing, others, later)


def outdated(signed_for: Entry, entry: Entry) -> bool:
    """Whether a changed entry makes its SVID wrong; a change of selectors, hint or federation does not."""
    return signed_for is not entry and (
        signed_for.spiffe_id != entry.spiffe_id
        or signed_for.created_at != entry.created_at
        or signed_for.dns_names != entry.dns_names
        or signed_for.x509_svid_ttl != entry.x509_svid_ttl
    )


def _kept(outlook: Outlook) -> Iterable[Entry]:
    """Entries that are to have an SVID here; those for a store only while its keeper wants them.

    One that is not prefetched is kept fresh from when somebody first asked until it is evicted, as in SPIRE: whoever
    asks next finds it.
    """
    return (
        entry
        for entry in outlook.entries.values()
        if not entry.instance_from
        and (
            entry.id in outlook.wanted
            or (not entry.store_svid and (not entry.disable_x509_svid_prefetch or entry.id in outlook.held))
        )
    )


def _judge(entry: Entry, outlook: Outlook, now: float) -> tuple[float, Urgency, float]:
    """When to sign, why, and when the present SVID would be renewed."""
    held = outlook.held.get(entry.id)
    if held is None:
        wait, urgency, renew_at = now, Urgency.MISSING, 0.0
    elif outdated(held.entry, entry):
        wait, urgency, renew_at = now, Urgency.OUTDATED, held.renew_at
    else:
        wait, urgency, renew_at = held.renew_at, Urgency.EXPIRING, held.renew_at
    postponed = outlook.postponed.get(entry.id)
    if postponed is not None and not outdated(postponed.entry, entry):
        wait = max(wait, postponed.until)
    return wait, urgency, renew_at
