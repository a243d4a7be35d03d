"""What a peer may not do without end, and what it costs us meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.headers import encode

if TYPE_CHECKING:
    from tests.unit.common.http2.conftest import Wire, Wires

REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"))
HEAD = encode([(b":status", b"200")])
CONTROL = 50
RESETS = 20


def calm(wire: Wire) -> bool:
    """Whether the connection has been ended for asking too much."""
    return wire.core.failed is not None and wire.core.failed.code is ErrorCode.ENHANCE_YOUR_CALM


FLOODS: dict[str, bytes] = {
    "pings": frame.frame(frame.PING, 0, 0, bytes(8)),
    "settings": frame.settings({}),
    "priorities": frame.frame(frame.PRIORITY, 0, 1, bytes(4) + b"\0"),
    "unknown frames": frame.frame(0xFE, 0, 0),
    "empty data": frame.frame(frame.DATA, 0, 1),
    "windows": frame.window_update(0, 1),
    "resets of what is gone": frame.rst_stream(3, ErrorCode.CANCEL),
}


@pytest.mark.parametrize("name", FLOODS)
def test_frames_that_carry_nothing_may_not_come_without_end(wires: Wires, name: str) -> None:
    wire = wires(control=CONTROL)
    wire.open(1)
    wire.open(3)
    wire.send(frame.rst_stream(3, ErrorCode.CANCEL))
    sent = 0
    while not calm(wire):
        wire.send(FLOODS[name])
        sent += 1
    assert CONTROL / 2 < sent <= CONTROL + 1


def test_what_they_may_grows_back_with_time_and_with_answers(wires: Wires) -> None:
    wire = wires(control=CONTROL, control_per_second=10)
    for _ in range(CONTROL - 2):
        wire.send(FLOODS["pings"])
    wire.now += 2
    for _ in range(20):
        wire.send(FLOODS["pings"])
    for number in range(100):
        wire.open(2 * number + 1, ended=True)
        stream = wire.seen[-1].stream
        stream.answer(HEAD, b"hello", encode([(b"x", b"0")]))
        wire.send(FLOODS["pings"], frame.window_update(0, 5))
    assert not wire.core.failed
    for _ in range(CONTROL + 10):
        wire.send(FLOODS["pings"])
    assert calm(wire)


def test_a_header_block_may_not_go_on_without_end(wire: Wire) -> None:
    part = frame.frame(frame.CONTINUATION, 0, 1, bytes(1000))
    wire.send(frame.frame(frame.HEADERS, 0, 1, b""))
    for _ in range(17):
        wire.send(part)
    assert calm(wire)
    assert len(wire.core._block) <= 18_000


def test_nor_in_empty_frames(wires: Wires) -> None:
    wire = wires(control=CONTROL)
    wire.send(frame.frame(frame.HEADERS, 0, 1, b""))
    for _ in range(CONTROL + 1):
        wire.send(frame.frame(frame.CONTINUATION, 0, 1))
    assert calm(wire)


def test_a_list_of_fields_may_not_be_longer_than_announced(wire: Wire) -> None:
    wire.open(fields=(*REQUEST, (b"x", b"a" * 16_300)))
    assert not wire.seen
    assert calm(wire)


def test_calls_may_not_be_given_up_as_fast_as_they_are_made(wires: Wires) -> None:
    """CVE-2023-44487."""
    wire = wires(resets=RESETS, resets_per_second=0)
    number = 0
    while not calm(wire):
        wire.send(
            frame.headers(2 * number + 1, encode(REQUEST), ended=True),
            frame.rst_stream(2 * number + 1, ErrorCode.CANCEL),
        )
        number += 1
    assert number == RESETS + 1
    assert wire.core.streams == {}


def test_who_gives_up_a_call_now_and_then_may_go_on(wires: Wires) -> None:
    wire = wires(resets=RESETS, resets_per_second=0)
    for number in range(0, 20 * RESETS, 2):
        wire.open(2 * number + 1, ended=True)
        wire.send(frame.rst_stream(2 * number + 1, ErrorCode.CANCEL))
        wire.open(2 * number + 3, ended=True)
        wire.seen[-1].stream.send_headers(HEAD, ended=True)
    assert not wire.core.failed


def test_a_stream_that_was_answered_may_be_left_at_any_time(wires: Wires) -> None:
    wire = wires(resets=RESETS, resets_per_second=0)
    for number in range(10 * RESETS):
        wire.open(2 * number + 1, ended=True)
        wire.seen[-1].stream.send_headers(HEAD)
        wire.send(frame.rst_stream(2 * number + 1, ErrorCode.CANCEL))
    assert not wire.core.failed


def test_faults_of_streams_are_counted_like_resets(wires: Wires) -> None:
    wire = wires(resets=RESETS, resets_per_second=0)
    for number in range(RESETS + 1):
        wire.open(2 * number + 1, fields=(*REQUEST, (b"Bad", b"")))
    assert calm(wire)


def test_more_streams_than_announced_are_refused(wires: Wires) -> None:
    wire = wires(streams=3)
    for number in range(3):
        assert wire.open(2 * number + 1) == []
    (refused,) = wire.open(7)
    assert (refused.kind, refused.stream) == (frame.RST_STREAM, 7)
    assert int.from_bytes(refused.payload, "big") == ErrorCode.REFUSED_STREAM
    wire.send(frame.rst_stream(1, ErrorCode.CANCEL))
    assert wire.open(9) == []


def test_streams_that_the_server_will_not_have_are_refused(wire: Wire) -> None:
    wire.refuse = True
    (refused,) = wire.open(1)
    assert int.from_bytes(refused.payload, "big") == ErrorCode.REFUSED_STREAM
    assert wire.core.streams == {}


def test_what_is_remembered_of_streams_that_are_gone_is_bounded(wires: Wires) -> None:
    wire = wires(resets=10_000)
    for number in range(1000):
        wire.open(2 * number + 1)
        wire.seen[-1].stream.reset(ErrorCode.NO_ERROR)
    assert (len(wire.core.streams), len(wire.core._recent)) == (0, 256)
