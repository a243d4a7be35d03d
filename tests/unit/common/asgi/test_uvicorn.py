"""Starlette on uvicorn on TLS, asked by httpx: all of it, by both of uvicorn's HTTP parsers."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from assay.asgi import SpiffeMiddleware, caller
from assay.asgi.uvicorn import config
from assay.authorize import any_id, member_of, one_of
from assay.httpauth import JwtSvidAuth
from assay.svid.refusal import Reason
from assay.testing import InMemoryTrustDomain, WrongJwtSvid, WrongX509Svid
from assay.testing.handshake import careless
from assay.testing.wait import until
from assay.tls import SpiffeContext, client_context, peer_id, refusal_of, server_context
from assay.verify import JwtVerifier, X509Verifier

pytestmark = pytest.mark.parametrize("http", ["h11", "httptools"])

TARGETS = [
    *(b"/healthz/../secret", b"/secret/../healthz", b"//healthz", b"/healthz/", b"/%2e%2e/healthz", b"/healthz%2f"),
    *(b"/healthz%2f..%2fsecret", b"/healthz%00", b"/healthz;x", b"/healthz%3fx", b"/secret", b"/secret?/healthz"),
    *(b"/api/healthz", b"/secret#/healthz", b"/HEALTHZ", b"/healthz%20"),
]


class Service:
    def __init__(self) -> None:
        self.reached: list[str] = []
        routes = [Route("/healthz", self.healthz), Mount("/api", routes=[Route("/who", self.who)])]
        self.app = Starlette(routes=[*routes, Route("/{rest:path}", self.who)])

    async def who(self, request: Request) -> PlainTextResponse:
        self.reached.append(request.url.path)
        assert request.state.spiffe == caller(request.scope)
        return PlainTextResponse(str(request.state.spiffe.spiffe_id))

    async def healthz(self, request: Request) -> PlainTextResponse:
        assert not hasattr(request.state, "spiffe")
        return PlainTextResponse("fine")


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain()


@pytest.fixture
def service() -> Service:
    return Service()


@asynccontextmanager
async def serving(app: Any, context: SpiffeContext, http: str, **options: object) -> AsyncGenerator[str]:  # noqa: ANN401 - ASGI's
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = config(app, context, http=http, log_config=None, ws="none", **options)
        server = uvicorn.Server(made)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listening]))
            await until(lambda: server.started)
            try:
                yield f"https://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True


def asking(context: Any, **options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's
    return httpx.AsyncClient(verify=context, trust_env=False, timeout=30, **options)


async def test_both_sides_know_each_other(service: Service, domain: InMemoryTrustDomain, http: str) -> None:
    app = SpiffeMiddleware(service.app, x509=X509Verifier(domain, one_of(domain.id("/web"))))
    server = server_context(domain.source("/orders"), one_of(domain.id("/web")))
    context = client_context(domain.source("/web"), one_of(domain.id("/orders")))
    async with serving(app, server, http) as url:
        async with asking(context) as client:
            await client.get(f"{url}/")
            response = await client.get(f"{url}/api/who")
            assert (response.status_code, response.text) == (200, "spiffe://example.org/web")
            assert len(service.reached) == 2
            stream = response.extensions["network_stream"]
            assert peer_id(stream) == domain.id("/orders")

        def blocking() -> str:
            with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
                response = client.get(url)
                stream = response.extensions["network_stream"]
                assert peer_id(stream) == domain.id("/orders")
                return response.text

        assert await asyncio.to_thread(blocking) == "spiffe://example.org/web"


async def test_clients_are_refused_in_the_handshake(service: Service, domain: InMemoryTrustDomain, http: str) -> None:
    app = SpiffeMiddleware(service.app, x509=X509Verifier(domain, any_id()))
    server = server_context(domain.source("/orders"), one_of(domain.id("/web")))
    svids = [domain.wrong_x509_svid(wrong, "/web") for wrong in WrongX509Svid]
    async with serving(app, server, http) as url:
        for svid in (*svids, domain.x509_svid("/other"), None):
            async with asking(careless(svid)) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(url)
    assert service.reached == []


async def test_servers_are_refused_in_the_handshake(service: Service, domain: InMemoryTrustDomain, http: str) -> None:
    app = SpiffeMiddleware(service.app, x509=X509Verifier(domain, any_id()))
    context = client_context(domain.source("/web"), one_of(domain.id("/orders")))
    wrong = domain.wrong_x509_svid(WrongX509Svid.UNTRUSTED, "/orders")
    for source, reason in ((domain.source("/other"), Reason.NOT_AUTHORIZED), (domain.source(wrong), Reason.UNTRUSTED)):
        async with serving(app, server_context(source, any_id()), http) as url:
            async with asking(context) as client:
                with pytest.raises(httpx.ConnectError) as caught:
                    await client.get(url)
            found = refusal_of(caught.value)
            assert found is not None
            assert found.reason is reason

            def blocking(url: str = url) -> Exception:
                with (
                    httpx.Client(verify=context, trust_env=False) as client,
                    pytest.raises(httpx.ConnectError) as error,
                ):
                    client.get(url)
                return error.value

            found = refusal_of(await asyncio.to_thread(blocking))
            assert found is not None
            assert found.reason is reason
    assert service.reached == []


async def test_tokens_over_tls_of_servers_alone(
    service: Service, domain: InMemoryTrustDomain, http: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="assay")
    caplog.set_level(logging.DEBUG, logger="uvicorn")
    app = SpiffeMiddleware(service.app, jwt=JwtVerifier(domain, "orders", one_of(domain.id("/web"))))
    server = server_context(domain.source("/orders"), any_id(), required=False)
    context = client_context(domain, one_of(domain.id("/orders")), presents=False)
    async with serving(app, server, http) as url, asking(context) as client:
        response = await client.get(url, auth=JwtSvidAuth(domain.source("/web"), "orders"))
        assert (response.status_code, response.text) == (200, "spiffe://example.org/web")
        response = await client.get(url, auth=JwtSvidAuth(domain.source("/other"), "orders"))
        assert (response.status_code, response.json()) == (403, {"error": "forbidden", "reason": "not_authorized"})
        response = await client.get(url)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in WrongJwtSvid:
            token = domain.wrong_jwt_svid(wrong, "/web", "orders")
            response = await client.get(url, headers={"authorization": f"Bearer {token}"})
            assert (response.status_code, response.json()["reason"]) == (401, wrong.reason.value)
            assert all(part not in caplog.text for part in token.split(".") if part)
        good = f"Bearer {domain.jwt_svid('/web', 'orders')}"
        response = await client.get(url, headers=[("authorization", good), ("authorization", good)])
        assert response.json()["reason"] == "malformed"
    assert len(service.reached) == 1


async def test_public_paths_open_no_other(service: Service, domain: InMemoryTrustDomain, http: str) -> None:
    verifier = JwtVerifier(domain, "orders", any_id())
    app = SpiffeMiddleware(service.app, jwt=verifier, public=["/healthz"])
    server = server_context(domain.source("/orders"), any_id(), required=False)
    context = client_context(domain, any_id(), presents=False)
    async with serving(app, server, http) as url, asking(context) as client:
        for public in (b"/healthz", b"/healthz?x=1", b"/%68ealthz"):
            response = await client.get(url, extensions={"target": public})
            assert (response.status_code, response.text) == (200, "fine")
        for target in TARGETS:
            response = await client.get(url, extensions={"target": target})
            assert response.status_code == 401, target
    assert service.reached == []


async def test_the_next_connection_uses_what_is_rotated(
    service: Service, domain: InMemoryTrustDomain, http: str
) -> None:
    app = SpiffeMiddleware(service.app, x509=X509Verifier(domain, any_id()))
    server = server_context(domain.source("/orders"), member_of(domain.trust_domain))
    context = client_context(domain.source("/web"), member_of(domain.trust_domain))
    async with serving(app, server, http) as url, asking(context) as first:
        assert (await first.get(url)).status_code == 200
        domain.rotate_x509_authority(forget=True)
        async with asking(context) as second:
            assert (await second.get(url)).status_code == 200
        # On its open connection the first still presents what was good when it began, and is judged by today.
        response = await first.get(url)
        assert (response.status_code, response.json()["reason"]) == (401, "untrusted")
