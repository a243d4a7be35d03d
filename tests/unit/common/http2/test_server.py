"""How a server's end takes leave, and what h2, another's HTTP/2, makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import pytest

from assay.http2 import frame
from assay.http2.errors import ErrorCode
from assay.http2.headers import encode

if TYPE_CHECKING:
    from tests.unit.common.http2.conftest import Frame, Wire

HEAD, TAIL = encode([(b":status", b"200")]), encode([(b"x-end", b"1")])


def last_of(one: Frame) -> tuple[int, ErrorCode]:
    assert one.kind == frame.GOAWAY
    return int.from_bytes(one.payload[:4], "big"), ErrorCode(int.from_bytes(one.payload[4:8], "big"))


def test_leave_is_taken_in_two_steps(wire: Wire) -> None:
    wire.open(1, ended=True)
    wire.core.drain()
    first, ping = wire.frames()
    assert last_of(first) == (2**31 - 1, ErrorCode.NO_ERROR)
    wire.open(3, ended=True)
    assert len(wire.seen) == 2, "it was on its way"
    (second,) = wire.send(frame.frame(frame.PING, frame.ACK, 0, ping.payload))
    assert last_of(second) == (3, ErrorCode.NO_ERROR)
    assert wire.open(5) == []
    assert len(wire.seen) == 2
    assert not wire.core.finished
    for one in wire.seen:
        one.stream.answer(HEAD, b"hello", TAIL)
    assert wire.core.finished
    assert [one.kind for one in wire.frames()] == [frame.HEADERS, frame.DATA, frame.HEADERS] * 2


def test_who_does_not_answer_the_ping_gets_the_second_step_all_the_same(wire: Wire) -> None:
    wire.core.drain()
    wire.core.drain_now()
    wire.core.drain_now()
    assert [one.kind for one in wire.frames()] == [frame.GOAWAY, frame.PING, frame.GOAWAY]
    assert wire.core.finished


def test_the_transport_is_woken_when_the_last_stream_ends_by_itself(wire: Wire) -> None:
    wire.open(ended=True)
    wire.core.drain_now()
    wire.frames()
    before = wire.woken
    wire.seen[0].stream.reset(ErrorCode.CANCEL)
    assert wire.woken > before
    assert wire.core.finished


def test_a_lost_connection_ends_every_stream(wire: Wire) -> None:
    wire.open(1)
    wire.open(3, ended=True)
    wire.core.lose_all(ErrorCode.CANCEL)
    assert [one.code for one in wire.seen] == [ErrorCode.CANCEL] * 2
    assert wire.core.streams == {}


def test_the_first_block_says_that_no_table_is_used(wire: Wire) -> None:
    """A peer that shrinks its table expects to be told so."""
    for number in (1, 3):
        wire.open(number, ended=True)
    for one in wire.seen:
        one.stream.answer(HEAD, b"x", TAIL)
    first, _, _, second, *_ = wire.frames()
    assert (first.payload[:1], second.payload[:1]) == (b"\x20", b"\x88")


@pytest.mark.parametrize("size", [5, 70_000, 300_000])
def test_h2_and_we_understand_each_other(ungreeted: Wire, size: int) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    client.send_headers(1, [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"x")])
    body, sent, answered, got, ended = b"a" * size, 0, False, b"", False
    server = type(ungreeted)()
    events: list[h2.events.Event] = []
    while not ended:
        while sent < size and (room := min(client.local_flow_control_window(1), client.max_outbound_frame_size)) > 0:
            client.send_data(1, body[sent : sent + room], end_stream=sent + room >= size)
            sent += min(room, size - sent)
        server.core.receive(client.data_to_send())
        if server.seen and server.seen[0].ended_ and not answered:
            answered = True
            server.seen[0].stream.answer(HEAD, server.seen[0].data, TAIL)
        while data := server.core.take():
            events += client.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                assert event.data is not None
                got += event.data
                client.acknowledge_received_data(event.flow_controlled_length or 0, 1)
            ended = ended or isinstance(event, h2.events.StreamEnded)
        events.clear()
    assert got == body
    assert not server.core.failed
