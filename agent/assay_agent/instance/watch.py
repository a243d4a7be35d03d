"""Being told when processes end."""

import asyncio
import os
import select
from collections.abc import Callable

from assay.transport.peer import UnixPeer


class ProcessWatch:
    """Holds a pidfd of each process that is watched; `told` is called with the number of one that has ended."""

    def __init__(self, told: Callable[[int], object]) -> None:
        self._told = told
        self._watched: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, peer: UnixPeer) -> bool:
        """Watch that process, too; False where its end cannot be known, for want of a pidfd."""
        if (known := self._watched.get(peer.pid)) is not None:
            if not _ended(known):
                return True
            # The number is another's by now.
            self._end(peer.pid)
        if peer.process.fd < 0:
            return False
        fd = self._watched[peer.pid] = os.dup(peer.process.fd)
        asyncio.get_running_loop().add_reader(fd, self._end, peer.pid)
        return True

    def forget(self, pid: int) -> None:
        """Watch it no more."""
        if (fd := self._watched.pop(pid, None)) is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def _end(self, pid: int) -> None:
        self.forget(pid)
        self._told(pid)


def _ended(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
