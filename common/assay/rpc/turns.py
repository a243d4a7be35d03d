"""Whose call runs next: callers take turns, so that none waits for all that another one asks for."""

import asyncio
from collections import deque
from collections.abc import Hashable

# Shares of one turn of the loop: so many calls begin in it, or one piece of a long one is done.
WHOLE = 4
# Turns of the loop between two pieces: who comes new takes several, for the handshake and to be read, before it can
# wait for a share, and an empty turn costs some microseconds.
REST = 4


class Turns:
    """Gives out each turn of the loop in `WHOLE` shares, to one caller after the other.

    Calls that nobody is ahead of begin at once. Beside a flood each caller waits for its own calls, and for one piece
    of another's: as many milliseconds as a piece takes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = WHOLE
        self._resting = 0
        self._armed = False
        # The ring: who is first in it is next.
        self._waiting: dict[Hashable, deque[tuple[int, asyncio.Future[None]]]] = {}

    def begin(self, caller: Hashable) -> asyncio.Future[None] | None:
        """A share for a call that begins: None if there is one now, else what to wait for."""
        if self._left and not self._waiting:
            self._left -= 1
            if not self._left:  # not before: most turns of the loop see one call or two
                self._arm()
            return None
        return self._wait(caller, 1)

    def whole(self, caller: Hashable) -> asyncio.Future[None]:
        """A turn of the loop for a piece of a long call: what to wait for."""
        return self._wait(caller, WHOLE)

    def _wait(self, caller: Hashable, shares: int) -> asyncio.Future[None]:
        self._arm()
        turn = self._loop.create_future()
        self._waiting.setdefault(caller, deque()).append((shares, turn))
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
            caller, queue = next(iter(self._waiting.items()))
            shares, turn = queue[0]
            if not turn.done():  # by its cancellation
                if shares > self._left or (shares == WHOLE and self._resting):
                    break
                self._left -= shares
                self._resting = REST if shares == WHOLE else self._resting
                turn.set_result(None)
            queue.popleft()
            del self._waiting[caller]
            if queue:
                self._waiting[caller] = queue
        if self._left < WHOLE or self._resting or self._waiting:
            self._arm()
