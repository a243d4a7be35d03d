"""One verifier of this host, as its stream is served: what it holds, and what of its reports is under way."""

import asyncio
from collections import deque
from collections.abc import Callable

from assay.backoff import Backoff
from assay_proto.status.v1 import status_pb2 as pb

MOST_UNDER_WAY = 4
"""Messages with reports that are not written down yet; until one is, the verifier is not heard."""

PAUSE = Backoff(first=1.0, limit=60.0, factor=2, jitter=0)
"""Before reports are sent again that the server did not take, or not all of."""


class Verifier:
    """Attested by that entry, as that instance; `to_say` is called when there is something for the server.

    Its reports go one message after another, since the server takes a number that it has not seen for one that is lost.
    """

    def __init__(self, entry_id: str, instance: str, to_say: Callable[[], None]) -> None:
        self._entry_id = entry_id
        self._instance = instance
        self._to_say = to_say
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._reports: deque[pb.Reports] = deque()
        self._sent = False
        self._fruitless = 0
        self._not_before = 0.0
        self.held = 0
        """Everything until that position obeyed."""
        self.told = -1
        """The last of the server's updates that it was told of."""
        self.taken: deque[pb.ReportsTaken] = deque()
        """Answers that it has not had."""

    def hold(self, position: int) -> None:
        """It obeys everything until there."""
        self.held = position
        self._to_say()

    async def report(self, reports: pb.Reports) -> None:
        """Have these written down; returns when there is room for more."""
        self._reports.append(reports)
        self._to_say()
        while len(self._reports) >= MOST_UNDER_WAY:
            self._room.clear()
            await self._room.wait()

    def due_in(self, now: float) -> float | None:
        """Seconds until there are reports to send, by the monotonic clock; None while there are none."""
        return None if self._sent or not self._reports else max(0.0, self._not_before - now)

    def next(self) -> pb.AgentReports:
        """Those that are due, which count as sent then."""
        self._sent = True
        return pb.AgentReports(entry_id=self._entry_id, instance=self._instance, reports=self._reports[0])

    def unheard(self) -> None:
        """The stream to the server is another: what is not known to be written down is to be sent again."""
        self._sent = False

    def take(self, taken: pb.ReportsTaken, now: float) -> None:
        """Pass on what is said of its reports, if they are its; what was not taken is sent again later."""
        if not self._sent or self._reports[0].reporter != taken.reporter:
            return
        self._sent = False
        reports = self._reports[0]
        written = max(0, min(taken.last - reports.first + 1, len(reports.reports)))
        if written == len(reports.reports):
            self._reports.popleft()
            self._fruitless, self._not_before = 0, 0.0
            self._room.set()
        else:
            del reports.reports[:written]
            reports.first += written
            self._fruitless = 1 if written else self._fruitless + 1
            self._not_before = now + PAUSE.delay(self._fruitless, 0.5)
        self.taken.append(taken)
        self.wake()
        self._to_say()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    async def wait(self) -> None:
        """Until there may be something to tell it."""
        await self._woken.wait()
        self._woken.clear()
