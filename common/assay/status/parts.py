"""What is told as messages of bounded size, and back."""

from collections.abc import Iterator, Sequence

from assay.status.values import Identity, Revoked, Told
from assay_proto.status.v1 import status_pb2 as pb

MAX_BYTES = 512 * 1024
"""After so many bytes a message is closed; gRPC refuses those of more than 4 MiB unless told otherwise."""


def parts(told: Told) -> Iterator[pb.Update]:
    """At least one, all but the last with `more`."""
    update, size = _update(told, snapshot=told.snapshot), 0
    items: tuple[Revoked | Identity, ...] = (*told.revoked, *told.identities)
    for item in items:
        if size >= MAX_BYTES:
            update.more = True
            yield update
            update, size = _update(told, snapshot=False), 0
        size += _add(update, item)
    yield update


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


def _update(told: Told, *, snapshot: bool) -> pb.Update:
    return pb.Update(
        position=told.position,
        incarnation=told.incarnation,
        snapshot=snapshot,
        at=told.at,
        interval=told.interval,
        staleness=told.staleness,
    )


def _add(update: pb.Update, item: Revoked | Identity) -> int:
    if isinstance(item, Revoked):
        revoked = update.revoked.add()
        revoked.jti, revoked.task_id, revoked.cause = item.jti, item.task_id, item.cause
        revoked.expires_at, revoked.revoked_at = item.expires_at, item.revoked_at
        return revoked.ByteSize()
    identity = update.identities.add(spiffe_id=item.spiffe_id, withdrawn=item.withdrawn, cause=item.cause)
    return identity.ByteSize()
