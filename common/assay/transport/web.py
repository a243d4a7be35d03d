"""One document over HTTP/1.1: from a web server whose name web PKI vouches for, or from a program on a Unix socket.

Loaded only where something is to be fetched.
"""

import asyncio
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from assay.errors import UnavailableError
from assay.transport.webproxy import proxy_for, tunnel

# The largest document, and the longest way there.
MAX_BYTES = 8 * 1024 * 1024
MAX_REDIRECTS = 10
_READ = 64 * 1024
_OK, _REDIRECTS = 200, frozenset({301, 302, 303, 307, 308})
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    location: str
    body: bytes


async def fetch(url: str, socket: Path | None = None, *, within: float) -> bytes:
    """What is at `https://…`, or at `http://…` on that socket, within so many seconds.

    Redirects from `https` are followed to `https` alone. The environment's proxy is used (`assay.transport.webproxy`),
    but not on a socket.

    Raises:
        UnavailableError: nobody is there, the certificate is not the name's, or the answer is not 200.
    """
    try:
        async with asyncio.timeout(within):
            answer = await _follow(url, socket)
    except TimeoutError as error:
        raise UnavailableError(f"unable to fetch {shown(url)}: timed out") from error
    except (OSError, ValueError, h11.ProtocolError) as error:
        raise UnavailableError(f"unable to fetch {shown(url)}: {error}") from error
    if answer.status != _OK:
        raise UnavailableError(f"unable to fetch {shown(url)}: {answer.status} {answer.reason}".rstrip())
    return answer.body


def shown(url: str) -> str:
    """The URL without user, password and query, which may be secrets: for logs and messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}{parts.path}"


async def _follow(url: str, socket: Path | None) -> _Answer:
    for _ in range(MAX_REDIRECTS):
        parts = urlsplit(url)
        if socket is None and parts.scheme != "https":
            raise ValueError(f"redirected to {shown(url)}, which is not https")
        answer = await _get(parts, socket)
        if answer.status not in _REDIRECTS or not answer.location:
            return answer
        url = urljoin(url, answer.location)
    raise ValueError("redirected too often")


async def _get(url: SplitResult, socket: Path | None) -> _Answer:
    reader, writer = await _connect(url, socket)
    try:
        connection = h11.Connection(h11.CLIENT)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        request = h11.Request(
            method="GET",
            target=target,
            headers=[("Host", _host(url)), ("Accept", "*/*"), ("User-Agent", "assay"), ("Connection", "close")],
        )
        writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
        return await _answer(connection, reader)
    finally:
        writer.transport.abort()


async def _connect(url: SplitResult, socket: Path | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if socket is not None:
        return await asyncio.open_unix_connection(socket)
    if not url.hostname:
        raise ValueError("the URL names no host")
    tls, port = ssl.create_default_context(), url.port or _PORTS[url.scheme]
    if proxy := proxy_for(url.hostname, port, os.environ):
        return await tunnel(proxy, url.hostname, port, tls)
    return await asyncio.open_connection(url.hostname, port, ssl=tls)


def _host(url: SplitResult) -> str:
    # Without user and password, which are not ours to send.
    return url.netloc.rpartition("@")[2]


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader) -> _Answer:
    head = h11.Response(status_code=502, headers=[])
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ))
            case h11.Response() as head:
                pass
            case h11.Data() as piece:
                body += piece.data
                if len(body) > MAX_BYTES:
                    raise ValueError(f"the document is larger than {MAX_BYTES} bytes")
            case h11.EndOfMessage():
                return _Answer(head.status_code, head.reason.decode("latin-1"), _location(head), bytes(body))
            case _:
                raise ValueError("the connection ended before the answer did")


def _location(head: h11.Response) -> str:
    return next((value.decode("latin-1") for name, value in head.headers if name == b"location"), "")
