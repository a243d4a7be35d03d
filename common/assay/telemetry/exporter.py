"""The listener that Prometheus comes to: HTTP, in threads of its own so that a scrape keeps nobody waiting."""

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog

from assay.errors import AssayError, FailedPreconditionError
from assay.telemetry.prometheus import CONTENT_TYPE

# Seconds in which a client has to say what it wants, and those it may take to read.
PATIENCE = 10.0
# Clients served at once; Prometheus is one, and its spare another.
ROOM = 8

Respond = Callable[[str, list[tuple[str, str]]], object]
Wrap = Callable[[socket.socket], socket.socket]

log = structlog.get_logger(__name__)


class Exporter:
    """Answers every GET with what `render` returns, from `start` to `close`; `wrap` shakes hands with each client."""

    def __init__(self, render: Callable[[], bytes], host: str, port: int, wrap: Wrap | None = None) -> None:
        self._render = render
        self._server = _listening(host, port)
        self._server.wrap = wrap
        self._server.set_app(self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, name="prometheus", daemon=True)

    @property
    def port(self) -> int:
        """The port that it got."""
        return self._server.server_port

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            respond("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        body = self._render()
        respond("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


class _Handler(WSGIRequestHandler):
    """One client; nothing of it goes to standard error."""

    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: whoever can reach the port could fill the log."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - the base class's
        self._room = threading.BoundedSemaphore(ROOM)
        self.wrap: Wrap | None = None
        super().__init__(*args)

    def server_bind(self) -> None:
        """Bind without asking the resolver for the host's full name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """Serve it in a thread, if there is room for one more."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """Serve it here, and make room."""
        try:
            super().process_request_thread(self._wrapped(request), client_address)
        except (OSError, AssayError) as error:
            # Whoever can reach the port could fill the log at any other level.
            log.debug("Prometheus client refused", caller_addr=str(client_address[0]), error=str(error))
            self.shutdown_request(request)
        finally:
            self._room.release()

    def _wrapped(self, request: socket.socket) -> socket.socket:
        if self.wrap is None:
            return request
        request.settimeout(PATIENCE)
        return self.wrap(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """A client that went away, or took too long, is nobody's error."""


def _listening(host: str, port: int) -> _Server:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Of a name that has both, Go takes the IPv4 address: there Prometheus looked for SPIRE.
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)

        class Listener(_Server):
            address_family = family

        return Listener(address, _Handler)
    except OSError as error:
        raise FailedPreconditionError(
            f"cannot listen for Prometheus on {host}:{port}: {error.strerror or error}",
            hint="stop what listens there, or set host and port in telemetry.Prometheus",
        ) from None
