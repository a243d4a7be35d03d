"""The token endpoint as OAuth clients meet it: over TLS, by HTTP, with SVIDs of the three kinds."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import pytest

from assay.bundle import jwk
from assay.crypto.certificate import thumbprint as certificate_thumbprint
from assay.crypto.keys import to_pkix
from assay_server.model.governed.catalogue import RESOURCE, Resource, Sensitivity
from assay_server.model.governed.principal import PRINCIPAL, PrincipalState
from assay_server.model.governed.task import CREDENTIAL, TASK, TaskState
from assay_server.oauth.client import JWT_SPIFFE
from assay_server.oauth.grant import ACCESS_TOKEN, EXCHANGE

ME = "spiffe://example.org/principal/bot"
PATH = "/principal/bot"
CRM = "https://crm/mcp"
Endpoint = Any


def said(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def detail(**members: object) -> str:
    """`authorization_details` with one detail."""
    return json.dumps([{"type": "mission_resource_access", "resource": CRM, "actions": ["crm.read"]} | members])


async def issued(endpoint: Endpoint) -> int:
    count: int = await endpoint.store.read(lambda tx: tx.governed.count(CREDENTIAL, ()))
    return count


async def test_a_client_with_a_certificate_has_a_token_bound_to_it(endpoint: Endpoint, form: dict[str, str]) -> None:
    """RFC 8705 section 3: the token names the certificate that it came by."""
    svid = endpoint.authority.x509_svid(PATH, now=endpoint.clock.now())
    endpoint.authority.x509_svid = lambda *_, **__: svid
    answer = await endpoint.post("/token", form, path=PATH)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["token_type"], body["issued_token_type"], body["expires_in"]) == ("Bearer", ACCESS_TOKEN, 300)
    assert answer.headers["cache-control"] == "no-store"
    claims = said(body["access_token"])
    assert claims["cnf"] == {"x5t#S256": certificate_thumbprint(svid.chain[0])}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (endpoint.issuer, CRM, ME)


async def test_a_client_with_a_jwt_svid_needs_a_dpop_proof(endpoint: Endpoint, form: dict[str, str]) -> None:
    """Requirement 25: what anybody could have sent on gives nothing."""
    assertion = endpoint.authority.jwt_svid(PATH, (endpoint.issuer,))
    form |= {"client_assertion_type": JWT_SPIFFE, "client_assertion": assertion}
    without = await endpoint.post("/token", form)
    assert (without.status_code, without.json()["error"]) == (400, "invalid_request")
    answer = await endpoint.post("/token", form, dpop=endpoint.dpop())
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    members = jwk.emit(endpoint.key.public_key())
    assert said(answer.json()["access_token"])["cnf"] == {"jkt": jwk.thumbprint(members)}


async def test_a_client_with_a_wit_svid_proves_its_key(endpoint: Endpoint, form: dict[str, str]) -> None:
    attestation = endpoint.authority.wit_svid(PATH, public_key=to_pkix(endpoint.key.public_key()))
    proof = endpoint.possession()
    headers = {"oauth_client_attestation": attestation, "oauth_client_attestation_pop": proof}
    answer = await endpoint.post("/token", form, **headers)
    assert answer.status_code == 200, answer.text
    members = jwk.emit(endpoint.key.public_key())
    assert said(answer.json()["access_token"])["cnf"] == {"jkt": jwk.thumbprint(members)}
    again = await endpoint.post("/token", form, **headers)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other"},
        {"iat": 1},
        {"jti": ""},
    ],
)
async def test_a_proof_that_is_for_something_else_is_refused(
    endpoint: Endpoint, form: dict[str, str], changes: dict[str, Any]
) -> None:
    attestation = endpoint.authority.wit_svid(PATH, public_key=to_pkix(endpoint.key.public_key()))
    headers = {
        "oauth_client_attestation": attestation,
        "oauth_client_attestation_pop": endpoint.possession(**changes),
    }
    answer = await endpoint.post("/token", form, **headers)
    assert answer.json()["error"] == "invalid_client"


async def test_a_wit_svid_with_another_key_is_refused(endpoint: Endpoint, form: dict[str, str]) -> None:
    headers = {
        "oauth_client_attestation": endpoint.authority.wit_svid(PATH),
        "oauth_client_attestation_pop": endpoint.possession(),
    }
    answer = await endpoint.post("/token", form, **headers)
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [{"htm": "GET"}, {"htu": "https://other/token"}, {"iat": 1}, {"jti": None}, {"iat": 2**60}, {"iat": "now"}],
)
async def test_a_dpop_proof_that_is_for_something_else_is_refused(
    endpoint: Endpoint, form: dict[str, str], changes: dict[str, Any]
) -> None:
    """RFC 9449 section 4.3."""
    answer = await endpoint.post("/token", form, path=PATH, dpop=endpoint.dpop(**changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
    assert await issued(endpoint) == 0


async def test_a_dpop_proof_is_taken_once(endpoint: Endpoint, form: dict[str, str]) -> None:
    proof = endpoint.dpop()
    assert (await endpoint.post("/token", form, path=PATH, dpop=proof)).status_code == 200
    again = await endpoint.post("/token", form, path=PATH, dpop=proof)
    assert again.json()["error"] == "invalid_dpop_proof"
    assert await issued(endpoint) == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"scope": "all"}, "invalid_scope"),
        ({"resource": ""}, "invalid_target"),
        ({"resource": "https://other"}, "invalid_grant"),
        ({"resource": "https://other", "mission": "tsk_1"}, "invalid_target"),
        ({"audience": "https://other"}, "invalid_target"),
        ({"mission": "tsk_2"}, "invalid_grant"),
        ({"requested_ttl": "-1"}, "invalid_request"),
        ({"authorization_details": "{"}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type": "other", "actions": ["a"]}]'}, "invalid_authorization_details"),
        ({"authorization_details": detail(actions=["crm.refund"])}, "invalid_authorization_details"),
        ({"authorization_details": detail(privileges=["x"])}, "invalid_authorization_details"),
        ({"grant_type": EXCHANGE}, "invalid_request"),
        ({"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": ACCESS_TOKEN}, "invalid_grant"),
        ({"client_id": "spiffe://example.org/other"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
    ],
)  # fmt: skip
async def test_what_is_asked_for_wrongly_is_refused(
    endpoint: Endpoint, form: dict[str, str], changes: dict[str, str], error: str
) -> None:
    answer = await endpoint.post("/token", form | changes, path=PATH)
    assert answer.json()["error"] == error, answer.text
    assert answer.status_code in (400, 401)
    assert await issued(endpoint) == 0


async def test_nobody_is_told_more_than_that_he_is_not_known(endpoint: Endpoint, form: dict[str, str]) -> None:
    answer = await endpoint.post("/token", form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("audience", [("https://other",), ("ISSUER", "https://other")])
async def test_a_jwt_svid_that_others_may_present_is_refused(
    endpoint: Endpoint, form: dict[str, str], audience: tuple[str, ...]
) -> None:
    """The issuer has to be the sole audience (OAuth SPIFFE client authentication)."""
    named = tuple(endpoint.issuer if one == "ISSUER" else one for one in audience)
    assertion = endpoint.authority.jwt_svid(PATH, named)
    form |= {"client_assertion_type": JWT_SPIFFE, "client_assertion": assertion}
    answer = await endpoint.post("/token", form, dpop=endpoint.dpop())
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_two_ways_at_once_are_refused(endpoint: Endpoint, form: dict[str, str]) -> None:
    form |= {"client_assertion_type": JWT_SPIFFE, "client_assertion": "x"}
    answer = await endpoint.post("/token", form, oauth_client_attestation="x")
    assert answer.json()["error"] == "invalid_request"


async def test_another_instance_has_nothing_of_the_task(endpoint: Endpoint, form: dict[str, str]) -> None:
    """The confused deputy: an SVID alone authorizes nothing (requirement 10)."""
    form |= {"client_id": "spiffe://example.org/other", "mission": "tsk_1"}
    answer = await endpoint.post("/token", form, path="/other")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await issued(endpoint) == 0


async def test_only_what_is_asked_for_is_in_the_token(endpoint: Endpoint, form: dict[str, str]) -> None:
    """Requirement 16."""
    wanted = [{"type": "mission_resource_access", "resource": CRM, "actions": ["crm.read"]}]
    answer = await endpoint.post("/token", form | {"authorization_details": json.dumps(wanted)}, path=PATH)
    assert answer.json()["authorization_details"] == wanted
    assert said(answer.json()["access_token"])["authorization_details"] == wanted


async def test_policy_says_no_in_words_a_person_can_act_on(endpoint: Endpoint, form: dict[str, str]) -> None:
    await endpoint.put((RESOURCE, Resource(CRM, "prod", "other", Sensitivity.INTERNAL)))
    answer = await endpoint.post("/token", form, path=PATH)
    assert answer.status_code == 403
    body = answer.json()
    assert body["error"] == "access_denied"
    assert body["decision_id"].startswith("dec_")
    assert body["needs_approval"] is False


@pytest.mark.parametrize("state", [TaskState.REVOKED, TaskState.UNKNOWN, TaskState.COMPLETED])
async def test_a_task_that_is_over_gives_nothing(endpoint: Endpoint, form: dict[str, str], state: TaskState) -> None:
    task = await endpoint.store.read(lambda tx: tx.governed.get(TASK, "tsk_1"))
    await endpoint.put((TASK, replace(task, state=state)))
    for asked in (form, form | {"mission": "tsk_1"}):
        answer = await endpoint.post("/token", asked, path=PATH)
        assert answer.json()["error"] == "invalid_grant"
    assert await issued(endpoint) == 0


async def test_a_client_cannot_raise_its_time(endpoint: Endpoint, form: dict[str, str]) -> None:
    """Requirement 17."""
    answer = await endpoint.post("/token", form | {"requested_ttl": "86400"}, path=PATH)
    assert answer.json()["expires_in"] == 300
    answer = await endpoint.post("/token", form | {"requested_ttl": "7"}, path=PATH)
    assert answer.json()["expires_in"] == 7


async def test_an_exchanged_token_ends_with_the_one_it_came_by(endpoint: Endpoint, form: dict[str, str]) -> None:
    """RFC 8693: and is of the same task and client."""
    first = await endpoint.post("/token", form | {"requested_ttl": "50"}, path=PATH)
    exchange = form | {
        "grant_type": EXCHANGE,
        "subject_token": first.json()["access_token"],
        "subject_token_type": ACCESS_TOKEN,
    }
    second = await endpoint.post("/token", exchange, path=PATH)
    assert second.status_code == 200, second.text
    assert second.json()["expires_in"] == 50
    other = await endpoint.post("/token", exchange | {"client_id": "spiffe://example.org/other"}, path="/other")
    assert other.json()["error"] == "invalid_grant"


async def test_an_exchange_without_a_mission_is_of_the_subjects_task(endpoint: Endpoint, form: dict[str, str]) -> None:
    """RFC 8693 section 2.1: on whose behalf is what the subject's token says, however many tasks there are."""
    first = await endpoint.post("/token", form, path=PATH)
    task = await endpoint.store.read(lambda tx: tx.governed.get(TASK, "tsk_1"))
    await endpoint.put((TASK, replace(task, task_id="tsk_2")))
    assert (await endpoint.post("/token", form, path=PATH)).json()["error"] == "invalid_grant"
    subject = {"subject_token": first.json()["access_token"], "subject_token_type": ACCESS_TOKEN}
    exchange = form | {"grant_type": EXCHANGE, **subject}
    second = await endpoint.post("/token", exchange, path=PATH)
    assert (second.status_code, second.json().get("mission")) == (200, "tsk_1"), second.text
    other = await endpoint.post("/token", exchange | {"mission": "tsk_2"}, path=PATH)
    assert other.json()["error"] == "invalid_grant"


async def test_large_and_broken_requests_are_refused(endpoint: Endpoint, form: dict[str, str]) -> None:
    """A form of a megabyte is not read to its end."""
    large = await endpoint.post("/token", form | {"authorization_details": "x" * 1_000_000}, path=PATH)
    assert (large.status_code, large.json()["error"]) == (413, "invalid_request")
    async with endpoint.client(PATH) as client:
        answer = await client.post("/token", json=form)
        assert answer.json()["error"] == "invalid_request"
        answer = await client.post(
            "/token", content=b"a=1&a=2", headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert answer.json()["error"] == "invalid_request"
        assert (await client.get("/token")).status_code == 405
    assert await issued(endpoint) == 0


async def test_a_suspended_principal_gets_nothing(endpoint: Endpoint, form: dict[str, str]) -> None:
    bot = await endpoint.store.read(lambda tx: tx.governed.get(PRINCIPAL, "bot"))
    await endpoint.put((PRINCIPAL, replace(bot, state=PrincipalState.SUSPENDED)))
    answer = await endpoint.post("/token", form, path=PATH)
    assert answer.json()["error"] == "access_denied"
