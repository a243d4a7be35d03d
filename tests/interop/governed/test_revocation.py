# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""A real issuer, a task and its tokens, and the services in Node and in Go that obey what becomes of them."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from assay.bundle import Bundle, jwk
from assay.clock import SystemClock
from assay.governed.authority import Access
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay.workloadapi.tasks import OpenedTask, TaskClient

CRM, MAIL = "https://crm/mcp", "https://mail/mcp"
READ = Access(CRM, ("crm.read",))
BOT = "spiffe://example.test/principal/bot"

pytestmark = pytest.mark.usefixtures("house")


@pytest.fixture
def tool(opened: Any, house: Any) -> Iterator[Any]:
    with opened(house.issuer, house.folder) as one:
        yield one


@pytest.fixture
def pushed(opened: Any, house: Any, program: list[str]) -> Iterator[Any]:
    """One that is pushed what is revoked."""
    if len(program) == 1:
        pytest.skip("the tool in Go lives by status lists alone")
    with opened(house.issuer, house.folder, "--events") as one:
        yield one


@pytest.fixture
def me(house: Any) -> Iterator[Any]:
    with house.identity() as source:
        yield source


async def task_and_token(house: Any, me: Any, access: Access = READ, **more: Any) -> tuple[OpenedTask, str]:
    async with TaskClient(house.deployment.endpoint) as tasks:
        task = await tasks.open("answer ticket 7", [access], lasting=600)
        issued = await tasks.credential(task.id, access.resource, x5t_s256=thumbprint(me), **more)
    return task, issued.token


@dataclass(frozen=True)
class Copied:
    """An identity that stays when the agent has withdrawn it."""

    kept: X509Svid
    trusted: Mapping[TrustDomain, Bundle]

    def svid(self) -> X509Svid:
        return self.kept

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        return self.trusted


def thumbprint(me: Any) -> str:
    return jwk.encode(hashlib.sha256(me.svid().chain[0]).digest())


def call(tool: Any, me: Any, token: str) -> httpx.Response:
    answer: httpx.Response = tool.call(me, ("authorization", f"Bearer {token}"))
    return answer


def payload(token: str) -> dict[str, Any]:
    text = token.split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return said


def ttl(house: Any, token: str) -> float:
    """How long the list may be believed that has this token."""
    uri = payload(token)["status"]["status_list"]["uri"]
    answer = httpx.get(uri, verify=house.tls(), headers={"accept": "application/statuslist+jwt"})
    return float(payload(answer.text)["ttl"])


def refused(tool: Any, me: Any, token: str, end: float) -> None:
    """No call is allowed that begins after that, by the monotonic clock, and soon none."""
    while True:
        begun = time.monotonic()
        answer = call(tool, me, token)
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["error"]) == (401, "revoked")
            return
        assert begun < end


async def completed(house: Any, task: OpenedTask) -> None:
    async with TaskClient(house.deployment.endpoint) as tasks:
        await tasks.complete(task.id)


async def test_what_a_task_handed_out_ends_with_it_within_the_lists_ttl(tool: Any, house: Any, me: Any) -> None:
    done, wrong, other = [await task_and_token(house, me) for _ in range(3)]
    for task, token in (done, wrong, other):
        answer = call(tool, me, token)
        assert (answer.status_code, answer.json().get("task")) == (200, task.id), answer.text
        assert answer.json()["instance"] == BOT
    await completed(house, done[0])
    house.assay(f"task revoke --id {wrong[0].id} --reason wrong")
    since, within = time.monotonic(), ttl(house, other[1])
    refused(tool, me, done[1], since + within)
    refused(tool, me, wrong[1], since + within)
    assert call(tool, me, other[1]).status_code == 200


async def test_what_is_pushed_is_obeyed_long_before_the_lists_ttl(pushed: Any, house: Any, me: Any) -> None:
    (task, token), (_, kept) = [await task_and_token(house, me) for _ in range(2)]
    assert (call(pushed, me, token).status_code, call(pushed, me, kept).status_code) == (200, 200)
    await completed(house, task)
    refused(pushed, me, token, time.monotonic() + ttl(house, token) / 3)
    assert call(pushed, me, kept).status_code == 200


async def test_who_is_suspended_is_refused_where_it_is_pushed_and_on_the_list(
    pushed: Any, tool: Any, house: Any, me: Any
) -> None:
    _, token = await task_and_token(house, me)
    copied = Copied(me.svid(), me.bundles())
    assert (call(pushed, copied, token).status_code, call(tool, copied, token).status_code) == (200, 200)
    within = ttl(house, token)
    house.assay("principal suspend bot --reason odd")
    try:
        since = time.monotonic()
        refused(pushed, copied, token, since + within / 3)
        refused(tool, copied, token, since + within)
    finally:
        house.assay("principal resume bot")


async def test_wrong_ones_of_the_real_issuer_are_refused(tool: Any, house: Any, me: Any) -> None:
    _, token = await task_and_token(house, me)
    head, body, signature = token.split(".")
    longer = jwk.encode(json.dumps({**payload(token), "exp": payload(token)["exp"] + 600}).encode())
    assert call(tool, me, f"{head}.{longer}.{signature}").json()["error"] == "bad_signature"
    _, elsewhere = await task_and_token(house, me, Access(MAIL, ("mail.read",)))
    assert call(tool, me, elsewhere).json()["error"] == "wrong_audience"
    with house.identity("/tool") as other:
        assert call(tool, other, token).json()["error"] == "wrong_key"
    svid = house.jwt_svid(CRM)
    assert call(tool, me, svid).json()["error"] == "not_a_task_token"
    assert call(tool, me, token).status_code == 200
    assert body


async def test_it_ends_by_itself(tool: Any, house: Any, me: Any) -> None:
    _, token = await task_and_token(house, me, ttl=2)
    while True:
        begun = SystemClock().now().timestamp()
        answer = call(tool, me, token)
        if answer.status_code != 200:
            break
        assert begun < payload(token)["exp"]
    assert (answer.status_code, answer.json()["error"]) == (401, "expired")
