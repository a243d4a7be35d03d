"""Access evaluations in AuthZEN's shape, over TLS: by whom, of what, and what is answered."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.server.oauth.conftest import task_of

from assay.governed.digest import digest
from assay_server.model.governed.catalogue import RESOURCE, Resource, Sensitivity
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.task import CREDENTIAL, TASK, Budget

PATH, CRM, GUARD = "/principal/bot", "https://crm/mcp", "/crm-guard"
ME = f"spiffe://example.org{PATH}"
PAGE = "/access/v1/evaluation"
Endpoint = Any


@pytest.fixture(autouse=True)
async def _guarded(endpoint: Endpoint) -> None:
    crm = Resource(CRM, "prod", "acme", Sensitivity.INTERNAL, verifiers=(f"spiffe://example.org{GUARD}",))
    await endpoint.put((RESOURCE, crm))


def question(action: str = "crm.read", **context: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "subject": {"type": "spiffe_id", "id": ME},
        "action": {"name": action},
        "resource": {"type": "resource", "id": CRM},
        "context": {"key_proved": True, **context},
    }


async def asked(endpoint: Endpoint, question: Any, path: str = GUARD, **headers: str) -> Any:  # noqa: ANN401 - JSON
    async with endpoint.client(path) as client:
        return await client.post(PAGE, json=question, headers=headers)


async def jti(endpoint: Endpoint, form: Mapping[str, str]) -> str:
    await endpoint.post("/token", form, path=PATH)
    (credential,) = await endpoint.store.read(lambda tx: tx.governed.latest(CREDENTIAL, (), 1))
    return str(credential.jti)


async def test_a_guard_is_told_whether_a_call_may_be_made(endpoint: Endpoint, form: dict[str, str]) -> None:
    token = await jti(endpoint, form)
    answer = await asked(endpoint, question(jti=token, parameters={"id": 7}), **{"X-Request-ID": "r-1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "r-1")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["decision"], body["context"]["effect"]) == (True, "allow")
    evaluation = body["context"]["evaluation_id"]
    decision = await endpoint.store.read(lambda tx: tx.governed.get(DECISION, evaluation))
    assert decision.inputs["question"]["context"]["paramsDigest"] == digest({"id": 7})


async def test_a_refusal_is_an_answer_with_its_reason(endpoint: Endpoint, form: dict[str, str]) -> None:
    token = await jti(endpoint, form)
    for wrong, reason in (
        (question("crm.drop", jti=token), "the token does not name crm.drop"),
        (question(jti=token, key_proved=False), "denied by agents-prove-a-key"),
        (question(jti="crd_none"), "no token crd_none"),
        ({**question(jti=token), "subject": {"type": "spiffe_id", "id": f"{ME}/2"}}, "another instance calls"),
        ({**question(jti=token), "resource": {"type": "resource", "id": "https://other"}}, "for another resource"),
    ):
        answer = await asked(endpoint, wrong)
        assert answer.status_code == 200
        assert answer.json()["decision"] is False
        assert reason in answer.json()["context"]["reason"]


async def test_whoever_guards_nothing_is_told_that_there_is_none(endpoint: Endpoint, form: dict[str, str]) -> None:
    token = await jti(endpoint, form)
    answer = await asked(endpoint, question(jti=token), "/tool")
    assert answer.json() == {"decision": False, "context": {"reason": f"no token {token}"}}


async def test_an_instance_asks_about_its_own_task_and_budgets_are_kept(endpoint: Endpoint) -> None:
    await endpoint.put((TASK, task_of(endpoint.now, budget=Budget(calls=1))))
    first, again, second = [
        (await asked(endpoint, question(task="tsk_1", call_id=name), PATH)).json() for name in ("a", "a", "b")
    ]
    assert (first["decision"], again["decision"], second["decision"]) == (True, True, False)
    assert second["context"]["reason"] == "task tsk_1 has used up its calls: 1"
    other = await asked(endpoint, {**question("crm.list", task="tsk_1", call_id="a")}, PATH)
    assert (other.status_code, other.json()["error"]) == (409, "invalid_request")


async def test_without_an_svid_nobody_is_answered(endpoint: Endpoint) -> None:
    answer = await asked(endpoint, question(task="tsk_1"), "")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


GOOD = question(task="tsk_1")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {name: value for name, value in GOOD.items() if name != "action"},
        {**GOOD, "environment": "sandbox"},
        {**GOOD, "subject": {"type": "user", "id": "alice"}},
        {**GOOD, "subject": {"type": "spiffe_id", "id": ME, "properties": {"environment": "sandbox"}}},
        {**GOOD, "action": {"name": ""}},
        {**GOOD, "action": {"name": 7}},
        question(task="tsk_1", risk="low"),
        question(task="tsk_1", jti="crd_1"),
        question(),
        question(task="tsk_1", parameters_digest="x"),
        question(task="tsk_1", parameters={"n": 2**60}),
    ],
)
async def test_a_question_that_is_not_understood_is_refused(endpoint: Endpoint, wrong: object) -> None:
    sequence = endpoint.store.sequence
    answer = await asked(endpoint, wrong, PATH)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text
    assert endpoint.store.sequence == sequence


async def test_what_is_no_json_or_too_much_of_it_is_refused(endpoint: Endpoint) -> None:
    async with endpoint.client(PATH) as client:
        kind = {"Content-Type": "application/json"}
        for body, status in ((b"{", 400), (b"[" * 60_000, 400), (b"\xff", 400), (b" " * 1_000_000, 413)):
            assert (await client.post(PAGE, content=body, headers=kind)).status_code == status
        assert (await client.post(PAGE, data={"a": "b"})).status_code == 400


async def test_the_endpoint_says_where_it_is(endpoint: Endpoint) -> None:
    async with endpoint.client() as client:
        found = (await client.get("/.well-known/authzen-configuration")).json()
    assert found == {
        "policy_decision_point": endpoint.issuer, "access_evaluation_endpoint": f"{endpoint.issuer}{PAGE}"
    }  # fmt: skip


async def test_what_changed_since_the_token_was_issued_changes_the_answer(
    endpoint: Endpoint, form: dict[str, str]
) -> None:
    token = await jti(endpoint, form)
    crm = await endpoint.store.read(lambda tx: tx.governed.get(RESOURCE, CRM))
    await endpoint.put((RESOURCE, replace(crm, tenant="other")))
    answer = (await asked(endpoint, question(jti=token))).json()
    assert (answer["decision"], answer["context"]["effect"]) == (False, "deny")
