"""Bytes both ways between two connections, no faster than the slower end takes them."""

import asyncio
from collections.abc import Callable, Collection

from assay.transport.arrival import HIGH_WATER, Arrival, pause, resume

__all__ = ["HIGH_WATER", "Pump", "Side", "close_all"]


class Side(Arrival):
    """One end of a pump. Until it is joined to its other end it keeps what arrives, up to HIGH_WATER."""

    def __init__(self) -> None:
        super().__init__()
        self._forward: Callable[[bytes], None] = self.keep
        self._pump: Pump | None = None

    @property
    def joined(self) -> bool:
        """Whether it has another end."""
        return self._pump is not None

    def join(self, pump: "Pump", other: "Side") -> None:
        """Forward to `other` from now on, first what came before."""
        self._pump = pump
        self._forward = other.transport.write
        early = self.early()
        if early and not other.transport.is_closing():
            other.transport.write(early)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._forward(data)

    def pause_writing(self) -> None:
        """This end is slow: stop reading from the other."""
        if self._pump is not None:
            pause(self._pump.other(self).transport)

    def resume_writing(self) -> None:
        """This end has caught up."""
        if self._pump is not None:
            resume(self._pump.other(self).transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The pump closes when either end is lost."""
        super().connection_lost(exc)
        if self._pump is not None:
            self._pump.end_lost()

    def stop(self) -> None:
        """Close once what is buffered was taken; TLS may still deliver bytes then, and they go nowhere."""
        self._forward = _drop
        self.transport.close()


class Pump:
    """Two joined ends. `on_close` is called once, before either socket closes; `on_lost` once, after both did."""

    def __init__(
        self,
        outer: Side,
        inner: Side,
        on_close: Callable[["Pump"], None],
        on_lost: Callable[["Pump"], None],
        linger: float,
    ) -> None:
        self.outer = outer
        self.inner = inner
        self._on_close = on_close
        self._on_lost = on_lost
        self._open_ends = 2
        self._linger = linger
        self._deadline: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()

    def start(self) -> None:
        """Join the ends."""
        self.inner.join(self, self.outer)
        self.outer.join(self, self.inner)
        # What was lost before it was joined had nobody to tell.
        for side in (self.outer, self.inner):
            if side.lost:
                self.end_lost()

    def other(self, side: Side) -> Side:
        """The end across from `side`."""
        return self.inner if side is self.outer else self.outer

    @property
    def buffered(self) -> int:
        """Bytes taken from one end and not yet given to the other."""
        return self.outer.transport.get_write_buffer_size() + self.inner.transport.get_write_buffer_size()

    def end_lost(self) -> None:
        """One end is gone; the other gets what was still meant for it, then goes too."""
        self.close()
        self._open_ends -= 1
        if self._open_ends == 0:
            if self._deadline is not None:
                self._deadline.cancel()
            self._on_lost(self)
            self._gone.set()

    async def wait_gone(self) -> None:
        """Return when both sockets are closed: at most `linger` seconds after `close`."""
        await self._gone.wait()

    def close(self) -> None:
        """Close both ends once what is buffered was taken, or `linger` seconds have passed."""
        if self._deadline is not None:
            return
        self._deadline = asyncio.get_running_loop().call_later(self._linger, self.abort)
        self._on_close(self)
        self.inner.stop()
        self.outer.stop()

    def abort(self) -> None:
        """Close both ends at once."""
        self.close()
        self.inner.transport.abort()
        self.outer.transport.abort()


async def close_all(pumps: Collection[Pump]) -> None:
    """Close them and wait until their sockets are closed."""
    closing = list(pumps)
    for pump in closing:
        pump.close()
    for pump in closing:
        await pump.wait_gone()


def _drop(_data: bytes) -> None:
    pass
