"""Deadlines of calls, nearly all of which end long before: one timer for all of a connection, not one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from assay.rpc.call import Call


class Deadlines:
    """Tells calls when their time is over. The timer stands at the earliest deadline there was when it was set."""

    __slots__ = ("_at", "_calls", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: dict[Call, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # for uvloop's handles of what is due already do not say when

    def watch(self, call: Call, until: float) -> None:
        """Call `expire` on it at that time of the loop."""
        self._calls[call] = until
        if self._timer is None or until < self._at:
            self._set(until)

    def forget(self, call: Call) -> None:
        """It has ended; nothing happens if it was not watched."""
        self._calls.pop(call, None)

    def close(self) -> None:
        """Watch nothing any more."""
        self._calls.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = until
        self._timer = self._loop.call_at(until, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        for call in [call for call, until in self._calls.items() if until <= now]:
            self._calls.pop(call, None)
            call.expire()
        self._timer = None
        if self._calls:
            self._set(min(self._calls.values()))
