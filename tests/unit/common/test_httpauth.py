"""Tokens on httpx's requests: to https and to whom they are for."""

import asyncio
from typing import Any

import httpx
import pytest

from assay.errors import InvalidArgumentError
from assay.httpauth import JwtSvidAuth
from assay.svid import JwtSvid, jwt
from assay.testing import InMemoryTrustDomain

ORDERS = "https://orders.example/list"


class Blocking:
    """Tokens as a JwtSource of `assay.workloadapi.blocking` gives them."""

    def __init__(self, domain: InMemoryTrustDomain) -> None:
        self._domain = domain

    def fetch(self, audience: Any, /) -> JwtSvid:  # noqa: ANN401 - as it comes
        return jwt.parse(self._domain.jwt_svid("/web", audience))


class Service:
    """What hosts got, in place of the network. `elsewhere` is where /moved leads."""

    def __init__(self, elsewhere: str = "") -> None:
        self.elsewhere = elsewhere
        self.got: list[tuple[str, str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append((str(request.url), request.headers.get("authorization")))
        if request.url.path == "/moved":
            return httpx.Response(307, headers={"location": self.elsewhere})
        return httpx.Response(200)

    def get(self, url: str, auth: httpx.Auth) -> None:
        with httpx.Client(transport=httpx.MockTransport(self), follow_redirects=True) as client:
            client.get(url, auth=auth)

    def get_later(self, url: str, auth: httpx.Auth) -> None:
        async def get() -> None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self), follow_redirects=True) as client:
                await client.get(url, auth=auth)

        asyncio.run(get())


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain()


def auths(domain: InMemoryTrustDomain, **options: bool) -> list[tuple[str, JwtSvidAuth]]:
    source = domain.source("/web")
    return [
        ("get", JwtSvidAuth(Blocking(domain), "orders", **options)),
        ("get_later", JwtSvidAuth(source, "orders", **options)),
    ]


@pytest.mark.spec("JWT-5.2-a")
def test_the_token_is_a_bearer_and_for_the_audience(domain: InMemoryTrustDomain) -> None:
    for how, auth in auths(domain):
        service = Service()
        getattr(service, how)(ORDERS, auth)
        ((_, sent),) = service.got
        assert sent is not None
        scheme, token = sent.split(" ")
        assert scheme == "Bearer"
        svid = jwt.verify(token, domain.bundles(), "orders", domain.clock.now())
        assert svid.spiffe_id == domain.id("/web")


@pytest.mark.parametrize("url", ["http://orders.example/list", "HTTP://orders.example", "http://localhost/"])
def test_nothing_is_sent_over_plain_http_unless_that_is_said(domain: InMemoryTrustDomain, url: str) -> None:
    for how, auth in auths(domain):
        service = Service()
        with pytest.raises(InvalidArgumentError, match="where it could be read"):
            getattr(service, how)(url, auth)
        assert service.got == []
    for how, auth in auths(domain, insecure=True):
        service = Service()
        getattr(service, how)(url, auth)
        assert service.got[0][1]


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "https://orders.example:8443/", "http://orders.example/", "https://x.orders.example/"],
)
def test_no_token_follows_a_redirect_to_another_origin(domain: InMemoryTrustDomain, elsewhere: str) -> None:
    for how, auth in auths(domain):
        service = Service(elsewhere)
        getattr(service, how)("https://orders.example/moved", auth)
        assert [bool(sent) for _, sent in service.got] == [True, False]


def test_a_redirect_within_the_service_keeps_it(domain: InMemoryTrustDomain) -> None:
    for how, auth in auths(domain):
        service = Service("https://orders.example/list")
        getattr(service, how)("https://orders.example/moved", auth)
        assert [bool(sent) for _, sent in service.got] == [True, True]


def test_a_source_of_the_other_kind_is_refused_before_it_is_asked(domain: InMemoryTrustDomain) -> None:
    (_, blocking), (_, later) = auths(domain)
    service = Service()
    with pytest.raises(InvalidArgumentError, match="this kind of client"):
        service.get(ORDERS, later)
    with pytest.raises(InvalidArgumentError, match="this kind of client"):
        service.get_later(ORDERS, blocking)
    assert service.got == []
