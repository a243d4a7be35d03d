"""How much one connection may ask for, whatever its peer does."""

from collections.abc import Callable
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, unless said otherwise.

    `streams` may be open at once; a stream is granted `stream_window`, the connection `connection_window`.
    `header_list` bounds a block's fields as RFC 9113 section 6.5.2 counts them, `header_block` its compressed form.
    `held` bounds what was received and not taken by its handler, `unsent` what handlers answered and the peer does not
    read. `resets` calls may be given up before anything was answered, `control` frames may come that carry nothing;
    both grow back, by calls that are answered and by so many a second.
    """

    streams: int = 100
    stream_window: int = 256 * KIB
    connection_window: int = MIB
    header_list: int = 16 * KIB
    header_block: int = 16 * KIB
    held: int = 16 * MIB
    unsent: int = 32 * MIB
    resets: int = 200
    resets_per_second: float = 10.0
    control: int = 2000
    control_per_second: float = 100.0


ORDINARY = Limits()


class Allowance:
    """So many of something at once, and so many a second in the long run."""

    __slots__ = ("_most", "_now", "_rate", "_since", "left")

    def __init__(self, most: float, per_second: float, now: Callable[[], float]) -> None:
        self._most = most
        self._rate = per_second
        self._now = now
        self._since = now()
        self.left = most

    def take(self, count: float = 1) -> bool:
        """Use so many, if there are as many."""
        if self.left < count and not self._grown(count):
            return False
        self.left -= count
        return True

    def give(self, count: int) -> None:
        """Let `count` more be used, for work that was done meanwhile."""
        if self.left < self._most:
            self.left += count

    def _grown(self, count: float) -> bool:
        now = self._now()
        self.left = min(self._most, self.left + (now - self._since) * self._rate)
        self._since = now
        return self.left >= count
