"""Connections that are accepted and wait to be set up: how many a user may bring, and who is next."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

# How many may wait of one process. More is a flood: whatever a program starts at once is less.
MOST = 2048
# Connections a second of one user, and how many at once: more than there is time to set up.
RATE, BURST = 4000.0, 4096.0
# Users that are remembered before those are forgotten that have not come for long.
_USERS = 1024

T = TypeVar("T")

# A group and who it is in the group: a user and one of its processes.
Whence = tuple[Hashable, Hashable]


class Pace:
    """Which connections are looked at at all: those of one group that come faster than any could be served are not."""

    def __init__(self) -> None:
        # How many were left, and when.
        self._left: dict[Hashable, tuple[float, float]] = {}

    def admits(self, group: Hashable, now: float) -> bool:
        """Whether one more is, at that time in seconds."""
        left = self._now(group, now)
        admitted = left >= 1
        self._left[group] = left - admitted, now
        if len(self._left) > _USERS:
            self._left = {one: kept for one, kept in self._left.items() if self._now(one, now) < BURST}
        return admitted

    def _now(self, group: Hashable, now: float) -> float:
        left, at = self._left.get(group, (BURST, now))
        return min(BURST, left + (now - at) * RATE)


class Parking(Generic[T]):
    """Rings in a ring: users take turns, and in each its processes; who is first in the first is next."""

    def __init__(self) -> None:
        self._rings: dict[Hashable, dict[Hashable, deque[T]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def next_group(self) -> Hashable:
        """Whose turn is next; None if nobody's."""
        return next(iter(self._rings), None)

    def full(self, whence: Whence) -> bool:
        """Whether so many of that process wait already that no more may."""
        group, member = whence
        return len(self._rings.get(group, {}).get(member, ())) >= MOST

    def put(self, whence: Whence, one: T) -> None:
        """Have it wait behind those of its process."""
        group, member = whence
        self._rings.setdefault(group, {}).setdefault(member, deque()).append(one)
        self._count += 1

    def take(self) -> tuple[Hashable, T]:
        """Whose turn it is, of whichever user. There has to be one."""
        group, members = next(iter(self._rings.items()))
        member, queue = next(iter(members.items()))
        one = queue.popleft()
        del members[member], self._rings[group]
        if queue:
            members[member] = queue
        if members:
            self._rings[group] = members
        self._count -= 1
        return group, one
