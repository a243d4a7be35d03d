"""Updates as JSON, for verifiers that speak HTTP: the names of the messages' fields, numbers as numbers."""

from typing import Any

from assay.status.values import Identity, Revoked, Told


def update_of(told: Told, *, more: bool = False) -> dict[str, Any]:
    """An update; `google.protobuf.json_format` reads it as one, too."""
    return {
        "position": told.position,
        "incarnation": told.incarnation,
        "snapshot": told.snapshot,
        "more": more,
        "at": told.at,
        "interval": told.interval,
        "revoked": [_revoked(one) for one in told.revoked],
        "identities": [_identity(one) for one in told.identities],
        "staleness": dict(told.staleness),
    }


def _revoked(one: Revoked) -> dict[str, Any]:
    return {
        "jti": one.jti,
        "task_id": one.task_id,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
        "cause": one.cause,
    }


def _identity(one: Identity) -> dict[str, Any]:
    return {"spiffe_id": one.spiffe_id, "withdrawn": one.withdrawn, "cause": one.cause}
