"""One verifier of this host, as its stream is served: what it holds, and what of its reports is under way."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from assay_proto.status.v1 import status_pb2 as pb

MOST_UNDER_WAY = 4
"""Messages with reports that are not written down yet; until one is, the verifier is not heard."""


class Verifier:
    """Attested by that entry, as that instance; `to_say` is called when there is something for the server."""

    def __init__(self, entry_id: str, instance: str, to_say: Callable[[], None]) -> None:
        self._entry_id = entry_id
        self._instance = instance
        self._to_say = to_say
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._unsent: deque[pb.Reports] = deque()
        self._sent: deque[pb.Reports] = deque()
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
        self._unsent.append(reports)
        self._to_say()
        while len(self._unsent) + len(self._sent) >= MOST_UNDER_WAY:
            self._room.clear()
            await self._room.wait()

    def unsent(self) -> Iterator[pb.AgentReports]:
        """Those that the server was not sent on this stream."""
        while self._unsent:
            reports = self._unsent.popleft()
            self._sent.append(reports)
            yield pb.AgentReports(entry_id=self._entry_id, instance=self._instance, reports=reports)

    def unheard(self) -> None:
        """The stream to the server is another: what is not known to be written down is to be sent again."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()

    def take(self, taken: pb.ReportsTaken) -> None:
        """Pass on what is said of its reports, if they are its."""
        mine = next((one for one in self._sent if one.reporter == taken.reporter), None)
        if mine is not None:
            self._sent.remove(mine)
            self.taken.append(taken)
            self._room.set()
            self.wake()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    async def wait(self) -> None:
        """Until there may be something to tell it."""
        await self._woken.wait()
        self._woken.clear()
