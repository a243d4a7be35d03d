"""gRPC on mTLS by SPIFFE ID, from server to channel, on both event loops."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
import pytest
import uvloop

from assay.authorize import any_id, one_of
from assay.rpcauth import REASON, ServerInterceptor, client_interceptors, current_caller, dial, serve_tls
from assay.svid.refusal import Reason
from assay.testing import FakeClock, InMemoryTrustDomain, WrongX509Svid
from assay.testing.wait import until
from assay.verify import JwtVerifier

WHO = "/test.Whoami/Who"
SENTRY = "/test.Whoami/Stay"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def whoami(interceptor: ServerInterceptor) -> tuple[grpc.aio.Server, list[str]]:
    reached: list[str] = []

    async def who(_request: bytes, _context: object) -> bytes:
        caller = current_caller()
        reached.append(f"{caller.peer} {caller.token.spiffe_id if caller.token else None}")
        return str(caller.spiffe_id).encode()

    async def stay(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield str(current_caller().spiffe_id).encode()

    server = grpc.aio.server(interceptors=[interceptor])
    handlers: dict[str, Any] = {
        "Who": grpc.unary_unary_rpc_method_handler(who),
        "Stay": grpc.stream_stream_rpc_method_handler(stay),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Whoami", handlers),))
    return server, reached


async def ask(channel: grpc.aio.Channel) -> bytes:
    who: Any = channel.unary_unary(WHO)
    return bytes(await who(b"", timeout=30))


async def test_a_handler_knows_the_peer(domain: InMemoryTrustDomain) -> None:
    interceptor = ServerInterceptor()
    server, reached = whoami(interceptor)
    async with (
        serve_tls(server, domain.source("/orders"), one_of(domain.id("/web")), interceptor=interceptor) as port,
        dial("127.0.0.1", port, domain.source("/web"), one_of(domain.id("/orders"))) as channel,
    ):
        assert await asyncio.gather(*(ask(channel) for _ in range(20))) == [b"spiffe://example.org/web"] * 20
    assert set(reached) == {"spiffe://example.org/web None"}


async def test_with_a_token_too_the_call_speaks_for_its_subject(
    domain: InMemoryTrustDomain, verifier: JwtVerifier
) -> None:
    interceptor = ServerInterceptor(jwt=verifier)
    server, reached = whoami(interceptor)
    orders, proxy = domain.source("/orders"), domain.source("/proxy")
    async with serve_tls(server, orders, one_of(domain.id("/proxy")), interceptor=interceptor) as port:
        for token, answer in (("/web", b"spiffe://example.org/web"), ("/other", None)):
            sending = client_interceptors(domain.source(token), "orders")
            async with dial("127.0.0.1", port, proxy, any_id(), interceptors=sending) as channel:
                if answer:
                    assert await ask(channel) == answer
                    continue
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await ask(channel)
                assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
                assert dict(caught.value.trailing_metadata() or ())[REASON] == Reason.NOT_AUTHORIZED.value
    assert reached == ["spiffe://example.org/proxy spiffe://example.org/web"]


@pytest.mark.parametrize("wrong", WrongX509Svid)
async def test_wrong_clients_and_servers_are_refused(
    domain: InMemoryTrustDomain, wrong: WrongX509Svid, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="assay")
    interceptor = ServerInterceptor()
    server, reached = whoami(interceptor)
    web = domain.source(domain.wrong_x509_svid(wrong, "/web"))
    orders = domain.source(domain.wrong_x509_svid(wrong, "/orders"))
    async with (
        serve_tls(server, domain.source("/orders"), one_of(domain.id("/web")), interceptor=interceptor) as port,
        dial("127.0.0.1", port, web, any_id()) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    second, _ = whoami(interceptor)
    async with (
        serve_tls(second, orders, any_id(), interceptor=interceptor) as port,
        dial("127.0.0.1", port, domain.source("/web"), any_id()) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reached == []
    assert {wrong.reason.value} <= {getattr(one, "reason", None) for one in caplog.records}


async def test_who_is_not_wanted_is_refused_by_either_side(
    domain: InMemoryTrustDomain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="assay")
    interceptor = ServerInterceptor()
    server, reached = whoami(interceptor)
    orders = domain.source("/orders")
    async with serve_tls(server, orders, one_of(domain.id("/web")), interceptor=interceptor) as port:
        for path, wanted in (("/other", "/orders"), ("/web", "/other")):
            async with dial("127.0.0.1", port, domain.source(path), one_of(domain.id(wanted))) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await ask(channel)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reached == []
    assert f'"{domain.id("/other")}" is not authorized' in caplog.text
    assert f'"{domain.id("/orders")}" is not authorized' in caplog.text


async def test_an_authority_vouches_for_its_own_trust_domain_alone(domain: InMemoryTrustDomain) -> None:
    other = InMemoryTrustDomain("other.example")
    domain.federate(other)
    other.federate(domain)
    interceptor = ServerInterceptor()
    server, reached = whoami(interceptor)
    async with serve_tls(server, domain.source("/orders"), any_id(), interceptor=interceptor) as port:
        async with dial("127.0.0.1", port, other.source(other.x509_svid(domain.id("/web"))), any_id()) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(channel)
        async with dial("127.0.0.1", port, other.source("/web"), any_id()) as channel:
            assert await ask(channel) == b"spiffe://other.example/web"
    assert reached == ["spiffe://other.example/web None"]


async def test_what_is_rotated_counts_for_the_next_connection_and_open_streams_live_on(
    domain: InMemoryTrustDomain,
) -> None:
    interceptor = ServerInterceptor()
    server, _ = whoami(interceptor)
    orders, web = domain.source("/orders"), domain.source("/web")
    async with serve_tls(server, orders, one_of(domain.id("/web")), interceptor=interceptor) as port:
        async with dial("127.0.0.1", port, web, any_id()) as first:
            call: Any = first.stream_stream(SENTRY)()
            await call.write(b"x")
            assert await call.read() == b"spiffe://example.org/web"
            domain.rotate_x509_authority(forget=True)
            async with dial("127.0.0.1", port, web, any_id()) as second:
                assert await ask(second) == b"spiffe://example.org/web"
            await call.write(b"x")
            assert await call.read() == b"spiffe://example.org/web"
            call.cancel()
        stale = domain.source(domain.x509_svid("/web"))
        domain.rotate_x509_authority(forget=True)
        async with dial("127.0.0.1", port, stale, any_id()) as third:
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(third)


async def test_a_channel_finds_a_server_that_comes_later(domain: InMemoryTrustDomain) -> None:
    probe = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    async with dial("127.0.0.1", port, domain.source("/web"), any_id()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        interceptor = ServerInterceptor()
        server, _ = whoami(interceptor)
        async with serve_tls(server, domain.source("/orders"), any_id(), port=port, interceptor=interceptor):
            who: Any = channel.unary_unary(WHO)
            assert await who(b"", timeout=30, wait_for_ready=True) == b"spiffe://example.org/web"


async def test_clocks_of_both_sides_may_be_set(domain: InMemoryTrustDomain) -> None:
    clock = FakeClock()
    past = InMemoryTrustDomain(clock=clock)
    interceptor = ServerInterceptor()
    server, _ = whoami(interceptor)
    web = past.source(past.x509_svid("/web"))
    async with serve_tls(server, past.source("/orders"), any_id(), interceptor=interceptor, clock=clock) as port:
        async with dial("127.0.0.1", port, web, any_id(), clock=clock) as channel:
            assert await ask(channel) == b"spiffe://example.org/web"
        clock.advance(past.x509_ttl + 1)
        async with dial("127.0.0.1", port, web, any_id(), clock=clock) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(channel)
    assert domain.trust_domain == past.trust_domain


async def test_nothing_is_left_when_all_is_closed(domain: InMemoryTrustDomain) -> None:
    interceptor = ServerInterceptor()
    server, _ = whoami(interceptor)
    async with serve_tls(server, domain.source("/orders"), any_id(), interceptor=interceptor, grace=0) as port:
        front = interceptor._front
        assert front is not None
        async with dial("127.0.0.1", port, domain.source("/web"), any_id()) as channel:
            await ask(channel)
            assert front.connections == 1
        await until(lambda: front.connections == 0)
    assert not front._folder.path.exists()
