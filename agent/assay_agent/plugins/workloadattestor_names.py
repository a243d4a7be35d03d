"""Names of users and groups. The name service may be remote and slow: it is asked in a thread, and not each time."""

import asyncio
import grp
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from assay.clock import Clock

# Seconds for which an answer is believed: long enough for bursts, short for who renames an account.
LIFETIME = 10.0
# Answers kept; a caller can make up group numbers.
MAX_KEPT = 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    name: str | None
    until: float


class Names:
    """Looks numbers up with a blocking function, once at a time for each number."""

    def __init__(self, lookup: Callable[[int], str | None], clock: Clock) -> None:
        self._lookup = lookup
        self._clock = clock
        self._kept: dict[int, _Answer] = {}
        self._asking: dict[int, asyncio.Future[str | None]] = {}

    async def of(self, number: int) -> str | None:
        """The name, or None if there is none."""
        kept = self._kept.get(number)
        if kept is not None and self._clock.monotonic() < kept.until:
            return kept.name
        asking = self._asking.get(number)
        if asking is None:
            asking = asyncio.get_running_loop().run_in_executor(None, self._lookup, number)
            self._asking[number] = asking
            asking.add_done_callback(partial(self._keep, number))
        # Who asked first may give up; the others still wait.
        return await asyncio.shield(asking)

    def _keep(self, number: int, asking: asyncio.Future[str | None]) -> None:
        del self._asking[number]
        if asking.cancelled() or asking.exception() is not None:
            return
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[number] = _Answer(asking.result(), self._clock.monotonic() + LIFETIME)


def user_name(uid: int) -> str | None:
    """The user's name in the system's account database."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None


def group_name(gid: int) -> str | None:
    """The group's name in the system's account database."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return None
