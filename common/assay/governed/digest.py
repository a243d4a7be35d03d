"""Digests of JSON values: `sha-256:` and the unpadded base64url of SHA-256 over their canonical form (RFC 8785)."""

from typing import Any

from assay.governed.authority import Authority, details
from assay.ledger.record import canonical, hash_of

INTENT = "mission-intent"
"""The type of an intent's anchor (mission-bound authorization, Integrity Anchors)."""

AUTHORITY_SET = "mission-authority-set"
"""The type of an authority's."""


def digest(value: Any) -> str:  # noqa: ANN401 - any value of JSON
    """Its digest.

    Raises:
        ValueError: JSON cannot say it, such as integers beyond 2**53 and floats that are no numbers.
    """
    return hash_of(canonical(value))


def typed_digest(kind: str, issuer: str, value: Any) -> str:  # noqa: ANN401 - any value of JSON
    """The digest of a value that is said to be of a type and by an issuer, as missions' integrity anchors are."""
    return digest({"typ": kind, "iss": issuer, "value": value})


def intent_hash(issuer: str, intent: dict[str, Any]) -> str:
    """The anchor of all that whoever opened a task said it is for; raises as `digest`."""
    return typed_digest(INTENT, issuer, intent)


def authority_hash(issuer: str, authority: Authority) -> str:
    """The anchor of what a task may do, in the order in which it says so; raises as `digest`."""
    return typed_digest(AUTHORITY_SET, issuer, details(authority))
