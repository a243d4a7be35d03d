"""An accept loop that outlives whatever its connections do."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from assay.errors import AssayError, ResourceExhaustedError
from assay.transport.parking import Pace, Parking, Whence

# Of the standard library: the front and the dialler are in users' programs too, which decide what becomes of it.
log = logging.getLogger("assay.transport")

# The kernel takes no more than net.core.somaxconn.
BACKLOG = 4096
# Connections taken in one turn of the loop, so that a flood leaves turns to those already served.
BATCH = 4
# Connections taken out of the kernel's queue in one, where they wait for their turn here: that queue is one for all
# callers, and who fills it keeps the others out. A client that does not block fails at once where it is full.
SWEEP = 256
# Connections given up in one turn that nobody is at the other end of any more.
GONE = 64
# Seconds between two lines of the log about one user's floods.
SILENCE = 60.0
# Seconds without accepting when the process is out of descriptors or memory.
PAUSE = 0.1

# Looks at a connection as soon as it is accepted, and returns what remains to be done for it.
Accept = Callable[[socket.socket, Any], Coroutine[Any, Any, None]]


class Listener:
    """Accepts on `listening`, non-blocking, and owns what is under way for each connection until it is set up.

    The function given may refuse by AssayError or OSError, at once or later: the connection is closed then, and
    only that one.

    With `whence` connections are accepted as fast as they come, and set up in turns by what it says of each, a user
    and a process. Of who comes too fast, or has too many waiting, more are closed before anything is done for them.
    """

    def __init__(
        self, listening: socket.socket, accept: Accept, whence: Callable[[socket.socket], Whence] | None = None
    ) -> None:
        self.socket = listening
        self._accept = accept
        self._whence = whence
        self._parked: Parking[tuple[socket.socket, Coroutine[Any, Any, None]]] = Parking()
        self._pace = Pace()
        # Until when nothing more is said of whom.
        self._told: dict[Hashable, float] = {}
        self._armed = False
        # Whether the kernel's queue was not emptied when it was last looked at.
        self._behind = False
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
            self._begin(*self._parked.take()[1])
        # A task cancelled before its first step would never get to close what it was given.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_readable(self) -> None:
        if self._whence is None:
            for _ in range(BATCH):
                if not self._accept_one():
                    return
            return
        for _ in range(SWEEP):
            if not self._accept_one():
                self._behind = False
                return
        self._behind = True

    def _accept_one(self) -> bool:
        """Take one; False when there is no other to be had now."""
        try:
            connection, address = self.socket.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:
            return True
        except OSError as error:
            self._pause(error)
            return False
        self._take(connection, address)
        return True

    def _pause(self, error: OSError) -> None:
        # The connection stays in the backlog, and the socket readable: without a pause this would spin.
        log.warning("Failed to accept connection", extra=_because(error))
        self._loop.remove_reader(self.socket.fileno())
        self._resume = self._loop.call_later(PAUSE, self.start)

    def _take(self, connection: socket.socket, address: object) -> None:
        whence = self._admitted(connection)
        if whence is None and self._whence is not None:
            connection.close()
            return
        connection.setblocking(False)
        try:
            work = self._accept(connection, address)
        except ResourceExhaustedError:  # whoever counts them has said so, once
            connection.close()
            return
        except AssayError as error:  # nobody can be told but the operator
            log.warning("Connection failed during accept", extra=_because(error))
            connection.close()
            return
        except OSError as error:
            log.debug("Connection refused", extra=_because(error))
            connection.close()
            return
        if whence is None:
            self._begin(connection, work)
            return
        self._parked.put(whence, (connection, work))
        self._arm()

    def _admitted(self, connection: socket.socket) -> Whence | None:
        """Who shares the turns with whom; None where there are none to share, or nobody to give one to."""
        if self._whence is None:
            return None
        try:
            whence = self._whence(connection)
        except OSError:
            return None
        # From the cheapest to the dearest: what is not worth it has to be out of the way quickly.
        if not self._pace.admits(whence[0], self._loop.time()) or self._parked.full(whence):
            self._tell(whence)
            return None
        return None if hung_up(connection) else whence

    def _tell(self, whence: Whence) -> None:
        now = self._loop.time()
        self._told = {who: until for who, until in self._told.items() if until > now}
        if whence[0] not in self._told:
            self._told[whence[0]] = now + SILENCE
            log.warning("Too many connections at once", extra={"fields": {"caller": str(whence[0]), "pid": whence[1]}})

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """Set some up: of each user one, while there is more in the kernel's queue than one look takes out of it."""
        self._armed = False
        begun, gone, served = 0, 0, set[object]()
        while self._parked and begun < BATCH and gone < GONE:
            whose, (connection, work) = self._parked.take()
            if hung_up(connection):
                gone += 1
            else:
                begun += 1
                served.add(whose)
            self._begin(connection, work)
            if self._behind and self._parked.next_group in served:
                break
        if self._parked:
            self._arm()

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


def hung_up(connection: socket.socket) -> bool:
    """Whether nobody is at the other end any more, and nothing was said before."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True


def _because(error: Exception) -> dict[str, object]:
    return {"fields": {"error": str(error)}}
