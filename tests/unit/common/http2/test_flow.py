"""Windows, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.headers import encode

if TYPE_CHECKING:
    from tests.unit.common.http2.conftest import Frame, Wire, Wires

HEAD, TAIL = encode([(b":status", b"200")]), encode([(b"x-end", b"1")])
CHUNK = 16_384


def data_of(frames: list[Frame], stream: int = 1) -> bytes:
    return b"".join(one.payload for one in frames if one.kind == frame.DATA and one.stream == stream)


def code_of(frames: list[Frame]) -> ErrorCode:
    return ErrorCode(
        int.from_bytes(
            frames[-1].payload[-4:] if frames[-1].kind == frame.RST_STREAM else frames[-1].payload[4:8], "big"
        )
    )


def test_a_message_larger_than_the_window_waits_for_the_peer_to_grant_more(wire: Wire) -> None:
    wire.open(ended=True)
    stream = wire.seen[0].stream
    stream.send_headers(HEAD)
    stream.send(b"a" * 100_000)
    stream.finish(TAIL)
    first = wire.frames()
    assert len(data_of(first)) == 65_535
    assert all(len(one.payload) <= CHUNK for one in first)
    assert (stream.unsent, wire.core.unsent, wire.seen[0].drained_) == (34_465, 34_465, 0)
    assert data_of(wire.send(frame.window_update(1, 50_000))) == b""
    rest = wire.send(frame.window_update(0, 34_465))
    assert len(data_of(rest)) == 34_465
    assert (rest[-1].kind, rest[-1].flags) == (frame.HEADERS, frame.END_HEADERS | frame.END_STREAM)
    assert (wire.core.unsent, wire.seen[0].drained_, wire.core.streams) == (0, 1, {})


def test_windows_that_shrink_may_be_negative_and_grow_again(wire: Wire) -> None:
    wire.open(ended=True)
    stream = wire.seen[0].stream
    stream.send_headers(HEAD)
    stream.send(b"a" * 60_000)
    assert len(data_of(wire.frames())) == 60_000
    wire.send(frame.settings({4: 10_000}))
    assert stream.window == 10_000 - 60_000
    stream.send(b"b" * 10)
    assert data_of(wire.frames()) == b""
    assert data_of(wire.send(frame.window_update(1, 50_000))) == b""
    assert data_of(wire.send(frame.window_update(1, 3))) == b"bbb"
    assert data_of(wire.send(frame.settings({4: 10_007}))) == b"b" * 7


def test_settings_may_not_make_a_window_too_large(wire: Wire) -> None:
    wire.open()
    wire.send(frame.window_update(1, 2**31 - 1 - 65_535))
    assert code_of(wire.send(frame.settings({4: 65_536}))) is ErrorCode.FLOW_CONTROL_ERROR


def test_a_stream_whose_window_is_made_too_large_is_ended(wire: Wire) -> None:
    wire.open()
    assert code_of(wire.send(frame.window_update(1, 2**31 - 1))) is ErrorCode.FLOW_CONTROL_ERROR
    wire.open(3)
    assert code_of(wire.send(frame.window_update(3, 0))) is ErrorCode.PROTOCOL_ERROR
    assert not wire.core.failed


def test_streams_take_turns_when_the_connection_is_narrow(wire: Wire) -> None:
    wire.core.held_back = True
    for number in (1, 3, 5):
        wire.open(number, ended=True)
        wire.seen[-1].stream.send_headers(HEAD)
        wire.seen[-1].stream.send(bytes(40_000))
    wire.core.held_back = False
    sent = wire.frames()
    sizes = [len(data_of(sent, number)) for number in (1, 3, 5)]
    assert sum(sizes) == 65_535
    assert max(sizes) - min(sizes) <= 2 * CHUNK


def test_frames_are_as_large_as_the_peer_takes_them(wires: Wires) -> None:
    wire = wires()
    wire.send(frame.settings({5: 20_000}))
    wire.open(ended=True)
    wire.seen[0].stream.send_headers(HEAD)
    wire.seen[0].stream.send(bytes(30_000))
    assert [len(one.payload) for one in wire.frames() if one.kind == frame.DATA] == [20_000, 10_000]


def test_nothing_is_made_ready_while_the_transport_is_full(wire: Wire) -> None:
    wire.core.held_back = True
    wire.open(ended=True)
    wire.seen[0].stream.answer(HEAD, b"hello", TAIL)
    assert data_of(wire.frames()) == b""
    wire.core.held_back = False
    sent = wire.frames()
    assert (data_of(sent), sent[-1].kind, wire.core.streams) == (b"hello", frame.HEADERS, {})


def test_no_more_is_made_ready_at_once_than_a_transport_takes(wires: Wires) -> None:
    wire = wires()
    wire.send(frame.settings({4: 2**31 - 1}), frame.window_update(0, 2**30))
    wire.open(ended=True)
    wire.seen[0].stream.send_headers(HEAD)
    wire.seen[0].stream.send(bytes(10_000_000))
    assert len(wire.core.take()) < 100_000


def test_a_peer_that_sends_more_than_it_was_granted_is_stopped(wires: Wires) -> None:
    wire = wires(stream_window=65_535, connection_window=1_000_000)
    wire.take = False
    wire.open()
    for _ in range(3):
        assert wire.send(frame.frame(frame.DATA, 0, 1, bytes(CHUNK))) == []
    assert code_of(wire.send(frame.frame(frame.DATA, 0, 1, bytes(CHUNK)))) is ErrorCode.FLOW_CONTROL_ERROR
    assert wire.seen[0].code is ErrorCode.FLOW_CONTROL_ERROR
    assert not wire.core.failed


def test_and_on_all_streams_together(wires: Wires) -> None:
    wire = wires(connection_window=100_000)
    wire.core._grant.left = 10
    wire.open()
    assert code_of(wire.send(frame.frame(frame.DATA, 0, 1, bytes(11)))) is ErrorCode.FLOW_CONTROL_ERROR
    assert wire.core.failed


@pytest.mark.parametrize("take", [True, False])
def test_room_is_given_back_as_it_is_taken_and_not_for_every_frame(wires: Wires, take: bool) -> None:
    wire = wires(stream_window=100_000, connection_window=100_000)
    wire.take = take
    wire.open()
    got = [one for _ in range(6) for one in wire.send(frame.frame(frame.DATA, 0, 1, bytes(CHUNK)))]
    grants = {(one.stream, int.from_bytes(one.payload, "big")) for one in got}
    assert grants == ({(0, 4 * CHUNK), (1, 4 * CHUNK)} if take else {(0, 4 * CHUNK)})


def test_what_a_lost_stream_had_to_send_is_forgotten(wire: Wire) -> None:
    wire.open(ended=True)
    stream = wire.seen[0].stream
    stream.send_headers(HEAD)
    stream.send(bytes(1_000_000))
    wire.frames()
    assert wire.core.unsent > 0
    wire.send(frame.rst_stream(1, ErrorCode.CANCEL))
    assert (wire.core.unsent, wire.core._ready, wire.seen[0].code) == (0, {}, ErrorCode.CANCEL)
