"""How much verifiers may report at a time: a flood of reports waits, and whoever asks for a credential does not."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay.clock import Clock
from assay.errors import ResourceExhaustedError
from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Store
from assay_server.governance.reports import MAX_REPORTS, take
from assay_server.model.governed.report import Report

RATE = 100
"""Reports a second of one verifier, in the long run."""

BURST = 2_000
"""And at once, such as after a time without the server."""

MAX_VERIFIERS = 10_000
"""Whose numbers of reports are remembered; those that were silent longest are forgotten first."""


class TooManyReportsError(ResourceExhaustedError):
    """A verifier reports too fast; after `after` seconds there is room for some."""

    def __init__(self, verifier: SpiffeId, after: float) -> None:
        message = f"{verifier} reports too fast: at most {RATE} a second"
        super().__init__(message, hint=f"send the same reports again in {math.ceil(after)} s")
        self.after = after


@dataclass(slots=True)
class _Room:
    left: float
    at: float


class Intake:
    """Takes reports of all verifiers, one small transaction at a time: between two of them others have their turn."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rooms: dict[SpiffeId, _Room] = {}
        self._turn = asyncio.Lock()

    async def take(self, reporter: str, verifier: SpiffeId, first: int, reports: Sequence[Report]) -> int:
        """Write reports down; the number up to which all are. What is beyond it is to be sent again.

        Raises:
            TooManyReportsError: there is no room for any of them yet.
            InvalidArgumentError: as `reports.take`.
            UnavailableError: they cannot be written down.
        """
        last = first - 1
        for at in range(0, max(1, len(reports)), MAX_REPORTS):
            part = reports[at : at + MAX_REPORTS]
            try:
                room = self._admit(verifier, len(part))
            except TooManyReportsError:
                if not at:
                    raise
                break
            last = await self._write(reporter, verifier, first + at, part[:room])
            if room < len(part):
                break
        return last

    async def _write(self, reporter: str, verifier: SpiffeId, first: int, part: Sequence[Report]) -> int:
        async with self._turn:
            now = int(self._clock.now().timestamp())
            return await self._store.write(lambda tx: take(tx, reporter, verifier, first, part, now))

    def _admit(self, verifier: SpiffeId, wanted: int) -> int:
        """How many of them there is room for, which is theirs then."""
        now = self._clock.monotonic()
        room = self._rooms.pop(verifier, None) or _Room(BURST, now)
        room.left, room.at = min(BURST, room.left + (now - room.at) * RATE), now
        self._rooms[verifier] = room  # last: it was heard of last
        if len(self._rooms) > MAX_VERIFIERS:
            del self._rooms[next(iter(self._rooms))]
        if wanted and room.left < 1:
            raise TooManyReportsError(verifier, (1 - room.left) / RATE)
        given = min(wanted, int(room.left))
        room.left -= given
        return given
