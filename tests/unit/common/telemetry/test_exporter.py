"""The listener, over real sockets."""

import http.client
import socket
from collections.abc import Iterator

import pytest

from assay.errors import FailedPreconditionError
from assay.telemetry.exporter import ROOM, Exporter


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    exporter = Exporter(lambda: b"metric 1\n", "127.0.0.1", 0)
    exporter.start()
    yield exporter
    exporter.close()


def ask(exporter: Exporter, method: str = "GET", path: str = "/metrics") -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    answer = response.status, response.getheader("Content-Type"), response.read()
    connection.close()
    return answer


def test_any_path_answers_with_the_metrics(exporter: Exporter) -> None:
    wanted = (200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", b"metric 1\n")
    assert ask(exporter) == wanted
    assert ask(exporter, path="/") == wanted


def test_nothing_but_reading(exporter: Exporter) -> None:
    assert ask(exporter, "POST")[0] == 405
    assert ask(exporter, "HEAD")[::2] == (200, b"")


def test_clients_that_say_nothing_have_bounded_room(exporter: Exporter) -> None:
    held = [socket.create_connection(("127.0.0.1", exporter.port)) for _ in range(ROOM)]
    with socket.create_connection(("127.0.0.1", exporter.port)) as late:
        late.settimeout(10)
        assert late.recv(1) == b""
    for one in held:
        one.close()


def test_a_port_that_is_taken_is_refused(exporter: Exporter) -> None:
    with pytest.raises(FailedPreconditionError, match=f"127.0.0.1:{exporter.port}.*telemetry.Prometheus"):
        Exporter(lambda: b"", "127.0.0.1", exporter.port)


def test_a_closed_one_gives_its_port_back(exporter: Exporter) -> None:
    exporter.close()
    Exporter(lambda: b"", "127.0.0.1", exporter.port).close()


def test_localhost_is_the_ipv4_address_as_in_go() -> None:
    exporter = Exporter(lambda: b"metric 1\n", "localhost", 0)
    exporter.start()
    assert ask(exporter)[0] == 200
    exporter.close()
