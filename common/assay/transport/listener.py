"""An accept loop that outlives whatever its connections do."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from assay.errors import AssayError

# Of the standard library: the front and the dialler are in users' programs too, which decide what becomes of it.
log = logging.getLogger("assay.transport")

BACKLOG = 1024
# Connections taken in one turn of the loop, so that a flood leaves turns to those already served.
BATCH = 4
# Seconds without accepting when the process is out of descriptors or memory.
PAUSE = 0.1

# Looks at a connection as soon as it is accepted, and returns what remains to be done for it.
Accept = Callable[[socket.socket, Any], Coroutine[Any, Any, None]]


class Listener:
    """Accepts on `listening`, non-blocking, and owns what is under way for each connection until it is set up.

    The function given may refuse by AssayError or OSError, at once or later: the connection is closed then, and
    only that one.
    """

    def __init__(self, listening: socket.socket, accept: Accept) -> None:
        self.socket = listening
        self._accept = accept
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
        # A task cancelled before its first step would never get to close what it was given.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_readable(self) -> None:
        for _ in range(BATCH):
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
