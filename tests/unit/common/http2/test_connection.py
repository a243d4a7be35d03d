"""What every connection must bear, frame by frame (RFC 9113)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.headers import encode

if TYPE_CHECKING:
    from tests.unit.common.http2.conftest import Frame, Wire

WINDOW = 65_535


def goaway(frames: list[Frame]) -> ErrorCode:
    """Why the connection ended; it did."""
    last = frames[-1]
    assert last.kind == frame.GOAWAY
    return ErrorCode(int.from_bytes(last.payload[4:8], "big"))


def reset(frames: list[Frame], stream: int = 1) -> ErrorCode:
    (found,) = [one for one in frames if one.kind == frame.RST_STREAM and one.stream == stream]
    return ErrorCode(int.from_bytes(found.payload, "big"))


def test_the_server_says_first_what_it_grants_and_not_before_it_is_spoken_to(ungreeted: Wire) -> None:
    assert ungreeted.frames() == []
    first, *rest = ungreeted.send(frame.PREFACE, frame.settings({}))
    assert (first.kind, first.flags) == (frame.SETTINGS, 0)
    assert dict(frame.settings_of(first.payload)) == {3: 100, 4: 256 * 1024, 6: 16 * 1024}
    assert [(one.kind, one.flags) for one in rest] == [(frame.WINDOW_UPDATE, 0), (frame.SETTINGS, frame.ACK)]


def test_who_speaks_no_http2_is_told_in_it(ungreeted: Wire) -> None:
    frames = ungreeted.send(b"GET / HTTP/1.1\r\n\r\n")
    assert [one.kind for one in frames] == [frame.SETTINGS, frame.WINDOW_UPDATE, frame.GOAWAY]


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", frame.PREFACE[:-1] + b"x", b"\0" * 100]
)
def test_who_does_not_begin_with_the_preface_is_cut_off(ungreeted: Wire, rubbish: bytes) -> None:
    assert goaway(ungreeted.send(rubbish)) is ErrorCode.PROTOCOL_ERROR


def test_the_preface_may_come_byte_by_byte(ungreeted: Wire) -> None:
    for byte in frame.PREFACE + frame.settings({}):
        assert not ungreeted.core.failed
        ungreeted.core.receive(bytes((byte,)))
    assert ungreeted.core.greeted
    assert not ungreeted.core.failed


def test_the_first_frame_must_be_settings(ungreeted: Wire) -> None:
    assert goaway(ungreeted.send(frame.PREFACE, frame.frame(frame.PING, 0, 0, bytes(8)))) is ErrorCode.PROTOCOL_ERROR


def test_frames_in_any_pieces_are_put_together(wire: Wire) -> None:
    data = frame.headers(1, encode(REQUEST), ended=False) + frame.frame(frame.DATA, 1, 1, b"hello")
    for byte in data:
        wire.core.receive(bytes((byte,)))
    assert (wire.seen[0].data, wire.seen[0].ended_) == (b"hello", True)


REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"))

BROKEN: dict[str, tuple[bytes, ErrorCode]] = {
    "frame too long": (frame.frame(frame.DATA, 0, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
    "data on no stream": (frame.frame(frame.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on an idle stream": (frame.frame(frame.DATA, 0, 5, b"x"), ErrorCode.PROTOCOL_ERROR),
    "headers on no stream": (frame.headers(0, encode(REQUEST), ended=True), ErrorCode.PROTOCOL_ERROR),
    "headers on an even stream": (frame.headers(2, encode(REQUEST), ended=True), ErrorCode.PROTOCOL_ERROR),
    "reset of an idle stream": (frame.rst_stream(7, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
    "reset of no stream": (frame.rst_stream(0, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
    "reset of a wrong size": (frame.frame(frame.RST_STREAM, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    "settings on a stream": (frame.frame(frame.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings cut off": (frame.frame(frame.SETTINGS, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    "acknowledgement with a payload": (frame.frame(frame.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
    "window too large by settings": (frame.settings({4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
    "frames too small by settings": (frame.settings({5: 100}), ErrorCode.PROTOCOL_ERROR),
    "push neither 0 nor 1": (frame.settings({2: 2}), ErrorCode.PROTOCOL_ERROR),
    "ping on a stream": (frame.frame(frame.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "ping of a wrong size": (frame.frame(frame.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "goaway on a stream": (frame.frame(frame.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "push": (frame.frame(frame.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "priority of no stream": (frame.frame(frame.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "no increment": (frame.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "window of a wrong size": (frame.frame(frame.WINDOW_UPDATE, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    "window beyond all bounds": (frame.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
    "window of an idle stream": (frame.window_update(9, 1), ErrorCode.PROTOCOL_ERROR),
    "continuation of nothing": (frame.frame(frame.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR),
    "continuation of another": (
        frame.frame(frame.HEADERS, 0, 1) + frame.frame(frame.CONTINUATION, 4, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "interrupted block": (
        frame.frame(frame.HEADERS, 0, 1) + frame.frame(frame.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "no hpack": (frame.headers(1, b"\xff\xff\xff\xff\xff\xff", ended=True), ErrorCode.COMPRESSION_ERROR),
    "padding longer than its frame": (
        frame.headers(1, encode(REQUEST), ended=False) + frame.frame(frame.DATA, frame.PADDED, 1, b"\x05abc"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padding of nothing": (frame.frame(frame.HEADERS, frame.PADDED | 4, 1), ErrorCode.FRAME_SIZE_ERROR),
    "stream that depends on itself": (
        frame.frame(frame.HEADERS, frame.PRIORITIZED | 4, 1, b"\0\0\0\x01\x10" + encode(REQUEST)),
        ErrorCode.PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_who_breaks_the_protocol_loses_the_connection(wire: Wire, name: str) -> None:
    data, code = BROKEN[name]
    assert goaway(wire.send(data)) is code
    assert wire.core.finished
    assert wire.send(frame.frame(frame.PING, 0, 0, bytes(8))) == []
    assert all(one.code is code for one in wire.seen)


MALFORMED = {
    "capitals": (*REQUEST, (b"Te", b"trailers")),
    "an empty name": (*REQUEST, (b"", b"x")),
    "unknown pseudo-header": (*REQUEST, (b":who", b"x")),
    "pseudo-header of an answer": (*REQUEST, (b":status", b"200")),
    "pseudo-header twice": (*REQUEST, (b":path", b"/b")),
    "pseudo-header after others": (*REQUEST[:2], (b"te", b"trailers"), REQUEST[2]),
    "no method": REQUEST[1:],
    "no scheme": (REQUEST[0], REQUEST[2]),
    "no path": REQUEST[:2],
    "empty path": (*REQUEST[:2], (b":path", b"")),
    "connection": (*REQUEST, (b"connection", b"close")),
    "transfer-encoding": (*REQUEST, (b"transfer-encoding", b"chunked")),
    "te": (*REQUEST, (b"te", b"gzip")),
    "line break": (*REQUEST, (b"x", b"a\r\nb")),
    "zero byte": (*REQUEST, (b"x", b"a\0")),
    "space around": (*REQUEST, (b"x", b" a")),
    "length of two minds": (*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")),
    "length that is none": (*REQUEST, (b"content-length", b"-1")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_loses_its_stream_only(wire: Wire, name: str) -> None:
    assert reset(wire.open(fields=MALFORMED[name])) is ErrorCode.PROTOCOL_ERROR
    assert wire.seen == []
    assert not wire.core.failed
    wire.open(3)
    assert len(wire.seen) == 1


@pytest.mark.parametrize("length", [4, 6])
def test_a_body_has_the_length_it_was_said_to_have(wire: Wire, length: int) -> None:
    wire.open(fields=(*REQUEST, (b"content-length", b"%d" % length)))
    assert reset(wire.send(frame.frame(frame.DATA, 1, 1, b"hello"))) is ErrorCode.PROTOCOL_ERROR
    assert wire.seen[0].code is ErrorCode.PROTOCOL_ERROR


def test_trailers_end_a_request(wire: Wire) -> None:
    wire.open()
    wire.send(frame.headers(1, encode([(b"x-checksum", b"1")]), ended=True))
    assert wire.seen[0].ended_


@pytest.mark.parametrize(
    ("fields", "ended"), [([(b"x", b"1")], False), ([(b":path", b"/")], True), ([(b"connection", b"close")], True)]
)
def test_trailers_are_regular_fields_and_the_end(wire: Wire, fields: list[tuple[bytes, bytes]], ended: bool) -> None:
    wire.open()
    assert reset(wire.send(frame.headers(1, encode(fields), ended=ended))) is ErrorCode.PROTOCOL_ERROR


def test_what_comes_after_the_end_of_a_stream_is_refused(wire: Wire) -> None:
    wire.open(ended=True)
    assert reset(wire.send(frame.frame(frame.DATA, 0, 1, b"x"))) is ErrorCode.STREAM_CLOSED
    wire.open(3, ended=True)
    wire.seen[1].stream.send_headers(encode([(b":status", b"200")]), ended=True)
    wire.frames()
    assert goaway(wire.open(3)) is ErrorCode.STREAM_CLOSED


def test_what_was_on_its_way_on_a_stream_that_we_ended_is_no_fault(wire: Wire) -> None:
    wire.open()
    wire.seen[0].stream.reset(ErrorCode.NO_ERROR)
    assert reset(wire.frames()) is ErrorCode.NO_ERROR
    late = [frame.frame(frame.DATA, 1, 1, b"x"), frame.window_update(1, 5), frame.rst_stream(1, ErrorCode.CANCEL)]
    assert wire.send(*late) == []
    assert not wire.core.failed


def test_padding_is_taken_off_and_granted_again(wire: Wire) -> None:
    wire.open()
    for _ in range(2000):
        wire.send(frame.frame(frame.DATA, frame.PADDED, 1, b"\xff" + b"x" * 10 + bytes(255)))
    assert wire.seen[0].data == b"x" * 20_000
    assert not wire.core.failed


def test_priorities_and_frames_of_kinds_unknown_are_passed_over(wire: Wire) -> None:
    wire.send(frame.frame(frame.PRIORITY, 0, 1, bytes(4) + b"\x10"), frame.frame(0xBE, 0xFF, 5, b"whatever"))
    wire.send(frame.frame(frame.HEADERS, frame.PRIORITIZED | 5, 1, bytes(4) + b"\x10" + encode(REQUEST)))
    assert wire.seen[0].ended_


def test_a_priority_of_a_wrong_size_costs_its_stream(wire: Wire) -> None:
    wire.open()
    assert reset(wire.send(frame.frame(frame.PRIORITY, 0, 1, bytes(4)))) is ErrorCode.FRAME_SIZE_ERROR


def test_pings_are_answered_with_what_they_carry(wire: Wire) -> None:
    assert wire.send(frame.frame(frame.PING, 0, 0, b"12345678")) == [(frame.PING, frame.ACK, 0, b"12345678")]
    assert wire.send(frame.frame(frame.PING, frame.ACK, 0, b"12345678")) == []


def test_a_block_in_several_frames_is_one(wire: Wire) -> None:
    block = encode((*REQUEST, (b"x", b"a" * 300)))
    wire.send(frame.headers(1, block, ended=True, max_size=50))
    assert wire.seen[0].request.fields == ((b"x", b"a" * 300),)
    assert wire.seen[0].ended_
