"""Status by lists over HTTPS: whatever is odd about one, its tokens are refused."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from assay import statuslist
from assay.standing import Question
from assay.statuslist import INVALID, MEDIA_TYPE, SUSPENDED, StatusList
from assay.svid.dpop import DpopKey
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken import DpopProof, TaskTokenVerifier
from assay.tasktoken.lists import PAUSE, StatusListSource
from assay.testing import FakeClock, InMemoryTrustDomain
from assay.testing.jwtkey import JwtKey

ISSUER = "https://assay.example"
URI = f"{ISSUER}/status/7"
CRM = "https://crm.example/mcp"
AGENT = "/principal/bot/i7f3"
TTL = 60


@dataclass
class Endpoint:
    """Serves a list in place of the network; `spoil` changes what it says."""

    domain: InMemoryTrustDomain
    statuses: dict[int, int] = field(default_factory=dict[int, int])
    asked: list[str] = field(default_factory=list[str])
    spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    header: dict[str, object] = field(default_factory=dict[str, object])
    kind: str = MEDIA_TYPE
    status: int = 200
    key: JwtKey | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        assert request.headers["accept"] == MEDIA_TYPE
        now = int(self.domain.clock.now().timestamp())
        claims = statuslist.claims(URI, StatusList.of(2, 64, self.statuses), now, now + 300, TTL)
        key = self.key or self.domain._issuer().jwt_key
        token = key.token(self.spoil(claims), {"typ": statuslist.TYPE, **self.header})
        return httpx.Response(self.status, text=token, headers={"content-type": self.kind})


@pytest.fixture
def endpoint(domain: InMemoryTrustDomain) -> Endpoint:
    return Endpoint(domain)


@pytest.fixture
def source(domain: InMemoryTrustDomain, endpoint: Endpoint) -> StatusListSource:
    client = httpx.AsyncClient(transport=httpx.MockTransport(endpoint))
    return StatusListSource(client, domain, issuer=ISSUER, trust_domain=domain.trust_domain, clock=domain.clock)


@pytest.fixture
def verifier(domain: InMemoryTrustDomain, source: StatusListSource) -> TaskTokenVerifier:
    return TaskTokenVerifier(domain, ISSUER, CRM, source, trust_domain=domain.trust_domain, clock=domain.clock)


@dataclass
class Caller:
    """Presents a token that has a place in a list."""

    domain: InMemoryTrustDomain
    source: StatusListSource
    verifier: TaskTokenVerifier
    key: DpopKey

    def token(self, index: int = 3, uri: str = URI, **changes: object) -> str:
        mission = {"id": "tsk_1", "issuer": ISSUER, "authority_hash": f"sha-256:{'A' * 43}"}
        status = {"status_list": {"idx": index, "uri": uri}}
        said: dict[str, Any] = {"iss": ISSUER, "mission": mission, "status": status, **changes}
        return self.domain.task_token(AGENT, CRM, "crm.read", key=self.key, **said)

    async def ask(self, token: str) -> Reason | None:
        proof = self.key.prove("POST", CRM, self.domain.clock.now(), access_token=token)
        try:
            await self.source.learn(self.verifier.examine(token))
            self.verifier.verify(token, DpopProof(proof, "POST", CRM), "crm.read")
        except RefusedError as refusal:
            return refusal.reason
        return None


@pytest.fixture
def caller(domain: InMemoryTrustDomain, source: StatusListSource, verifier: TaskTokenVerifier, key: DpopKey) -> Caller:
    return Caller(domain, source, verifier, key)


async def test_a_token_that_its_list_calls_valid_is_taken_and_the_list_fetched_once(
    caller: Caller, endpoint: Endpoint
) -> None:
    tokens = [caller.token(index) for index in range(5)]
    assert await asyncio.gather(*map(caller.ask, tokens)) == [None] * 5
    assert endpoint.asked == [URI]


@pytest.mark.parametrize("status", [INVALID, SUSPENDED, 3])
async def test_any_other_status_is_an_end(caller: Caller, endpoint: Endpoint, status: int) -> None:
    endpoint.statuses = {3: status}
    assert await caller.ask(caller.token(3)) is Reason.REVOKED
    assert await caller.ask(caller.token(4)) is None


async def test_a_revocation_counts_when_the_list_is_fetched_anew(
    caller: Caller, endpoint: Endpoint, clock: FakeClock
) -> None:
    token = caller.token()
    assert await caller.ask(token) is None
    endpoint.statuses = {3: INVALID}
    clock.advance(TTL - 1)
    assert await caller.ask(token) is None
    clock.advance(1)
    assert await caller.ask(token) is Reason.REVOKED


async def test_when_it_cannot_be_fetched_its_ttl_is_the_end(
    caller: Caller, endpoint: Endpoint, clock: FakeClock
) -> None:
    """The stricter of exp and ttl."""
    token = caller.token()
    assert await caller.ask(token) is None
    endpoint.status = 503
    clock.advance(TTL)
    assert await caller.ask(token) is Reason.STATUS_UNKNOWN
    endpoint.status = 200
    assert await caller.ask(token) is Reason.STATUS_UNKNOWN
    assert len(endpoint.asked) == 2
    clock.advance(PAUSE)
    assert await caller.ask(token) is None


def now_of(endpoint: Endpoint) -> int:
    return int(endpoint.domain.clock.now().timestamp())


SPOILT: dict[str, Callable[[Endpoint], object]] = {
    "expired": lambda one: setattr(one, "spoil", lambda claims: {**claims, "exp": now_of(one)}),
    "of the future": lambda one: setattr(one, "spoil", lambda claims: {**claims, "iat": now_of(one) + 61}),
    "another's": lambda one: setattr(one, "spoil", lambda claims: {**claims, "sub": f"{ISSUER}/status/8"}),
    "cut off": lambda one: setattr(
        one, "spoil", lambda claims: {**claims, "status_list": {"bits": 2, "lst": claims["status_list"]["lst"][:-4]}}
    ),
    "too short": lambda one: setattr(
        one, "spoil", lambda claims: {**claims, "status_list": StatusList.of(8, 3, {}).claim()}
    ),
    "no list": lambda one: setattr(one, "spoil", lambda claims: {**claims, "status_list": []}),
    "of no time": lambda one: setattr(one, "spoil", lambda claims: {**claims, "iat": None}),
    "another type": lambda one: setattr(one, "header", {"typ": "JWT"}),
    "an impostor's": lambda one: setattr(one, "key", JwtKey.create()),
    "forged": lambda one: setattr(one, "key", JwtKey.create(one.domain._issuer().jwt_key.key_id)),
    "a page": lambda one: setattr(one, "kind", "text/html"),
    "moved": lambda one: setattr(one, "status", 302),
    "gone": lambda one: setattr(one, "status", 404),
}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_list_that_is_not_as_it_should_be_says_nothing(caller: Caller, endpoint: Endpoint, how: str) -> None:
    SPOILT[how](endpoint)
    assert await caller.ask(caller.token()) is Reason.STATUS_UNKNOWN


async def test_a_list_that_rolls_back_is_not_taken(caller: Caller, endpoint: Endpoint, clock: FakeClock) -> None:
    endpoint.statuses = {3: INVALID}
    assert await caller.ask(caller.token(4)) is None
    older = now_of(endpoint) - 1
    clock.advance(TTL)
    endpoint.statuses = {}
    endpoint.spoil = lambda claims: {**claims, "iat": older}
    assert await caller.ask(caller.token(3)) is Reason.STATUS_UNKNOWN


async def test_nothing_is_fetched_from_where_a_token_says_but_from_its_issuer(
    caller: Caller, endpoint: Endpoint
) -> None:
    for uri in ("https://evil.example/status/7", f"{ISSUER}.evil.example/status/7", f"{ISSUER}/other/7"):
        assert await caller.ask(caller.token(uri=uri)) is Reason.STATUS_UNKNOWN
    assert endpoint.asked == []


async def test_a_token_without_a_place_in_a_list_is_refused(caller: Caller, source: StatusListSource) -> None:
    assert await caller.ask(caller.token(status=None)) is Reason.STATUS_UNKNOWN
    assert not source.standing(Question("crd_1")).fresh
