"""Bad input at the token endpoint, over TLS: each refused with its error, and nothing issued.

What is asked of the socket and of the command line is in `tests/integration/governed/test_bad_input.py`, which has the
table of all.
"""

import asyncio
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.server.oauth.conftest import BOT, task_of

from assay.bundle import jwk
from assay.crypto.keys import to_pkix
from assay.svid import jws
from assay.testing.authority import Authority
from assay_server.model.governed.principal import PRINCIPAL
from assay_server.model.governed.task import CREDENTIAL, TASK, Budget
from assay_server.oauth.client import JWT_SPIFFE
from assay_server.oauth.grant import ACCESS_TOKEN, EXCHANGE
from assay_server.policy.environment import trust_of

PATH, CRM = "/principal/bot", "https://crm/mcp"
INACTIVE = {"active": False}
Endpoint = Any


def said(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def part(value: Mapping[str, Any]) -> str:
    return jwk.encode(json.dumps(value).encode())


async def issued(endpoint: Endpoint) -> int:
    count: int = await endpoint.store.read(lambda tx: tx.governed.count(CREDENTIAL, ()))
    return count


async def introspected(endpoint: Endpoint, token: str) -> Any:  # noqa: ANN401 - JSON
    form = {"token": token, "client_id": "spiffe://example.org/tool"}
    return (await endpoint.post("/introspect", form, path="/tool")).json()


def forged(endpoint: Endpoint, token: str) -> list[str]:
    """The same claims without a signature, by the public key taken for a secret, and by a stranger's key."""
    head, payload, _ = token.split(".")
    header = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    none, swapped = part(header | {"alg": "none"}), part(header | {"alg": "HS256"})
    secret = to_pkix(endpoint.authority.jwt_key.public_key())
    mac = hmac.digest(secret, f"{swapped}.{payload}".encode(), "sha256")
    stranger = jws.sign("ES256", endpoint.key, f"{head}.{payload}".encode())
    return [
        f"{none}.{payload}.",
        f"{none}.{payload}",
        f"{swapped}.{payload}.{jwk.encode(mac)}",
        f"{head}.{payload}.{jwk.encode(stranger)}",
    ]


async def test_no_token_is_taken_whose_algorithm_was_taken_away_or_swapped(
    endpoint: Endpoint, form: dict[str, str]
) -> None:
    """A task claim is only trusted from our own issuer."""
    token = (await endpoint.post("/token", form, path=PATH)).json()["access_token"]
    assert (await introspected(endpoint, token))["active"]
    for other in forged(endpoint, token):
        assert await introspected(endpoint, other) == INACTIVE
        exchange = form | {"grant_type": EXCHANGE, "subject_token": other, "subject_token_type": ACCESS_TOKEN}
        answer = await endpoint.post("/token", exchange, path=PATH)
        assert answer.json()["error"] == "invalid_grant"
    assert await issued(endpoint) == 1


async def test_no_client_is_known_by_an_assertion_that_was_signed_so(endpoint: Endpoint, form: dict[str, str]) -> None:
    assertion = endpoint.authority.jwt_svid(PATH, (endpoint.issuer,))
    for other in (*forged(endpoint, assertion), Authority("example.org").jwt_svid(PATH, (endpoint.issuer,))):
        asked = form | {"client_assertion_type": JWT_SPIFFE, "client_assertion": other}
        answer = await endpoint.post("/token", asked, dpop=endpoint.dpop())
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert await issued(endpoint) == 0


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "ES384"}, {"crit": ["b64"]}, {"typ": "JWT"}]
)
async def test_no_proof_counts_that_was_signed_so(
    endpoint: Endpoint, form: dict[str, str], header: dict[str, Any]
) -> None:
    claims = {"htm": "POST", "htu": f"{endpoint.issuer}/token", "iat": endpoint.now, "jti": "1"}
    known = {"typ": "dpop+jwt", "jwk": jwk.emit(endpoint.key.public_key())}
    proof = endpoint.signed(known | header, claims)
    if header.get("alg") == "none":
        proof = f"{proof.rpartition('.')[0]}."
    answer = await endpoint.post("/token", form, path=PATH, dpop=proof)
    assert answer.json()["error"] == "invalid_dpop_proof"
    assert await issued(endpoint) == 0


async def test_a_proof_by_another_key_than_it_names_is_refused(endpoint: Endpoint, form: dict[str, str]) -> None:
    """Replay with another key: whoever took a proof's words has not its key."""
    named = jwk.emit(endpoint.authority.wit_key.public_key())
    claims = {"htm": "POST", "htu": f"{endpoint.issuer}/token", "iat": endpoint.now, "jti": "1"}
    proof = endpoint.signed({"typ": "dpop+jwt", "jwk": named}, claims)
    answer = await endpoint.post("/token", form, path=PATH, dpop=proof)
    assert answer.json()["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize(("ahead", "taken"), [(0, True), (60, True), (61, False), (-300, True), (-301, False)])
async def test_clocks_may_differ_by_a_minute_and_no_more(
    endpoint: Endpoint, form: dict[str, str], ahead: int, taken: bool
) -> None:
    answer = await endpoint.post("/token", form, path=PATH, dpop=endpoint.dpop(iat=endpoint.now + ahead))
    assert (answer.status_code == 200) is taken
    assert await issued(endpoint) == int(taken)


async def test_no_token_lives_a_minute_more_for_a_clock_that_is_off(endpoint: Endpoint, form: dict[str, str]) -> None:
    token = (await endpoint.post("/token", form, path=PATH)).json()["access_token"]
    endpoint.clock.advance(300)
    assert await introspected(endpoint, token) == INACTIVE
    endpoint.clock.advance(301)
    answer = await endpoint.post("/token", form, path=PATH)
    assert answer.json()["error"] == "invalid_grant"  # the task is over


async def test_a_token_is_exchanged_within_its_task_alone(endpoint: Endpoint, form: dict[str, str]) -> None:
    """A token for another audience, or another task's, gives none here."""
    first = (await endpoint.post("/token", form | {"mission": "tsk_1"}, path=PATH)).json()["access_token"]
    access = replace(task_of(endpoint.now).authority[0], resource="https://other/mcp")
    await endpoint.put((TASK, task_of(endpoint.now, task_id="tsk_2", authority=(access,))))
    exchange = form | {"grant_type": EXCHANGE, "subject_token": first, "subject_token_type": ACCESS_TOKEN}
    answer = await endpoint.post("/token", exchange | {"resource": "https://other/mcp"}, path=PATH)
    assert answer.json()["error"] == "invalid_target"
    assert await issued(endpoint) == 1


async def test_what_a_client_says_of_itself_is_no_fact(endpoint: Endpoint, form: dict[str, str]) -> None:
    """Environment, tenant and instance are those of the registration and of the SVID; other parameters are none."""
    asserted = {"environment": "sandbox", "tenant": "other", "agent_instance_id": "spiffe://example.org/other"}
    claims = said((await endpoint.post("/token", form | asserted, path=PATH)).json()["access_token"])
    assert (claims["environment"], claims["tenant"]) == ("prod", "acme")
    assert claims["agent_instance_id"] == claims["sub"] == "spiffe://example.org/principal/bot"
    assert trust_of(claims["environment"]) == "production"


async def test_budgets_are_exact_when_32_come_at_once(endpoint: Endpoint, form: dict[str, str]) -> None:
    await endpoint.put((TASK, task_of(endpoint.now, budget=Budget(calls=10))))
    async with endpoint.client(PATH) as client:
        answers = await asyncio.gather(*(client.post("/token", data=form) for _ in range(32)))
    assert sorted(one.status_code for one in answers) == [200] * 10 + [400] * 22
    assert {one.json().get("error") for one in answers if one.status_code != 200} == {"invalid_grant"}
    assert await issued(endpoint) == 10


async def test_a_principal_in_quarantine_gets_nothing_here(endpoint: Endpoint, form: dict[str, str]) -> None:
    await endpoint.put((PRINCIPAL, replace(BOT, quarantined=True)))
    answer = await endpoint.post("/token", form, path=PATH)
    assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
    assert await issued(endpoint) == 0
