"""Streams of asyncio and uvloop: who is refused reaches no handler, and what identity there is counts for each dial."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from assay.authorize import any_id, matching, one_of
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.svid.refusal import Reason
from assay.testing import FakeClock, InMemorySource, InMemoryTrustDomain, WorkloadApiServer, WrongX509Svid
from assay.testing.handshake import careless
from assay.tls import (
    NoIdentityToPresentError,
    PeerRefusedError,
    SpiffeContext,
    client_context,
    peer_chain,
    peer_id,
    server_context,
)
from assay.workloadapi import SvidExpiredError, X509Source

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A service on TLS. `callers` is who reached it, `heard` what they said."""

    def __init__(self) -> None:
        self.callers: list[SpiffeId | None] = []
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers.append(peer_id(writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(1024):
                self.heard.append(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    @asynccontextmanager
    async def on(self, context: ssl.SSLContext) -> AsyncIterator[int]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@asynccontextmanager
async def dialled(port: int, context: ssl.SSLContext) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def said(streams: Streams, words: bytes = b"hello") -> bytes:
    """What is answered; nothing if the connection ends."""
    reader, writer = streams
    try:
        writer.write(words)
        return await reader.readexactly(len(words))
    except (OSError, asyncio.IncompleteReadError):
        return b""


async def test_both_ends_learn_who_the_other_is(
    echo: Echo, server: SpiffeContext, client: SpiffeContext, domain: InMemoryTrustDomain
) -> None:
    async with echo.on(server) as port, dialled(port, client) as streams:
        assert await said(streams) == b"hello"
        assert peer_id(streams[1]) == peer_id(streams[1].transport) == domain.id("/web")
    assert echo.callers == [domain.id("/api")]


@pytest.mark.parametrize("wrong", WrongX509Svid)
async def test_what_a_wrong_client_says_is_not_read(
    echo: Echo, server: SpiffeContext, domain: InMemoryTrustDomain, wrong: WrongX509Svid
) -> None:
    async with echo.on(server) as port:
        # In TLS 1.3 a client is done before the server has looked at it, and may say something at once.
        with contextlib.suppress(OSError):
            async with dialled(port, careless(domain.wrong_x509_svid(wrong, "/api"))) as streams:
                assert await said(streams, b"secret") == b""
    assert (echo.callers, echo.heard) == ([], [])


@pytest.mark.parametrize("wrong", WrongX509Svid)
async def test_a_wrong_server_is_told_nothing(
    client: SpiffeContext, domain: InMemoryTrustDomain, wrong: WrongX509Svid
) -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"believe me")
            received.append(await reader.read())
        writer.close()

    context = careless(domain.wrong_x509_svid(wrong, "/web"), server=True)
    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    with pytest.raises(PeerRefusedError) as caught:
        async with dialled(listening.sockets[0].getsockname()[1], client):
            pass
    assert caught.value.refusal.reason is wrong.reason
    listening.close()
    assert received in ([], [b""])


async def test_who_is_not_wanted_is_refused_by_either_end(
    echo: Echo,
    domain: InMemoryTrustDomain,
    server: SpiffeContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="assay.tls")
    async with echo.on(server) as port:
        with contextlib.suppress(OSError):
            async with dialled(port, client_context(domain.source("/other"), any_id())) as streams:
                assert await said(streams) == b""
        with pytest.raises(PeerRefusedError) as caught:
            async with dialled(port, client_context(domain.source("/api"), one_of(domain.id("/other")))):
                pass
    assert echo.callers == []
    assert caught.value.refusal.reason is Reason.NOT_AUTHORIZED
    assert caught.value.refusal.spiffe_id == domain.id("/web")
    # The server's side has the log alone: event loops keep failed handshakes to themselves.
    assert any(f'"{domain.id("/other")}" is not authorized' in one.getMessage() for one in caplog.records)


async def test_the_next_connection_uses_what_the_source_has_then_and_open_ones_live_on(
    echo: Echo, server: SpiffeContext, client: SpiffeContext, web: InMemorySource, domain: InMemoryTrustDomain
) -> None:
    async with echo.on(server) as port, dialled(port, client) as first:
        await said(first)
        domain.rotate_x509_authority(forget=True)
        async with dialled(port, client) as second:
            assert await said(second) == b"hello"
            assert peer_chain(second[1])[0] == web.svid().chain[0] != peer_chain(first[1])[0]
        assert await said(first, b"still here") == b"still here"


async def test_many_at_once(
    echo: Echo, server: SpiffeContext, client: SpiffeContext, web: InMemorySource, domain: InMemoryTrustDomain
) -> None:
    async def call(port: int) -> bytes:
        async with dialled(port, client) as streams:
            web.rotate()
            return await said(streams)

    async with echo.on(server) as port:
        assert await asyncio.gather(*(call(port) for _ in range(50))) == [b"hello"] * 50
    assert echo.callers == [domain.id("/api")] * 50


async def test_an_svid_that_nobody_renewed_in_time_makes_no_connection(echo: Echo) -> None:
    clock = FakeClock()
    async with WorkloadApiServer(InMemoryTrustDomain(clock=clock)) as agent:
        agent.serve("/web")
        async with X509Source(agent.address, clock=clock) as source:
            own = server_context(source, any_id(), clock=clock)
            domain = agent.trust_domain
            async with echo.on(own) as port:
                async with dialled(port, client_context(source, any_id(), clock=clock)) as streams:
                    assert await said(streams) == b"hello"
                clock.advance(domain.x509_ttl + 1)
                with pytest.raises(OSError):
                    async with dialled(port, client_context(domain.source("/api"), any_id(), clock=clock)):
                        pass
                with pytest.raises(NoIdentityToPresentError, match="expired") as caught:
                    async with dialled(port, client_context(source, any_id(), clock=clock)):
                        pass
    assert isinstance(caught.value.__cause__, SvidExpiredError)
    assert echo.callers == [domain.id("/web")]


async def test_a_source_that_is_closed_makes_no_connection(echo: Echo, server: SpiffeContext) -> None:
    async with WorkloadApiServer() as agent:
        agent.serve("/api")
        async with X509Source(agent.address) as source:
            context = client_context(source, any_id())
    async with echo.on(server) as port:
        with pytest.raises(NoIdentityToPresentError, match="not open"):
            async with dialled(port, context):
                pass


async def test_a_rule_that_breaks_ends_the_handshake_and_nothing_else(
    echo: Echo, server: SpiffeContext, domain: InMemoryTrustDomain, web: InMemorySource, api: InMemorySource
) -> None:
    nothing: dict[SpiffeId, bool] = {}
    rule = matching(nothing.__getitem__, "whom the rule admits")
    async with echo.on(server_context(web, rule)) as port:
        with contextlib.suppress(OSError):
            async with dialled(port, client_context(api, any_id())) as streams:
                assert await said(streams) == b""
    async with echo.on(server) as port:
        with pytest.raises(ssl.SSLError, match="nobody could tell"):
            async with dialled(port, client_context(api, rule)):
                pass
        async with dialled(port, client_context(api, one_of(domain.id("/web")))) as streams:
            assert await said(streams) == b"hello"
    assert echo.callers == [domain.id("/api")]


async def test_tls_begun_on_an_open_connection(
    server: SpiffeContext, client: SpiffeContext, domain: InMemoryTrustDomain
) -> None:
    found: list[SpiffeId | None] = []
    done = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(server)
        found.append(peer_id(writer))
        done.set()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", listening.sockets[0].getsockname()[1])
    await writer.start_tls(client, server_hostname="localhost")
    assert peer_id(writer) == domain.id("/web")
    await done.wait()
    assert found == [domain.id("/api")]
    writer.close()
    listening.close()


async def test_a_plain_connection_has_no_peer() -> None:
    plain = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", plain.sockets[0].getsockname()[1])
    with pytest.raises(InvalidArgumentError, match="not a TLS connection"):
        peer_id(writer)
    await reader.read()
    writer.close()
    plain.close()
