"""Whose call runs next: callers take turns, so that none waits for all that another one asks for."""

import asyncio
from collections import deque
from collections.abc import Hashable

# Shares of one turn of the loop: so many calls begin in it, or one piece of a long one is done.
WHOLE = 4
# Turns of the loop between two pieces: who comes new takes several, for the handshake and to be read, before it can
# wait for a share, and an empty turn costs some microseconds.
REST = 4


# A group and who it is in the group.
Caller = tuple[Hashable, Hashable]


class Turns:
    """Gives out each turn of the loop in `WHOLE` shares, to one caller after the other.

    Calls that nobody is ahead of begin at once. Beside a flood each caller waits for its own calls, and for one piece
    of another's: as many milliseconds as a piece takes. Callers of a group share the turns of one, so that nobody gets
    more of them by calling as many.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = WHOLE
        self._resting = 0
        self._armed = False
        # Rings in a ring: who is first in the first is next.
        self._waiting: dict[Hashable, dict[Hashable, deque[tuple[int, asyncio.Future[None]]]]] = {}

    def begin(self, caller: Caller) -> asyncio.Future[None] | None:
        """A share for a call that begins: None if there is one now, else what to wait for."""
        if self._left and not self._waiting:
            self._left -= 1
            if not self._left:  # not before: most turns of the loop see one call or two
                self._arm()
            return None
        return self._wait(caller, 1)

    def whole(self, caller: Caller) -> asyncio.Future[None]:
        """A turn of the loop for a piece of a long call: what to wait for."""
        return self._wait(caller, WHOLE)

    def _wait(self, caller: Caller, shares: int) -> asyncio.Future[None]:
        self._arm()
        group, member = caller
        turn = self._loop.create_future()
        self._waiting.setdefault(group, {}).setdefault(member, deque()).append((shares, turn))
        return turn

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._armed = False
        self._left = WHOLE
        self._resting = max(0, self._resting - 1)
        while self._waiting:
            group, members = next(iter(self._waiting.items()))
            member, queue = next(iter(members.items()))
            shares, turn = queue[0]
            if not turn.done():  # by its cancellation
                if shares > self._left or (shares == WHOLE and self._resting):
                    break
                self._left -= shares
                self._resting = REST if shares == WHOLE else self._resting
                turn.set_result(None)
            queue.popleft()
            del members[member]
            if queue:
                members[member] = queue
            del self._waiting[group]
            if members:
                self._waiting[group] = members
        if self._left < WHOLE or self._resting or self._waiting:
            self._arm()
