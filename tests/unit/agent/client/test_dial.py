"""The agent's line over real TLS: what is said when there is no connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from assay.clock import SystemClock
from assay.errors import UnavailableError
from assay.keymanager import SigningKey
from assay.rpc.server import Options, Server
from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.transport.known import KnownServer
from assay.transport.tls import TlsIdentity
from assay.wire import bundle as bundle_wire
from assay.wire.service import BUNDLE, served
from assay_agent.client.dial import dialling
from assay_agent.client.refusal import UntrustedServerError
from assay_agent.client.server import ServerClient


class House:
    """A server and what an agent knows of it."""

    def __init__(self) -> None:
        # OpenSSL asks no clock of ours.
        self.clock = FakeClock(SystemClock().now())
        self.home = Authority("example.org", now=self.clock.now())
        self.roots: Sequence[bytes] = [self.home.root.der]
        self.svid: X509Svid | None = None
        self.expected = self.home.id("/spire/server")
        self.met: list[bool] = []
        self.server = Server(options=Options(max_age=60.0))
        self.server.add_generic_rpc_handlers((served(BUNDLE, self),))

    async def GetBundle(self, _request: object, _context: object) -> object:
        return bundle_wire.to_proto(self.home.bundle)

    async def start(self) -> None:
        identity = TlsIdentity(self.home.trust_domain, self.clock)
        svid = self.home.x509_svid("/spire/server")
        assert svid.key
        identity.set(svid.chain, svid.key, {self.home.trust_domain: [self.home.root.der]})
        self.port = await self.server.listen_tls("127.0.0.1", 0, identity)

    def client(self, port: int | None = None) -> ServerClient:
        known = KnownServer(
            "127.0.0.1",
            port or self.port,
            expected=self.expected,
            roots=lambda: self.roots,
            identity=self._identity,
            clock=self.clock,
        )
        return ServerClient(dialling(known, lambda: self.met.append(True)))

    def _identity(self) -> tuple[Sequence[bytes], SigningKey] | None:
        return None if self.svid is None or self.svid.key is None else (self.svid.chain, self.svid.key)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    await made.start()
    yield made
    await made.server.close(0)


async def refusal(client: ServerClient) -> UnavailableError:
    async with client:
        with pytest.raises(UnavailableError) as caught:
            await client.bundle()
    return caught.value


async def test_a_server_that_is_known_is_asked(house: House) -> None:
    house.svid = house.home.x509_svid("/spire/agent/a")
    async with house.client() as client:
        assert await client.bundle() == house.home.bundle
        assert await client.bundle() == house.home.bundle
        assert house.server.connections == 1
    assert house.met == [True]


async def test_nobody_there(house: House) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await refusal(house.client(free.getsockname()[1]))
    assert "could not connect to 127.0.0.1:" in error.message


async def test_another_server_is_unavailable_and_its_name_is_told(house: House) -> None:
    house.expected = house.home.id("/other")
    error = await refusal(house.client())
    assert error.message == (
        'expected server SPIFFE ID "spiffe://example.org/other"; got "spiffe://example.org/spire/server"'
    )


@pytest.mark.parametrize("known", ["none", "another"])
async def test_a_server_that_nobody_vouches_for_is_told_from_others(known: str, house: House) -> None:
    another = Authority(house.home.trust_domain.name, now=house.clock.now()).root.der
    house.roots = [] if known == "none" else [another]
    error = await refusal(house.client())
    assert isinstance(error, UntrustedServerError)
    assert "rebootstrap_mode" in error.hint
    assert house.met == []


@pytest.mark.parametrize("wrong", ["trust domain", "clock", "name"])
async def test_what_is_wrong_otherwise_is_no_reason_to_meet_the_server_anew(wrong: str, house: House) -> None:
    if wrong == "clock":
        house.clock.jump(365 * 86400)
    else:
        house.expected = SpiffeId.parse(f"spiffe://{'other.org' if wrong == 'trust domain' else 'example.org'}/x")
    error = await refusal(house.client())
    assert not isinstance(error, UntrustedServerError)
    assert house.met == []


async def test_a_server_that_does_not_trust_us_is_told_from_one_that_is_away(house: House) -> None:
    house.svid = Authority(house.home.trust_domain.name, now=house.clock.now()).x509_svid("/spire/agent/a")
    error = await refusal(house.client())
    assert "ended the connection before it answered" in error.message
    assert "may not trust" in error.hint


async def test_what_was_wrong_with_the_roots_is_looked_at_anew(house: House) -> None:
    house.roots = []
    async with house.client() as client:
        with pytest.raises(UnavailableError):
            await client.bundle()
        house.roots = [house.home.root.der]
        assert await client.bundle() == house.home.bundle


async def test_a_connection_that_the_server_has_ended_is_made_anew(house: House) -> None:
    async with house.client() as client:
        await client.bundle()
        (connection,) = house.server._connections
        connection.drain(0.0)
        assert await client.bundle() == house.home.bundle
        async with asyncio.timeout(10):
            await connection.wait_gone()
        assert await client.bundle() == house.home.bundle
        assert house.server.connections == 1
