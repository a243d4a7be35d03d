"""A connection between its accepting and the moment when it is known who is there and what takes its bytes."""

import asyncio
from typing import cast

# Bytes per direction in one transport's buffer at which the other end stops being read.
HIGH_WATER = 64 * 1024


class Arrival(asyncio.Protocol):
    """Keeps what arrives, up to HIGH_WATER, until `early` is asked for; from then on `data_received` is the heir's.

    It does not outlive the end of what it reads: gRPC never half-closes, and takes one for the end of everything.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = False
        self.error: Exception | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def keep(self, data: bytes) -> None:
        """Nobody takes it yet."""
        self._early.append(data)
        if sum(map(len, self._early)) >= HIGH_WATER:
            pause(self.transport)

    def early(self) -> bytes:
        """What came so far; reading goes on."""
        early, self._early = b"".join(self._early), []
        resume(self.transport)
        return early

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it, and why."""
        self.lost = True
        self.error = exc


class Gone(asyncio.Transport):
    """What a protocol may hold in place of a transport that is closed."""

    def is_closing(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Nothing is left to do."""

    def abort(self) -> None:
        """Nothing is left to do."""


def pause(transport: asyncio.Transport) -> None:
    """Stop reading, unless it is closing anyway."""
    if not transport.is_closing() and transport.is_reading():
        transport.pause_reading()


def resume(transport: asyncio.Transport) -> None:
    """Read again, unless it is closing anyway."""
    if not transport.is_closing() and not transport.is_reading():
        transport.resume_reading()
