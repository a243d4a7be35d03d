"""IDs for entries that come without one."""

import os
from datetime import datetime
from uuid import UUID

_VERSION, _VARIANT = 7 << 76, 2 << 62


def new_entry_id(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562 section 5.7): milliseconds since 1970, then 74 random bits.

    Random from the start, the IDs of a batch would each change another page of the store's index; so they lie together.
    """
    chance = int.from_bytes(os.urandom(10), "big")
    high, low = chance >> 68, chance & (1 << 62) - 1
    return str(UUID(int=int(now.timestamp() * 1000) << 80 | _VERSION | high << 64 | _VARIANT | low))
