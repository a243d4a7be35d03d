"""Status lists as a foreign verifier fetches them: by their URIs in tokens, with the published keys."""

from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from assay.bundle import jwk
from assay.crypto.keys import to_pkix
from assay.statuslist import StatusListCache, StatusListToken, StatusUnknownError, verify
from assay.svid import compact
from assay_server.datastore.base import Page, Transaction
from assay_server.governance.ending import end_tasks, revoke_credential
from assay_server.model.governed.principal import PRINCIPAL
from assay_server.model.governed.task import CREDENTIAL, TASK
from assay_server.status.lists import LIFETIME, TTL

PATH = "/principal/bot"
Endpoint = Any


@pytest.fixture
async def reference(endpoint: Endpoint, form: dict[str, str]) -> dict[str, Any]:
    """Where the status of a token is, as the token says."""
    answer = await endpoint.post("/token", form, path=PATH)
    found: dict[str, Any] = compact.split(answer.json()["access_token"])[1]["status"]["status_list"]  # type: ignore[index]
    return found


async def get(endpoint: Endpoint, uri: str, **headers: str) -> httpx.Response:
    async with endpoint.client() as client:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        found: httpx.Response = await client.get(uri, headers=sent)
        return found


async def fetched(endpoint: Endpoint, uri: str) -> StatusListToken:
    answer = await get(endpoint, uri)
    assert answer.status_code == 200, answer.text
    keys = {one.key_id: one.public_key for one in endpoint.authority.bundle.jwt_authorities}
    return verify(answer.text, uri, keys.get, endpoint.now)


async def end_task(endpoint: Endpoint) -> None:
    def end(tx: Transaction) -> None:
        task = tx.governed.get(TASK, "tsk_1")
        assert task is not None
        end_tasks(tx, [task], "operator", "local", endpoint.now)

    await endpoint.store.write(end)


async def test_a_revoked_token_is_invalid_in_the_very_next_list(endpoint: Endpoint, reference: dict[str, Any]) -> None:
    before = await fetched(endpoint, reference["uri"])
    assert before.statuses.status(reference["idx"]) == 0
    assert (before.ttl, before.expires_at) == (TTL, endpoint.now + LIFETIME)
    await end_task(endpoint)
    after = await fetched(endpoint, reference["uri"])
    assert after.statuses.status(reference["idx"]) == 1
    assert sum(after.statuses.data) == 1 << reference["idx"] % 8, "and nobody else's"


async def test_a_foreign_library_verifies_a_list_by_the_published_keys(
    endpoint: Endpoint, reference: dict[str, Any]
) -> None:
    answer, keys = await get(endpoint, reference["uri"]), await get(endpoint, "/jwks")
    token = jwt.decode(answer.text, KeySet.import_key_set(keys.json()))
    assert token.header["typ"] == "statuslist+jwt"
    assert token.claims["sub"] == reference["uri"]
    assert token.claims["status_list"]["bits"] == 1
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_list_is_made_anew_only_when_it_says_too_little(endpoint: Endpoint, reference: dict[str, Any]) -> None:
    first = await get(endpoint, reference["uri"])
    assert first.headers["cache-control"] == f"public, max-age={TTL // 2}"
    endpoint.clock.advance(TTL // 2 - 1)
    again = await get(endpoint, reference["uri"], if_none_match=f'"other", W/{first.headers["etag"]}')
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "public, max-age=1"
    endpoint.clock.advance(1)
    assert (await get(endpoint, reference["uri"], if_none_match=first.headers["etag"])).status_code == 200


async def test_one_credential_that_is_revoked_is_enough(endpoint: Endpoint, reference: dict[str, Any]) -> None:
    first = await get(endpoint, reference["uri"])

    def revoke(tx: Transaction) -> None:
        (credential,), _ = tx.governed.find(CREDENTIAL, [("task", "tsk_1")], Page())
        revoke_credential(tx, credential, "test", "local", endpoint.now)

    await endpoint.store.write(revoke)
    assert (await get(endpoint, reference["uri"], if_none_match=first.headers["etag"])).status_code == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/statuslist+jwt", 200),
        ("text/html, application/*;q=0.5", 200),
        ("*/*", 200),
        ("application/statuslist+cwt", 406),
        ("application/statuslist+jwt;q=0", 406),
        ("application/statuslist+jwt;q=0.0, text/plain", 406),
    ],
)
async def test_there_is_one_form_of_a_list(
    endpoint: Endpoint, reference: dict[str, Any], accept: str, status: int
) -> None:
    assert (await get(endpoint, reference["uri"], accept=accept)).status_code == status


@pytest.mark.parametrize("number", ["999999", "99999999999999999999999", "-1", "x", "1.5"])
async def test_a_list_that_is_not_there_is_not_found(endpoint: Endpoint, number: str) -> None:
    assert (await get(endpoint, f"/status/{number}")).status_code == 404


async def test_the_past_is_not_told(endpoint: Endpoint, reference: dict[str, Any]) -> None:
    assert (await get(endpoint, f"{reference['uri']}?time={endpoint.now - 60}")).status_code == 501


async def test_the_metadata_leads_to_all_lists(endpoint: Endpoint, reference: dict[str, Any]) -> None:
    found = (await get(endpoint, "/.well-known/oauth-authorization-server")).json()
    answer = await get(endpoint, found["status_list_aggregation_endpoint"])
    assert answer.json() == {"status_lists": [reference["uri"]]}
    assert answer.headers["content-type"] == "application/json"
    endpoint.clock.advance(601)
    assert (await get(endpoint, "/status")).json() == {"status_lists": []}, "none that matters any more"


async def test_a_cache_goes_by_what_a_list_says_of_itself(endpoint: Endpoint, reference: dict[str, Any]) -> None:
    keys = {one["kid"]: to_pkix(jwk.parse(one)) for one in (await get(endpoint, "/jwks")).json()["keys"]}
    cache = StatusListCache(keys.get)
    cache.put(reference["uri"], (await get(endpoint, reference["uri"])).text, endpoint.now)
    assert cache.status(reference["uri"], reference["idx"], endpoint.now) == 0
    await end_task(endpoint)
    endpoint.clock.advance(TTL)
    assert cache.status(reference["uri"], reference["idx"], endpoint.now) is None
    cache.put(reference["uri"], (await get(endpoint, reference["uri"])).text, endpoint.now)
    assert cache.status(reference["uri"], reference["idx"], endpoint.now) == 1
    with pytest.raises(StatusUnknownError):
        cache.status(reference["uri"], 2**17, endpoint.now)


async def test_a_principal_that_is_gone_does_not_keep_a_list_from_being_made(
    endpoint: Endpoint, reference: dict[str, Any]
) -> None:
    await end_task(endpoint)
    await endpoint.store.write(lambda tx: tx.governed.delete(PRINCIPAL, "bot"))
    assert (await fetched(endpoint, reference["uri"])).statuses.status(reference["idx"]) == 1
