"""A record of the ledger: a JSON object whose hash the next one carries.

The hash is SHA-256 over the canonical form (RFC 8785) of the whole record but its own hash, which stands in `hash`
wherever records are handed out.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from assay.bundle import jwk

NOTHING = ""
"""What the first record names as the one before it."""
HASH = "hash"
"""The member that has a record's own hash."""

_MOST = 2**53 - 1
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any value of JSON
    """Its canonical form (RFC 8785).

    Raises:
        ValueError: JSON cannot say it, such as integers beyond 2**53 and texts that are no Unicode.
    """
    if _plain(value):
        return _encode(value).encode()
    import rfc8785  # noqa: PLC0415 - records hardly ever have what needs it

    return rfc8785.dumps(value)


def hash_of(body: bytes) -> str:
    """The hash of a record whose canonical form that is."""
    return f"sha-256:{jwk.encode(hashlib.sha256(body).digest())}"


def record_line(body: str, own: str) -> str:
    """A record as it is handed out: its canonical form with its own hash in it."""
    record: dict[str, Any] = json.loads(body)
    return _encode({**record, HASH: own}) if _plain(record) else canonical({**record, HASH: own}).decode()


def without_hash(record: Mapping[str, Any]) -> tuple[dict[str, Any], object]:
    """The record that a hash is of, and the hash that it has."""
    body = dict(record)
    return body, body.pop(HASH, None)


def _plain(value: object) -> bool:
    """Whether Python's own encoder, which is four times as quick, writes it just so.

    It writes numbers that are no integers otherwise, and sorts by code points where RFC 8785 sorts by UTF-16 units.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -_MOST <= cast("int", value) <= _MOST
    # Loops, since most of what comes here are texts: a call for each would take half of the time.
    if kind is dict:
        for key, each in cast("dict[object, object]", value).items():
            if type(key) is not str or not key.isascii() or not (type(each) is str or _plain(each)):
                return False
        return True
    if kind is list or kind is tuple:
        return all(type(each) is str or _plain(each) for each in cast("list[object]", value))
    return False
