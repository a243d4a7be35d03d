"""What is told in parts of bounded size, as messages, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from assay.status.values import Identity, Revoked, Told
from assay_proto.status.v1 import status_pb2 as pb

MOST_ITEMS = 400
"""In one part: less than 1 MiB, however long SPIFFE IDs and causes are."""


def slices(told: Told) -> Iterator[tuple[Told, bool]]:
    """The same in parts, each with whether more follow; only the first of them is a snapshot."""
    items: tuple[Revoked | Identity, ...] = (*told.revoked, *told.identities)
    for start in range(0, max(1, len(items)), MOST_ITEMS):
        part = items[start : start + MOST_ITEMS]
        revoked = tuple(one for one in part if isinstance(one, Revoked))
        identities = tuple(one for one in part if isinstance(one, Identity))
        first = told.snapshot and not start
        yield replace(told, snapshot=first, revoked=revoked, identities=identities), start + MOST_ITEMS < len(items)


def parts(told: Told) -> Iterator[pb.Update]:
    """At least one message, all but the last with `more`."""
    for part, more in slices(told):
        yield pb.Update(
            position=part.position,
            incarnation=part.incarnation,
            snapshot=part.snapshot,
            more=more,
            at=part.at,
            interval=part.interval,
            revoked=[_revoked(one) for one in part.revoked],
            identities=[_identity(one) for one in part.identities],
            staleness=part.staleness,
        )


def whole(updates: Sequence[pb.Update]) -> Told:
    """What messages say together, the last of which has no `more`."""
    last = updates[-1]
    return Told(
        last.position,
        last.incarnation,
        updates[0].snapshot,
        tuple(revoked_of(one) for update in updates for one in update.revoked),
        tuple(Identity(one.spiffe_id, one.withdrawn, one.cause) for update in updates for one in update.identities),
        last.at,
        last.interval,
        {name: seconds for update in updates for name, seconds in update.staleness.items()},
    )


def revoked_of(message: pb.Revoked) -> Revoked:
    """As a value."""
    return Revoked(message.jti, message.task_id, message.expires_at, message.revoked_at, message.cause)


def _revoked(one: Revoked) -> pb.Revoked:
    return pb.Revoked(
        jti=one.jti, task_id=one.task_id, expires_at=one.expires_at, revoked_at=one.revoked_at, cause=one.cause
    )


def _identity(one: Identity) -> pb.Identity:
    return pb.Identity(spiffe_id=one.spiffe_id, withdrawn=one.withdrawn, cause=one.cause)
