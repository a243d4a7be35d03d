"""Names of governed objects: a prefix that says the kind, and a ULID, so that names sort by their time."""

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26


def new_id(prefix: str, now: float) -> str:
    """Such as `tsk_01J9ZQ8Y3V…`; 80 of its bits are random."""
    number = (int(now * 1000) << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[(number >> (5 * at)) & 31] for at in reversed(range(_LENGTH)))
