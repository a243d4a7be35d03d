import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.clock import SystemClock
from assay.errors import UnavailableError
from assay.testing.authority import Ca, leaf_extensions
from assay.transport.web import MAX_BYTES, fetch, shown

PATIENCE = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Site:
    """A web server that says what it was told, and what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[str], bytes] = lambda _: OK
        self.asked: list[str] = []
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self.asked.append(head.split(" ")[1])
            writer.write(self.answer(head.split(" ")[1]))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """On the Unix socket s."""
    made = Site()
    async with await asyncio.start_unix_server(made.serve, tmp_path / "s"):
        yield made


@pytest.fixture
async def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Site, int]]:
    """With a certificate for localhost, by a CA that the system trusts."""
    now = SystemClock().now()
    ca = Ca.create("web", now=now)
    leaf, key = ca.issue(leaf_extensions(dns_names=["localhost"]), now=now)
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "leaf.pem").write_text(ssl.DER_cert_to_PEM_cert(leaf))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "leaf.pem", tmp_path / "key.pem")
    made = Site()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls) as server:
        yield made, server.sockets[0].getsockname()[1]


async def ask(folder: Path, url: str = "http://h/b") -> bytes:
    return await fetch(url, folder / "s", within=PATIENCE)


async def test_a_program_on_a_socket_is_asked_for_path_and_query(site: Site, tmp_path: Path) -> None:
    assert await ask(tmp_path, "http://user:pw@host:1/a%20b?x=1&y") == b"hi"
    assert site.asked == ["/a%20b?x=1&y"]
    assert "Host: host:1\r\n" in site.heads[0]
    assert "user" not in site.heads[0]
    assert await ask(tmp_path, "http://host") == b"hi"
    assert site.asked[-1] == "/"


async def test_a_document_in_chunks(site: Site, tmp_path: Path) -> None:
    site.answer = lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"
    assert await ask(tmp_path) == b"hi"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "without sending complete"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "unable to fetch"),
        (b"", "unable to fetch"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BYTES + 1), "larger than"),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", "redirected too often"),
    ],
)
async def test_anything_but_a_whole_document_is_refused(answer: bytes, why: str, site: Site, tmp_path: Path) -> None:
    site.answer = lambda _: answer
    with pytest.raises(UnavailableError, match=why):
        await ask(tmp_path)


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"unable to fetch http://h/b: .*No such file"):
        await ask(tmp_path)


async def test_who_says_nothing_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    site.answer = lambda _: b"HTTP/1.1 200 OK\r\n"
    silent = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()
        del reader

    async with await asyncio.start_unix_server(say_nothing, tmp_path / "silent"):
        with pytest.raises(UnavailableError, match="timed out"):
            await fetch("http://h/b", tmp_path / "silent", within=0.01)
        silent.set()


async def test_a_web_server_that_the_system_trusts(secure: tuple[Site, int]) -> None:
    site, port = secure
    assert await fetch(f"https://localhost:{port}/b", within=PATIENCE) == b"hi"
    assert site.asked == ["/b"]


async def test_a_web_server_of_another_name_is_refused(secure: tuple[Site, int]) -> None:
    site, port = secure
    with pytest.raises(UnavailableError, match="certificate"):
        await fetch(f"https://127.0.0.1:{port}/b", within=PATIENCE)
    assert site.asked == []


async def test_a_web_server_that_nobody_trusts_is_refused(
    secure: tuple[Site, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site, port = secure
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(UnavailableError, match="certificate"):
        await fetch(f"https://localhost:{port}/b", within=PATIENCE)
    assert site.asked == []


async def test_a_redirect_leads_on_but_not_to_plain_http(secure: tuple[Site, int]) -> None:
    site, port = secure
    to = "Location: {}\r\nContent-Length: 0\r\n\r\n"
    moved = "HTTP/1.1 301 Moved Permanently\r\n" + to.format("/there")
    site.answer = lambda path: OK if path == "/there" else moved.encode()
    assert await fetch(f"https://localhost:{port}/b", within=PATIENCE) == b"hi"
    plain = "HTTP/1.1 302 Found\r\n" + to.format(f"http://localhost:{port}/there?token=secret")
    site.answer = lambda _: plain.encode()
    with pytest.raises(UnavailableError, match="which is not https") as refused:
        await fetch(f"https://localhost:{port}/b?key=secret", within=PATIENCE)
    assert "secret" not in str(refused.value)


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown("https://user:pw@h:1/p?key=secret#f") == "https://h:1/p"
