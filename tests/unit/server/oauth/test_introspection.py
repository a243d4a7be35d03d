"""Whether a token counts now, and ending one: RFC 7662, RFC 7009, and what the endpoint says of itself."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from assay.svid import compact
from assay_server.model.governed.task import TASK, TaskState

PATH = "/principal/bot"
INACTIVE = {"active": False}
Endpoint = Any


@pytest.fixture
async def token(endpoint: Endpoint, form: dict[str, str]) -> str:
    answer = await endpoint.post("/token", form, path=PATH)
    found: str = answer.json()["access_token"]
    return found


async def asked(endpoint: Endpoint, token: str, *, path: str = "/tool") -> Any:  # noqa: ANN401 - JSON
    answer = await endpoint.post("/introspect", {"token": token, "client_id": f"spiffe://example.org{path}"}, path=path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_a_live_token_is_told_whole(endpoint: Endpoint, token: str) -> None:
    found = await asked(endpoint, token)
    assert found["active"] is True
    assert found["mission"]["id"] == "tsk_1"
    assert found["client_id"] == "spiffe://example.org/principal/bot"


async def test_nothing_is_told_of_others(endpoint: Endpoint, token: str) -> None:
    head, payload, _ = token.split(".")
    for other in ("", "x", "a.b.c", f"{head}.{payload}.AAAA", endpoint.authority.jwt_svid(PATH)):
        if other:
            assert await asked(endpoint, other) == INACTIVE


async def test_the_end_of_the_task_is_the_end_of_the_token(endpoint: Endpoint, token: str) -> None:
    """Requirement 20."""
    task = await endpoint.store.read(lambda tx: tx.governed.get(TASK, "tsk_1"))
    await endpoint.put((TASK, replace(task, state=TaskState.COMPLETED)))
    assert await asked(endpoint, token) == INACTIVE


async def test_time_alone_ends_it(endpoint: Endpoint, token: str) -> None:
    """Requirement 19: without anybody's doing, and without a minute's grace for clocks."""
    endpoint.clock.advance(299)
    assert (await asked(endpoint, token))["active"]
    endpoint.clock.advance(1)
    assert await asked(endpoint, token) == INACTIVE


async def test_callers_have_to_be_known(endpoint: Endpoint, token: str) -> None:
    answer = await endpoint.post("/introspect", {"token": token})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_its_holder_may_revoke_it(endpoint: Endpoint, token: str) -> None:
    me = {"client_id": "spiffe://example.org/principal/bot"}
    other = await endpoint.post("/revoke", {"token": token, "client_id": "spiffe://example.org/other"}, path="/other")
    assert (other.status_code, other.json()["error"]) == (400, "unauthorized_client")
    assert (await asked(endpoint, token))["active"]
    for _ in range(2):
        answer = await endpoint.post("/revoke", {"token": token, **me}, path=PATH)
        assert (answer.status_code, answer.content) == (200, b"")
    assert await asked(endpoint, token) == INACTIVE
    unknown = await endpoint.post("/revoke", {"token": "x", **me}, path=PATH)
    assert unknown.status_code == 200


async def test_the_keys_verify_tokens_by_a_library_that_is_not_ours(endpoint: Endpoint, token: str) -> None:
    async with endpoint.client() as client:
        keys = KeySet.import_key_set((await client.get("/jwks")).json())
    decoded = jwt.decode(token, keys)
    assert decoded.header["typ"] == "at+jwt"
    assert decoded.claims["iss"] == endpoint.issuer


async def test_a_task_token_is_no_jwt_svid(endpoint: Endpoint, token: str) -> None:
    """Its type keeps it from being taken for one, whose key it shares."""
    header, _ = compact.split(token)
    assert header["typ"] == "at+jwt"
    answer = await endpoint.post(
        "/token",
        {"grant_type": "client_credentials", "resource": "https://crm/mcp", "client_assertion": token}
        | {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"},
        dpop=endpoint.dpop(),
    )
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize("page", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
async def test_the_endpoint_says_where_all_is(endpoint: Endpoint, page: str) -> None:
    """RFC 8414 section 2."""
    async with endpoint.client() as client:
        found = (await client.get(page)).json()
        assert found["issuer"] == endpoint.issuer
        for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
            assert found[name].startswith(endpoint.issuer)
            answer = await client.post(httpx.URL(found[name]), data={"token": "x"})
            assert answer.status_code == 401
        assert (await client.get(httpx.URL(found["jwks_uri"]))).json()["keys"]
