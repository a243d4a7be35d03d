"""A server's end of a connection without sockets, and the frames that go in and come out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import NamedTuple

import pytest

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.fields import Request
from assay.http2.headers import Field, encode
from assay.http2.limits import ORDINARY, Limits
from assay.http2.server import ServerConnection
from assay.http2.stream import Stream

FIELDS: tuple[Field, ...] = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b"te", b"trailers"))


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Seen:
    """What a receiver was told."""

    stream: Stream
    request: Request
    data: bytes = b""
    ended_: bool = False
    code: ErrorCode | None = None
    drained_: int = 0
    take: bool = True

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.take:
            self.stream.taken(len(data))

    def ended(self) -> None:
        self.ended_ = True

    def reset(self, code: ErrorCode) -> None:
        self.code = code

    def drained(self) -> None:
        self.drained_ += 1


@dataclass
class Wire:
    """The peer's side of `core`, which has been greeted unless said otherwise."""

    limits: Limits = ORDINARY
    seen: list[Seen] = field(default_factory=list)
    now: float = 0.0
    woken: int = 0
    take: bool = True
    refuse: bool = False

    def __post_init__(self) -> None:
        self.core: ServerConnection[Request] = ServerConnection(
            self.limits, self._wake, lambda: self.now, Request, self._accept
        )

    def _wake(self) -> None:
        self.woken += 1

    def _accept(self, stream: Stream, request: Request) -> Seen | None:
        if self.refuse:
            return None
        self.seen.append(Seen(stream, request, take=self.take))
        return self.seen[-1]

    def send(self, *frames: bytes) -> list[Frame]:
        """Have them received, in one piece; what comes back."""
        self.core.receive(b"".join(frames))
        return self.frames()

    def frames(self) -> list[Frame]:
        data = b""
        while more := self.core.take():
            data += more
        return split(data)

    def greet(self, **settings: int) -> None:
        numbers = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5}
        self.send(frame.PREFACE, frame.settings({numbers[name]: value for name, value in settings.items()}))

    def open(self, stream_id: int = 1, *, ended: bool = False, fields: tuple[Field, ...] = FIELDS) -> list[Frame]:
        return self.send(frame.headers(stream_id, encode(fields), ended=ended))


def split(data: bytes) -> list[Frame]:
    found: list[Frame] = []
    while data:
        high, low, kind, flags, stream = frame.HEADER.unpack_from(data)
        size = high << 8 | low
        found.append(Frame(kind, flags, stream, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


Wires = Callable[..., Wire]


@pytest.fixture
def wires() -> Wires:
    """Makes connections with limits of the test's choice, greeted."""

    def make(**limits: float) -> Wire:
        wire = Wire(replaced(ORDINARY, **limits))  # type: ignore[arg-type]
        wire.greet()
        return wire

    return make


@pytest.fixture
def wire(wires: Wires) -> Wire:
    return wires()


@pytest.fixture
def ungreeted() -> Wire:
    return Wire()
