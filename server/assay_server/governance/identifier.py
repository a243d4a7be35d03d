"""Names of governed objects: a prefix that says the kind, and a ULID, so that names sort by their time."""

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# All pairs of its letters, ten bits each.
_PAIRS = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_SHIFTS = tuple(reversed(range(0, 130, 10)))


def new_id(prefix: str, now: float) -> str:
    """Such as `tsk_01J9ZQ8Y3V…`; 80 of its bits are random."""
    number = (int(now * 1000) << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join([_PAIRS[(number >> at) & 1023] for at in _SHIFTS])
