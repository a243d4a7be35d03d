"""Statsd and DogStatsD over real UDP sockets, lines as SPIRE's."""

import socket
from collections.abc import Iterator

import pytest

from assay.errors import InvalidArgumentError
from assay.telemetry.statsd import StatsdSink

KEY = ("spire_server", "rpc", "health", "check")
LABELS = (("status", "OK"), ("host", "h:1"))


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        yield collector


def sent(collector: socket.socket, *, tags: bool) -> list[str]:
    sink = StatsdSink(f"127.0.0.1:{collector.getsockname()[1]}", tags=tags)
    sink.counter(KEY, LABELS)(1)
    sink.gauge(KEY, LABELS)(2.5)
    sink.summary((*KEY, "elapsed_time"), LABELS)(1.0457731234)
    sink.close()
    lines: list[str] = []
    while len(lines) < 3:
        lines += collector.recv(65536).decode().split()
    return lines


def test_plain_statsd_has_the_labels_in_the_name(collector: socket.socket) -> None:
    assert sent(collector, tags=False) == [
        "spire_server.rpc.health.check.OK.h_1:1|c",
        "spire_server.rpc.health.check.OK.h_1:2.5|g",
        "spire_server.rpc.health.check.elapsed_time.OK.h_1:1.045773|ms",
    ]


def test_dogstatsd_has_them_as_tags(collector: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATADOG_TAGS", "env:prod")
    monkeypatch.setenv("DD_ENTITY_ID", "pod")
    assert sent(collector, tags=True) == [
        "spire_server.rpc.health.check:1|c|#status:OK,host:h_1",
        "spire_server.rpc.health.check:2.5|g|#status:OK,host:h_1",
        "spire_server.rpc.health.check.elapsed_time:1.045773|ms|#status:OK,host:h_1",
    ]


def test_a_collector_that_is_not_there_keeps_nobody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    sink = StatsdSink(address, tags=False)
    for _ in range(3):
        sink.counter(KEY, ())(1)
    sink.close()


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="localhost"):
        StatsdSink("collector", tags=True)
