"""Callers over TLS, known by their X.509-SVID or as guests."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from assay.clock import SystemClock
from assay.rpc.method import Method
from assay.rpc.server import Options, Server, peer_of
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.wait import until
from assay.transport.dial import SpiffeDialer
from assay.transport.limits import Limits
from assay.transport.peer import Peer, TlsPeer
from assay.transport.tls import TlsIdentity


class House:
    def __init__(self, options: Options) -> None:
        self.clock = FakeClock(SystemClock().now())
        self.authority = Authority("home.test", now=self.clock.now())
        self.peers: list[Peer] = []
        self.server = Server(self._guard, options)
        self.port = 0

    def _guard(self, path: str, _method: Method | None) -> Method:
        async def who(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - the context
            self.peers.append(peer_of(context))
            assert context.peer().startswith("tcp:127.0.0.1:")
            return request

        return Method(path, who)

    async def open(self) -> None:
        identity = TlsIdentity(self.authority.trust_domain, self.clock)
        svid = self.authority.x509_svid("/server")
        assert svid.key
        identity.set(svid.chain, svid.key, {self.authority.trust_domain: [self.authority.root.der]})
        self.port = await self.server.listen_tls("127.0.0.1", 0, identity)

    def dial(self, path: str) -> SpiffeDialer:
        svid = self.authority.x509_svid(path) if path else None
        return SpiffeDialer(
            "127.0.0.1",
            self.port,
            expected=self.authority.id("/server"),
            roots=lambda: [self.authority.root.der],
            identity=lambda: (svid.chain, svid.key) if svid is not None and svid.key is not None else None,
            clock=self.clock,
        )


async def unary(channel: Any, payload: bytes) -> bytes:  # noqa: ANN401 - has no types without generated stubs
    answer: bytes = await channel.unary_unary("/x.Y/Z")(payload)
    return answer


@pytest.mark.parametrize("path", ["", "/web"])
async def test_a_handler_learns_who_calls(path: str) -> None:
    house = House(Options())
    await house.open()
    async with house.dial(path) as channel:
        assert await unary(channel, b"x" * 1_000_000) == b"x" * 1_000_000
    (peer,) = house.peers
    assert isinstance(peer, TlsPeer)
    assert peer.spiffe_id == (house.authority.id(path) if path else None)
    await house.server.close(0)


async def test_a_guest_goes_when_its_time_is_over_and_others_stay() -> None:
    house = House(Options(transport=Limits(guest=0.2)))
    await house.open()
    async with house.dial("/web") as known, house.dial("") as guest:
        assert await unary(known, b"x") == await unary(guest, b"x")
        assert house.server.connections == 2
        await until(lambda: house.server.connections == 1)
        assert await unary(known, b"y") == b"y"
        assert house.server.connections == 1
    await house.server.close(0)


async def test_who_does_not_offer_http2_is_refused() -> None:
    house = House(Options())
    await house.open()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        raise ConnectionError
    assert house.server.connections == 0
    await house.server.close(0)
