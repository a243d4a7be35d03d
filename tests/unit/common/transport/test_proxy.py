"""Callers whom a proxy passes on, over real sockets and TLS."""

import array
import asyncio
import contextlib
import fcntl
import socket
import ssl
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from assay.rpc.method import Method
from assay.rpc.server import Options, Server, peer_of
from assay.testing.authority import Authority
from assay.testing.echo import UNARY, raw_call
from assay.testing.wait import until
from assay.transport.limits import Limits
from assay.transport.peer import TlsPeer
from assay.transport.proxy import TrustedProxies, read_header
from assay.transport.proxyheader import ABSENT, BINARY
from assay.transport.tls import TlsIdentity, present

TEXT = b"PROXY TCP4 203.0.113.7 127.0.0.1 4000 8081\r\n"
PACKED = BINARY + b"\x21\x11\x00\x0c" + bytes([203, 0, 113, 7, 127, 0, 0, 1]) + b"\x0f\xa0\x1f\x91"
LOCAL = BINARY + b"\x20\x00\x00\x00"
HOME, AWAY = "127.0.0.0/8", "192.0.2.0/24"


@dataclass
class House:
    """A server, and whom its handlers saw."""

    server: Server
    home: Authority
    port: int = 0
    peers: list[TlsPeer] = field(default_factory=list)

    def client(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        svid = self.home.x509_svid("/agent")
        assert svid.key
        present(context, svid.chain, svid.key)
        return context

    async def call(self, *pieces: bytes, behind: bytes = b"") -> str:
        """Make a call after these pieces, each of which the server has read before the next; who it seems to be from.

        `behind` is sent in one piece with the first message of TLS.
        """
        return await asyncio.to_thread(self._call, pieces, behind)

    def _call(self, pieces: Sequence[bytes], behind: bytes) -> str:
        before = len(self.peers)
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                plain.sendall(piece)
                _wait_read(plain)
            data = b""
            try:
                with _wrapped(plain, self.client(), behind) as connection:
                    connection.sendall(raw_call(UNARY, b"hello"))
                    while b"hello" not in data and (more := connection.recv(4096)):
                        data += more
            except (ssl.SSLError, ConnectionError):
                return ""
        return self.peers[-1].address if len(self.peers) > before else ""


def _wait_read(plain: socket.socket) -> None:
    """Return when the other end's kernel has it: SIOCOUTQ counts what is not acknowledged."""
    left = array.array("i", [1])
    while left[0]:
        fcntl.ioctl(plain, termios.TIOCOUTQ, left)


def _wrapped(plain: socket.socket, context: ssl.SSLContext, behind: bytes) -> ssl.SSLSocket:
    """TLS on a socket, with bytes before its first message in the same piece."""
    if not behind:
        return context.wrap_socket(plain)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    plain.sendall(behind)
    connection = context.wrap_socket(plain, do_handshake_on_connect=False)
    try:
        connection.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.do_handshake()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        connection.settimeout(30)
        connection.do_handshake()
    except BaseException:
        connection.close()
        raise
    return connection


Houses = Callable[..., Awaitable[House]]


@pytest.fixture
async def houses(identity: TlsIdentity, home: Authority) -> AsyncIterator[Houses]:
    opened: list[House] = []

    async def make(*trusted: str, limits: Limits = Limits(), host: str = "127.0.0.1") -> House:  # noqa: B008 - is frozen
        def guard(path: str, _method: Method | None) -> Method:
            async def who(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
                peer = peer_of(context)
                assert isinstance(peer, TlsPeer)
                house.peers.append(peer)
                return request

            return Method(path, who)

        house = House(Server(guard, Options(transport=limits)), home)
        proxies = TrustedProxies([ip_network(one) for one in trusted]) if trusted else None
        house.port = await house.server.listen_tls(host, 0, identity, proxies)
        opened.append(house)
        return house

    yield make
    for house in opened:
        await house.server.close(0)


@pytest.mark.parametrize("header", [TEXT, PACKED])
async def test_a_trusted_proxy_names_the_caller(houses: Houses, home: Authority, header: bytes) -> None:
    house = await houses(AWAY, HOME)
    assert await house.call(header) == "203.0.113.7:4000"
    assert await house.call(behind=header) == "203.0.113.7:4000"
    assert house.peers[0].spiffe_id == home.id("/agent")


@pytest.mark.parametrize("header", [TEXT, PACKED])
async def test_a_header_may_come_in_pieces(houses: Houses, header: bytes) -> None:
    house = await houses(HOME)
    pieces = [header[start : start + 5] for start in range(0, len(header), 5)]
    assert await house.call(*pieces) == "203.0.113.7:4000"
    assert await house.call(*pieces[:-1], behind=pieces[-1]) == "203.0.113.7:4000"


@pytest.mark.parametrize("header", [b"", LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_a_trusted_proxy_may_call_on_its_own_account(houses: Houses, header: bytes) -> None:
    house = await houses(HOME)
    assert (await house.call(behind=header)).startswith("127.0.0.1:")


@pytest.mark.parametrize("header", [TEXT, PACKED, LOCAL])
async def test_nobody_else_may_send_a_header(houses: Houses, header: bytes) -> None:
    house = await houses(AWAY)
    with capture_logs() as logs:
        assert await house.call(behind=header) == ""
        assert await house.call(behind=header) == ""
    named = [line for line in logs if line["log_level"] == "warning"]
    assert [line["address"] for line in named] == ["127.0.0.1"]
    assert (await house.call()).startswith("127.0.0.1:")


async def test_without_trusted_proxies_a_header_is_no_tls(houses: Houses) -> None:
    house = await houses()
    assert await house.call(behind=TEXT) == ""
    assert (await house.call()).startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "data", [b"PROXY TCP4 1.2.3.4\r\n", b"PROXY " + b"x" * 200, BINARY + b"\x21\x31\x00\xd8" + bytes(216)]
)
async def test_a_header_that_is_malformed_ends_the_connection(houses: Houses, data: bytes) -> None:
    house = await houses(HOME)
    assert await house.call(behind=data) == ""
    assert await house.call(TEXT) == "203.0.113.7:4000"


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 ", BINARY])
async def test_who_does_not_say_who_is_there_is_left(houses: Houses, begun: bytes) -> None:
    house = await houses(HOME, limits=Limits(handshake=0.05))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(begun)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    await until(lambda: not house.server.connections)


async def test_a_server_that_ends_does_not_wait_for_headers(houses: Houses) -> None:
    house = await houses(HOME)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"PROXY ")
    await house.server.close(0)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


async def test_what_follows_the_header_is_left_in_the_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(TEXT + b"\x16\x03")
        assert (await read_header(ours)).source == "203.0.113.7:4000"
        assert ours.recv(10) == b"\x16\x03"
        theirs.sendall(b"\x16\x03")
        assert await read_header(ours) is ABSENT
        assert ours.recv(10) == b"\x16\x03"
        theirs.close()
        with pytest.raises(ConnectionResetError):
            await read_header(ours)


def test_networks_take_ipv4_in_ipv6() -> None:
    proxies = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
    assert all(host in proxies for host in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5"))
    assert not any(host in proxies for host in ("11.0.0.1", "::ffff:11.0.0.1", "2001:db9::1", "::10.0.0.1"))


async def test_ipv4_callers_of_a_socket_for_both_have_ipv4_addresses(houses: Houses) -> None:
    house = await houses(HOME, host="::")
    assert (await house.call()).startswith("127.0.0.1:")
    assert await house.call(TEXT) == "203.0.113.7:4000"
