"""Windows (RFC 9113 section 5.2): how much each end may send before the other has taken what came."""

from assay.http2.frame import MAX_WINDOW


class Grant:
    """What the peer may send us: `left` bytes, and the one who counts them sees that it does not send more.

    New room is told once half of the window is used up, not for every frame.
    """

    __slots__ = ("_half", "_owed", "left")

    def __init__(self, size: int) -> None:
        self._half = size // 2
        self.left = size
        self._owed = 0

    def take(self, count: int) -> int:
        """Grant as many again; the increment to tell the peer now, 0 for none yet."""
        self._owed += count
        if self._owed < self._half:
            return 0
        increment, self._owed = self._owed, 0
        self.left += increment
        return increment


def grown(window: int, increment: int) -> int | None:
    """A window of ours after the peer has enlarged it; None when it would be larger than windows can be.

    A window may be negative, since settings can shrink it after bytes were sent.
    """
    window += increment
    return window if window <= MAX_WINDOW else None
