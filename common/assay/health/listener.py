"""The two paths over HTTP. Loaded only where they are switched on.

A connection is good for one request, which has to come soon, and only so many are taken at once: the port may be open
to strangers, and each connection takes a file descriptor from those who call for SVIDs.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from http import HTTPStatus

import h11
import structlog

from assay.clock import Clock
from assay.errors import FailedPreconditionError

log = structlog.get_logger(__name__)

# Seconds from a connection's beginning to its answer; SPIRE's for the request's head.
DEADLINE = 10.0
CONNECTIONS = 100
MAX_HEAD = 16 * 1024
_READ = 4096
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

Page = Callable[[], tuple[bool, bytes]]


class HealthListener:
    """Answers 200 or 500 with what the pages say, by their paths."""

    def __init__(self, pages: Mapping[str, Page], clock: Clock) -> None:
        self._pages = pages
        self._clock = clock
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Answer from now on; the port.

        Raises:
            FailedPreconditionError: the address cannot be had.
        """
        # Go listens on one address of a name, the IPv4 one if there is one.
        family = socket.AF_INET if host == "localhost" else socket.AF_UNSPEC
        try:
            self._server = await asyncio.start_server(self._serve, host, port, family=family, limit=MAX_HEAD)
        except OSError as error:
            raise FailedPreconditionError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint="set bind_address and bind_port in health_checks",
            ) from None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(DEADLINE):
                await self._answer(reader, writer)
        except (TimeoutError, OSError):
            log.debug("Health check was not asked in time")
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        try:
            request = await _request(connection, reader)
        except h11.RemoteProtocolError as error:
            writer.write(self._response(connection, error.error_status_hint, b"bad request\n", _TEXT))
        else:
            if request is None:
                return
            writer.write(self._page(connection, request))
        await writer.drain()

    def _page(self, connection: h11.Connection, request: h11.Request) -> bytes:
        page = self._pages.get(request.target.partition(b"?")[0].decode("latin-1"))
        if page is None:
            return self._response(connection, 404, b"404 page not found\n", _TEXT)
        well, body = page()
        return self._response(connection, 200 if well else 500, body, _JSON, bare=request.method == b"HEAD")

    def _response(
        self, connection: h11.Connection, status: int, body: bytes, kind: str, *, bare: bool = False
    ) -> bytes:
        headers = [
            ("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close"),
            ("Date", format_datetime(self._clock.now(), usegmt=True)),
        ]  # fmt: skip
        head = (
            connection.send(h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase)) or b""
        )
        return head if bare else head + (connection.send(h11.Data(data=body)) or b"")


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The request's head; None if there was none."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_READ))
    return event if isinstance(event, h11.Request) else None
