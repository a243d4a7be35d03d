"""Reading the configuration anew while the daemon runs, when a signal asks for it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection
from typing import Generic

import structlog

from assay.config.changes import LEVEL, C, compare, in_effect
from assay.errors import AssayError
from assay.loglevel import LiveLevel

log = structlog.get_logger(__name__)

# SPIRE's plugins read their data again on SIGUSR1; SIGHUP is what other daemons take.
SIGNALS = (signal.SIGHUP, signal.SIGUSR1)
_REFUSED = "Configuration cannot be reloaded; everything stays as it was"


async def _nothing(_config: object) -> None:
    """Take over no more than every daemon does."""


class Reload(Generic[C]):
    """Takes over what can change in a running daemon, and says what changed and what has to wait for a restart.

    `reread` makes the configuration anew, in a thread; when it refuses, the daemon goes on as it was.
    """

    def __init__(self, config: C, reread: Callable[[], C], level: LiveLevel) -> None:
        self._config = config
        self._reread = reread
        self._level = level
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have it done soon, once for all that asked until it begins."""
        self._asked.set()

    async def run(self, live: Collection[str] = (), apply: Callable[[C], Awaitable[None]] = _nothing) -> None:
        """Do it whenever it is asked for, until cancelled.

        `apply` takes over the fields that `live` names, all or, when it refuses, none. The level of the log is live in
        every daemon.
        """
        while True:
            await self._asked.wait()
            self._asked.clear()
            log.info("Reconfigure signal received")
            try:
                new = await asyncio.to_thread(self._reread)
                await apply(new)
            except AssayError as error:
                log.error(_REFUSED, error=str(error))  # noqa: TRY400 - a refusal; the operator knows what to mend
            except Exception:
                # Whatever is wrong with a file is no reason to end a daemon that runs.
                log.exception(_REFUSED)
            else:
                self._take_over(new, live)

    def _take_over(self, new: C, live: Collection[str]) -> None:
        changes = compare(self._config, new, live)
        self._config = in_effect(self._config, new, live)
        log.info("Configuration reloaded", changed=", ".join(changes.live) or "nothing")
        if changes.restart:
            log.warning("Changes of the configuration need a restart", settings=", ".join(changes.restart))
        # Not if the file's level is as it was: an operator may have set another through the API since.
        if LEVEL in changes.live:
            self._level.set(new.log.level)
