"""How many connections a process holds and for whom, so that no caller can take the descriptors of all others."""

import logging
import resource
from collections import Counter
from collections.abc import Hashable

from assay.errors import ResourceExhaustedError
from assay.transport.guests import Guest, Guests

# Of the standard library, as in `assay.transport.listener`.
log = logging.getLogger("assay.transport")

# Descriptors left for the store, files, the operator's socket and connections that are about to be refused.
RESERVED = 128
# The caller's, both ends of a front's inner connection, and the pidfd of a process.
PER_CONNECTION = 4
_UNLIMITED = 1 << 20


class Room:
    """Places for `most` connections.

    Half of them at most, or `per_caller`, belong to one caller (a user on Unix sockets, a SPIFFE ID on TLS), whose next
    connection is refused. Half at most, or `guests`, belong to guests all together: there the oldest from where most
    come goes for the newest, so that whoever wants to attest gets in past those who stay without a reason, and past a
    flood from elsewhere.
    """

    def __init__(
        self,
        most: int | None = None,
        *,
        per_connection: int = PER_CONNECTION,
        per_caller: int | None = None,
        guests: int | None = None,
    ) -> None:
        """Without a number: as many as the process's limit of open files allows, with so many for each connection."""
        self._most = most
        self._per_connection = per_connection
        self._per_caller = per_caller
        self._most_guests = guests
        self._held: Counter[Hashable] = Counter()
        self._total = 0
        self._told: set[Hashable] = set()
        self._guests = Guests()

    def use(self, per_caller: int | None) -> None:
        """So many for one caller from now on; whoever has more keeps them."""
        self._per_caller = per_caller

    @property
    def most(self) -> int:
        """How many there are."""
        return self._most if self._most is not None else _by_file_limit(self._per_connection)

    @property
    def share(self) -> int:
        """How many of them one caller may have."""
        return self._at_most(self._per_caller)

    def _at_most(self, number: int | None) -> int:
        half = max(1, self.most // 2)
        return half if number is None else min(half, number)

    def enter(self, who: Hashable, *, always: bool = False) -> None:
        """Take a place for a caller; `leave` gives it back. `always` is for those whom no flood may keep out.

        Raises:
            ResourceExhaustedError: there is none, or not for this caller.
        """
        if not always and (self._held[who] >= self.share or self._total + len(self._guests) >= self.most):
            self._tell(who)
            raise ResourceExhaustedError("too many connections")
        self._held[who] += 1
        self._total += 1

    def leave(self, who: Hashable) -> None:
        """Give a place back."""
        self._total -= 1
        self._held[who] -= 1
        if self._held[who] <= self.share // 2:
            self._told.discard(who)
        if self._held[who] <= 0:
            del self._held[who]

    def welcome(self, guest: Guest) -> None:
        """Take a place for a guest, if need be that of the oldest from where most come."""
        if len(self._guests) >= self._at_most(self._most_guests):
            oldest = self._guests.crowded_out()
            self._guests.discard(oldest)
            oldest.leave()
        self._guests.add(guest)

    def turned_out(self, guest: Guest, whence: Hashable) -> None:
        """A guest comes from elsewhere than it seemed."""
        self._guests.move(guest, whence)

    def part(self, guest: Guest) -> None:
        """A guest is gone, or no guest any more; nothing happens the second time."""
        self._guests.discard(guest)

    def _tell(self, who: Hashable) -> None:
        if who not in self._told:
            self._told.add(who)
            log.warning("Too many connections", extra={"fields": {"caller": str(who), "held": self._held[who]}})


def _by_file_limit(per_connection: int) -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        files = _UNLIMITED
    return max(2, (files - RESERVED) // per_connection)
