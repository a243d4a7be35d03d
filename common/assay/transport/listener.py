"""An accept loop that outlives whatever its connections do."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from assay.errors import AssayError

# Of the standard library: the front and the dialler are in users' programs too, which decide what becomes of it.
log = logging.getLogger("assay.transport")

BACKLOG = 1024
# Connections taken in one turn of the loop, so that a flood leaves turns to those already served.
BATCH = 4
# Connections taken out of the kernel's queue in one, where they wait for their turn here: that queue is one for all
# callers, and who fills it would keep the others out for as long as it takes to empty it.
SWEEP = 100
# Seconds without accepting when the process is out of descriptors or memory.
PAUSE = 0.1

# Looks at a connection as soon as it is accepted, and returns what remains to be done for it.
Accept = Callable[[socket.socket, Any], Coroutine[Any, Any, None]]
Whence = Callable[[socket.socket], Hashable]


class Listener:
    """Accepts on `listening`, non-blocking, and owns what is under way for each connection until it is set up.

    The function given may refuse by AssayError or OSError, at once or later: the connection is closed then, and
    only that one.

    With `whence` connections are accepted as fast as they come, and set up in turns by what it says of each. `accept`
    has to bound how many there are, then.
    """

    def __init__(self, listening: socket.socket, accept: Accept, whence: Whence | None = None) -> None:
        self.socket = listening
        self._accept = accept
        self._whence = whence
        # The ring: who is first in it is next.
        self._parked: dict[Hashable, deque[tuple[socket.socket, Coroutine[Any, Any, None]]]] = {}
        self._armed = False
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        listening.setblocking(False)

    def start(self) -> None:
        """Accept from now on."""
        self._resume = None
        self._loop.add_reader(self.socket.fileno(), self._on_readable)

    async def close(self) -> None:
        """Accept no more and drop what is not set up."""
        if self.socket.fileno() < 0:
            return
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()
        while self._parked:
            self._begin(*self._unpark())
        # A task cancelled before its first step would never get to close what it was given.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_readable(self) -> None:
        for _ in range(BATCH if self._whence is None else SWEEP):
            try:
                connection, address = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            self._take(connection, address)

    def _pause(self, error: OSError) -> None:
        # The connection stays in the backlog, and the socket readable: without a pause this would spin.
        log.warning("Failed to accept connection", extra=_because(error))
        self._loop.remove_reader(self.socket.fileno())
        self._resume = self._loop.call_later(PAUSE, self.start)

    def _take(self, connection: socket.socket, address: object) -> None:
        try:
            work = self._accept(connection, address)
        except AssayError as error:  # nobody can be told but the operator
            log.warning("Connection failed during accept", extra=_because(error))
            connection.close()
            return
        except OSError as error:
            log.debug("Connection refused", extra=_because(error))
            connection.close()
            return
        if self._whence is None:
            self._begin(connection, work)
            return
        self._parked.setdefault(self._whence(connection), deque()).append((connection, work))
        self._arm()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._armed = False
        for _ in range(BATCH):
            if not self._parked:
                return
            self._begin(*self._unpark())
        if self._parked:
            self._arm()

    def _unpark(self) -> tuple[socket.socket, Coroutine[Any, Any, None]]:
        whence, queue = next(iter(self._parked.items()))
        first = queue.popleft()
        del self._parked[whence]
        if queue:
            self._parked[whence] = queue
        return first

    def _begin(self, connection: socket.socket, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(self._run(connection, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: socket.socket, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (AssayError, OSError) as error:
            log.debug("Connection refused", extra=_because(error))
            connection.close()
        except Exception:
            log.exception("Connection failed")
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise


def _because(error: Exception) -> dict[str, object]:
    return {"fields": {"error": str(error)}}
