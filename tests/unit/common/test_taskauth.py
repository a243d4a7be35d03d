"""Task tokens on httpx's requests, as the middleware takes them."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from assay.asgi.task import TaskTokenMiddleware
from assay.errors import InvalidArgumentError
from assay.svid.dpop import DpopKey
from assay.taskauth import TaskTokenAuth
from assay.tasktoken import TaskTokenVerifier
from assay.testing import FakeClock, InMemoryTrustDomain
from assay.workloadapi.tasks import TaskCredential

HOST = "https://crm.example"
CRM = f"{HOST}/mcp"
AGENT = "/principal/bot/i7f3"


class Blocking:
    """Tokens as the TaskClient of `blocking` gives them."""

    def __init__(self, domain: InMemoryTrustDomain) -> None:
        self.domain = domain
        self.given: list[str] = []
        self.svid = domain.x509_svid(AGENT)

    def credential(self, task_id: str, audience: str, /, *, jkt: str = "", x5t_s256: str = "") -> TaskCredential:
        changes: dict[str, Any] = {"cnf": {"jkt": jkt} if jkt else {"x5t#S256": x5t_s256}}
        token = self.domain.task_token(AGENT, audience, "crm.read", key=self.svid, task_id=task_id, **changes)
        self.given.append(token)
        return TaskCredential(token, "crd_1", int(self.domain.clock.now().timestamp()) + 300)


class Awaited(Blocking):
    """And as the other one does."""

    async def credential(  # type: ignore[override]
        self, task_id: str, audience: str, /, *, jkt: str = "", x5t_s256: str = ""
    ) -> TaskCredential:
        return super().credential(task_id, audience, jkt=jkt, x5t_s256=x5t_s256)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def domain(clock: FakeClock) -> InMemoryTrustDomain:
    return InMemoryTrustDomain(clock=clock)


async def tickets(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.state.task.token.task_id)


def transport(domain: InMemoryTrustDomain) -> httpx.ASGITransport:
    app = Starlette(routes=[Route("/mcp/tickets", tickets)])
    verifier = TaskTokenVerifier(domain, domain.issuer, CRM, domain.status, clock=domain.clock)
    actions = {"/mcp/tickets": "crm.read"}
    return httpx.ASGITransport(TaskTokenMiddleware(app, verifier, url=HOST, actions=actions))


async def test_requests_bring_a_token_and_a_proof_of_their_own(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    tasks = Awaited(domain)
    auth = TaskTokenAuth(tasks, "tsk_1", CRM, clock=clock)
    async with httpx.AsyncClient(transport=transport(domain), auth=auth) as client:
        for _ in range(3):
            answer = await client.get(f"{CRM}/tickets?page=2#x")
            assert (answer.status_code, answer.text) == (200, "tsk_1")
        assert len(tasks.given) == 1
        clock.advance(270)
        assert (await client.get(f"{CRM}/tickets")).status_code == 200
        assert len(tasks.given) == 2


async def test_a_token_that_was_revoked_is_replaced(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    tasks = Awaited(domain)
    auth = TaskTokenAuth(tasks, "tsk_1", CRM, clock=clock)
    async with httpx.AsyncClient(transport=transport(domain), auth=auth) as client:
        assert (await client.get(f"{CRM}/tickets")).status_code == 200
        domain.status.revoke(tasks.given[0])
        assert (await client.get(f"{CRM}/tickets")).status_code == 401
        assert (await client.get(f"{CRM}/tickets")).status_code == 200


def test_it_is_the_same_without_asyncio(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    got: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(200)

    tasks, key = Blocking(domain), DpopKey.create()
    with httpx.Client(transport=httpx.MockTransport(serve)) as client:
        client.get(CRM, auth=TaskTokenAuth(tasks, "tsk_1", CRM, key=key, clock=clock))
        client.get(CRM, auth=TaskTokenAuth(tasks, "tsk_1", CRM, certificate=lambda: tasks.svid.chain[0], clock=clock))
        with pytest.raises(InvalidArgumentError):
            client.get(CRM, auth=TaskTokenAuth(Awaited(domain), "tsk_1", CRM))
        with pytest.raises(InvalidArgumentError):
            client.get("http://crm.example/", auth=TaskTokenAuth(tasks, "tsk_1", CRM))
    proven, shown = got
    assert proven.headers["authorization"] == f"DPoP {tasks.given[0]}"
    assert shown.headers["authorization"] == f"Bearer {tasks.given[1]}"
    assert ("dpop" in proven.headers, "dpop" in shown.headers) == (True, False)


def test_a_certificate_that_was_renewed_gets_a_token_of_its_own(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    tasks = Blocking(domain)
    auth = TaskTokenAuth(tasks, "tsk_1", CRM, certificate=lambda: tasks.svid.chain[0], clock=clock)
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)), auth=auth) as client:
        client.get(CRM)
        client.get(CRM)
        tasks.svid = domain.x509_svid(AGENT)
        client.get(CRM)
    assert len(tasks.given) == 2


def test_a_source_of_the_other_kind_and_two_keys_are_mistakes(domain: InMemoryTrustDomain) -> None:
    async def get() -> Any:  # noqa: ANN401 - nothing
        async with httpx.AsyncClient(transport=transport(domain)) as client:
            await client.get(CRM, auth=TaskTokenAuth(Blocking(domain), "tsk_1", CRM))

    with pytest.raises(InvalidArgumentError):
        asyncio.run(get())
    with pytest.raises(InvalidArgumentError):
        TaskTokenAuth(Blocking(domain), "tsk_1", CRM, certificate=lambda: b"", key=DpopKey.create())
