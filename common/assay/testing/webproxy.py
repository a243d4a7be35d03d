"""A web server and an HTTP proxy that leads to it, on the loopback address."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.clock import SystemClock
from assay.testing.authority import Ca, leaf_extensions

CA_FILE = "web-ca.pem"
_READ = 64 * 1024
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def certificate(folder: Path, *names: str) -> ssl.SSLContext:
    """For a server of those names, by a CA whose certificate is then in CA_FILE."""
    now = SystemClock().now()
    ca = Ca.create("web", now=now)
    leaf, key = ca.issue(leaf_extensions(dns_names=names), now=now)
    (folder / CA_FILE).write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (folder / "web.pem").write_text(ssl.DER_cert_to_PEM_cert(leaf))
    (folder / "web-key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "web.pem", folder / "web-key.pem")
    return context


@asynccontextmanager
async def website(context: ssl.SSLContext, body: Callable[[], bytes]) -> AsyncGenerator[int]:
    """A web server whose every page is `body`; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = body()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


class WebProxy:
    """Leads every CONNECT to one port, whichever host it asks for: `asked` are the heads of the requests."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.asked: list[str] = []
        self.answer = _CONNECTED
        self.port = 0

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator["WebProxy"]:
        """Listen meanwhile, on TLS if there is a context."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answer)
            if self.answer.startswith(_CONNECTED):
                there, back = await asyncio.open_connection("127.0.0.1", self._to)
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
