# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""The tools in Node and in Go, by tokens and proofs that are right, and by all that are wrong."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from tests.interop.governed.scripted import (
    BOT,
    CRM,
    LIST,
    Identity,
    ScriptedIssuer,
    allow,
    bearer,
    now,
    resigned,
    without_none,
)

from assay.bundle import jwk
from assay.clock import SystemClock
from assay.testing.authority import Authority


def test_the_holder_of_the_certificate_may_what_the_token_says(tool: Any, issuer: ScriptedIssuer) -> None:
    answer = tool.call(issuer.bot, bearer(issuer.token()))
    assert answer.status_code == 200, answer.text
    said = {"ticket": 7, "says": "it is broken", "task": "tsk_1", "instance": str(issuer.bot.presented.spiffe_id)}
    assert answer.json() == said


def test_the_holder_of_the_proofs_key_may_what_the_token_says_once(tool: Any, issuer: ScriptedIssuer) -> None:
    token = issuer.token(cnf=issuer.jkt)
    headers = ("authorization", f"DPoP {token}"), ("dpop", issuer.proof(tool.url, token))
    assert tool.call(issuer.bot, *headers, presents=False).status_code == 200
    again = tool.call(issuer.bot, *headers, presents=False)
    assert (again.status_code, again.json()["error"]) == (401, "bad_proof")


@pytest.mark.parametrize(("usd", "status"), [(50, 200), (50.5, 403), (-1, 403), (0, 403)])
def test_constraints_are_enforced(tool: Any, issuer: ScriptedIssuer, usd: float, status: int) -> None:
    token = issuer.token(authorization_details=[allow("crm.refund", max_usd=50)])
    assert tool.call(issuer.bot, bearer(token), action="crm.refund", usd=usd).status_code == status


Claims = Callable[[ScriptedIssuer], dict[str, Any]]


def changed(**changes: Any) -> Claims:
    return lambda _: changes


def altered(name: str, **changes: Any) -> Claims:
    """With that claim, an object, changed."""

    def change(issuer: ScriptedIssuer) -> dict[str, Any]:
        payload = issuer.token().split(".")[1]
        value = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name]
        return {name: without_none({**value, **changes})}

    return change


WRONG_TOKENS: Mapping[str, tuple[Claims, str]] = {
    "a JWT-SVID": (changed(typ="JWT"), "not_a_task_token"),
    "of another profile": (changed(profile="assay-task-2"), "not_a_task_token"),
    "of another issuer": (changed(iss="https://elsewhere"), "wrong_issuer"),
    "by an unknown key": (changed(header={"kid": "other"}), "unknown_key"),
    "by no key": (changed(header={"kid": None}), "unknown_key"),
    "with a critical extension": (changed(header={"crit": ["kid"]}), "malformed"),
    "for another audience": (changed(aud="https://mail/mcp"), "wrong_audience"),
    "for several": (changed(aud=[CRM, "https://mail/mcp"]), "wrong_audience"),
    "for a list of this one": (changed(aud=[CRM]), "wrong_audience"),
    "expired": (lambda _: {"exp": now() - 1}, "expired"),
    "without an end": (changed(exp=None), "not_a_task_token"),
    "of tomorrow": (lambda _: {"iat": now() + 86400}, "not_yet_valid"),
    "not yet valid": (lambda _: {"nbf": now() + 86400}, "not_yet_valid"),
    "of an agent without a task": (changed(mission=None), "not_a_task_token"),
    "of an agent on somebody's behalf without a task": (
        changed(mission=None, sub_profile="user", act={"sub_profile": "ai_agent"}), "not_a_task_token",
    ),
    "of another issuer's task": (altered("mission", issuer="https://elsewhere"), "not_a_task_token"),
    "of no instance": (changed(agent_instance_id=None), "not_a_task_token"),
    "bound to nothing": (changed(cnf=None), "not_bound"),
    "bound to two keys": (lambda issuer: {"cnf": {**issuer.bot.bound, **issuer.jkt}}, "not_a_task_token"),
    "bound to another certificate": (lambda issuer: {"cnf": issuer.other.bound}, "wrong_key"),
    "bound to a proof's key": (lambda issuer: {"cnf": issuer.jkt}, "no_proof"),
    "for another action": (changed(authorization_details=[allow("crm.refund")]), "action_not_allowed"),
    "at another resource": (changed(authorization_details=[allow(resource="https://mail/mcp")]), "action_not_allowed"),
    "of another type": (changed(authorization_details=[{**allow(), "type": "x"}]), "action_not_allowed"),
    "for nothing": (changed(authorization_details=None), "action_not_allowed"),
    "under what nobody here knows": (changed(authorization_details=[allow(max_pages=1)]), "unknown_constraint"),
    "without a status": (changed(status=None), "status_unknown"),
    "with a status of another kind": (changed(status={"other": {}}), "status_unknown"),
    "with its status elsewhere": (
        changed(status={"status_list": {"idx": 9, "uri": "https://elsewhere/status/7"}}), "status_unknown",
    ),
    "beyond the list's end": (
        lambda issuer: {"status": {"status_list": {"idx": 128, "uri": issuer.name + LIST}}}, "status_unknown",
    ),
    "at no place of the list": (
        lambda issuer: {"status": {"status_list": {"uri": issuer.name + LIST}}}, "status_unknown",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("claims", "reason"), WRONG_TOKENS.values(), ids=WRONG_TOKENS)
def test_a_wrong_token_is_refused(tool: Any, issuer: ScriptedIssuer, claims: Claims, reason: str) -> None:
    answer = tool.call(issuer.bot, bearer(issuer.token(**claims(issuer))))
    assert answer.json()["error"] == reason
    assert answer.status_code in {401, 403, 503}
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


Altered = Callable[[ScriptedIssuer, str], str]


def headed(issuer: ScriptedIssuer, token: str, algorithm: str) -> str:
    head = {"alg": algorithm, "typ": "at+jwt", "kid": issuer.authority.jwt_key_id}
    return ".".join([jwk.encode(json.dumps(head).encode()), *token.split(".")[1:]])


TAMPERED: Mapping[str, tuple[Altered, str]] = {
    "the signature of another key": (resigned, "bad_signature"),
    "the signature of another token": (
        lambda issuer, token: f"{token.rpartition('.')[0]}.{issuer.token(jti='2').split('.')[2]}", "bad_signature",
    ),
    "alg none": (lambda issuer, token: headed(issuer, token, "none"), "bad_signature"),
    "alg RS256": (lambda issuer, token: headed(issuer, token, "RS256"), "bad_signature"),
    "an empty signature": (lambda _, token: f"{token.rpartition('.')[0]}.", "malformed"),
    "two parts": (lambda _, token: token.rpartition(".")[0], "malformed"),
    "no JSON": (lambda *_: "bm8.bm8.bm8", "malformed"),
}  # fmt: skip


@pytest.mark.parametrize(("tamper", "reason"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_tampered_with_is_refused(tool: Any, issuer: ScriptedIssuer, tamper: Altered, reason: str) -> None:
    answer = tool.call(issuer.bot, bearer(tamper(issuer, issuer.token())))
    assert (answer.status_code, answer.json()["error"]) == (401, reason)
    assert LIST not in issuer.asked


def test_a_token_in_other_hands_is_refused(tool: Any, issuer: ScriptedIssuer) -> None:
    token = issuer.token()
    for identity, presents, reason in ((issuer.other, True, "wrong_key"), (issuer.bot, False, "not_bound")):
        answer = tool.call(identity, bearer(token), presents=presents)
        assert (answer.status_code, answer.json()["error"]) == (401, reason)
    for header in ((), (("authorization", "Bearer"),), (("authorization", f"Basic {token}"),)):
        none = tool.call(issuer.bot, *header)
        assert (none.status_code, none.json()["error"]) == (401, "no_credential")
    twice = tool.call(issuer.bot, bearer(token), bearer(token))
    assert (twice.status_code, twice.json()["error"]) == (401, "malformed")


def test_a_certificate_by_another_authority_is_none(tool: Any, issuer: ScriptedIssuer) -> None:
    strange = Identity(Authority(now=SystemClock().now()).x509_svid(BOT), issuer.authority.bundle)
    token = bearer(issuer.token(cnf=strange.bound))
    try:
        answer = tool.call(strange, token)
    except httpx.TransportError:
        return  # refused in the handshake
    assert (answer.status_code, answer.json()["error"]) == (401, "not_bound")


WRONG_PROOFS: Mapping[str, tuple[dict[str, Any], str]] = {
    "of another type": ({"typ": "JWT"}, "bad_proof"),
    "for another method": ({"htm": "GET"}, "bad_proof"),
    "for another tool": ({"htu": "https://localhost/crm.read"}, "bad_proof"),
    "for another token": ({"ath": "x"}, "bad_proof"),
    "for no token": ({"ath": None}, "bad_proof"),
    "of yesterday": ({"iat": 1}, "bad_proof"),
    "of no time": ({"iat": None}, "bad_proof"),
    "without a name": ({"jti": None}, "bad_proof"),
}


@pytest.mark.parametrize(("claims", "reason"), WRONG_PROOFS.values(), ids=WRONG_PROOFS)
def test_a_wrong_proof_is_refused(tool: Any, issuer: ScriptedIssuer, claims: dict[str, Any], reason: str) -> None:
    token = issuer.token(cnf=issuer.jkt)
    proof = issuer.proof(tool.url, token, **claims)
    answer = tool.call(issuer.bot, ("authorization", f"DPoP {token}"), ("dpop", proof))
    assert (answer.status_code, answer.json()["error"]) == (401, reason)


def test_a_proof_by_another_key_or_none_or_two_is_refused(tool: Any, issuer: ScriptedIssuer) -> None:
    token = issuer.token(cnf={"jkt": "A" * 43})
    header = ("authorization", f"DPoP {token}")
    proof = ("dpop", issuer.proof(tool.url, token))
    assert tool.call(issuer.bot, header, proof).json()["error"] == "wrong_key"
    assert tool.call(issuer.bot, header).json()["error"] == "no_proof"
    assert tool.call(issuer.bot, header, proof, proof).status_code == 401
