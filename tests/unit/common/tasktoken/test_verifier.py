"""What a task token has to be before anything is done on it."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay.svid.dpop import DpopKey
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken import Certificate, DpopProof, TaskTokenVerifier
from assay.tasktoken.profile import KNOWN
from assay.tasktoken.verifier import MAX_TOKEN
from assay.testing import FakeClock, InMemoryTrustDomain, WrongTaskToken
from assay.verify import FixedBundles

CRM = "https://crm.example/mcp"
URL = f"{CRM}/tickets"
AGENT = "/principal/bot/i7f3"
ME, ISSUER = "spiffe://example.org/principal/bot/i7f3", "spiffe://example.org"
DETAIL = {"type": "mission_resource_access", "resource": CRM, "actions": ["crm.read"]}
SCHEMA = Path(__file__).parents[4] / "docs" / "task-token.schema.json"
Prove = Any


def refused(verifier: TaskTokenVerifier, *args: Any, **more: Any) -> RefusedError:  # noqa: ANN401 - the verifier's
    with pytest.raises(RefusedError) as caught:
        verifier.verify(*args, **more)
    return caught.value


def test_a_token_that_is_bound_and_allows_the_action_is_taken(
    verifier: TaskTokenVerifier, token: str, prove: Prove, domain: InMemoryTrustDomain
) -> None:
    found = verifier.verify(token, prove(token), "crm.read")
    assert (found.instance, found.action, found.audience) == (domain.id(AGENT), "crm.read", CRM)
    assert (found.actor_profile, found.tenant, found.environment) == ("ai_agent", "acme", "test")
    assert found.task_id.startswith("tsk_")
    assert (found.staleness, dict(found.constraints)) == (0, {})
    assert token not in repr(found)


def test_a_token_that_is_bound_to_the_connections_certificate_is_taken(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain
) -> None:
    """RFC 8705 section 3."""
    svid = domain.x509_svid(AGENT)
    token = domain.task_token(AGENT, CRM, "crm.read", key=svid)
    assert verifier.verify(token, Certificate(svid.chain[0]), "crm.read").action == "crm.read"


@pytest.mark.parametrize("wrong", WrongTaskToken)
def test_what_is_wrong_with_a_token_has_its_reason(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, prove: Prove, wrong: WrongTaskToken
) -> None:
    token = domain.wrong_task_token(wrong, AGENT, CRM, "crm.read", key=key)
    refusal = refused(verifier, token, prove(token), "crm.read")
    assert refusal.reason is wrong.reason, refusal
    assert token not in str(refusal)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ""},
        {"sub": 7},
        {"sub_profile": "wizard"},
        {"client_id": "https://example.org/bot"},
        {"client_id": "spiffe://example.org"},
        {"act": {"iss": "spiffe://other.example", "sub": ME, "sub_profile": "ai_agent"}},
        {"act": {"iss": ISSUER, "sub": "spiffe://example.org/other", "sub_profile": "ai_agent"}},
        {"act": {"iss": ISSUER, "sub": ME, "sub_profile": "user"}},
        {"act": []},
        {"cnf": {}},
        {"cnf": {"jkt": "short"}},
        {"cnf": {"jwk": {}}},
        {"cnf": {"jkt": "A" * 43, "x5t#S256": "A" * 43}},
        {"mission": {"id": "tsk_1"}},
        {"mission": {"id": "1", "issuer": ISSUER, "authority_hash": f"sha-256:{'A' * 43}"}},
        {"mission": {"id": "tsk_1", "issuer": ISSUER, "authority_hash": "sha-256:A"}},
        {"decision_id": "none"},
        {"tenant": 1},
        {"exp": "tomorrow"},
        {"exp": 1.5},
        {"iat": None},
        {"authorization_details": [{**DETAIL, "type": "other"}]},
        {"authorization_details": [{**DETAIL, "actions": []}]},
        {"authorization_details": [{**DETAIL, "x": 1}]},
        {"authorization_details": [{**DETAIL, "constraints": {"unheard_of": 1}}]},
        {"action_classes": ["crm.read"]},
        {"action_classes": {"crm.read": 1}},
        {"status": {"status_list": {"idx": -1, "uri": "https://x"}}},
        {"status": {"status_list": {"idx": 1}}},
        {"status": {"other": {}}},
        {"agent_model": {"name": "x"}},
    ],
)  # fmt: skip
def test_a_claim_that_is_not_as_the_profile_has_it_is_refused(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, prove: Prove, changes: dict[str, Any]
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, **changes)
    wanted = Reason.WRONG_ISSUER if "iss" in changes else Reason.NOT_A_TASK_TOKEN
    assert refused(verifier, token, prove(token), "crm.read").reason is wanted


def test_the_profile_in_code_is_that_of_the_published_schema() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert set(schema["properties"]) == KNOWN
    assert schema["additionalProperties"] is False


def test_a_humans_task_says_who_acts_for_whom(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, prove: Prove
) -> None:
    actor = {"iss": str(domain.trust_domain.id), "sub": str(domain.id(AGENT)), "sub_profile": "ai_agent"}
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, sub="alice@corp", sub_profile="user", act=actor)
    found = verifier.verify(token, prove(token), "crm.read")
    assert (found.subject, found.subject_profile, found.actor_profile) == ("alice@corp", "user", "ai_agent")
    # Without a task it is a forgery whoever it is for.
    naked = domain.task_token(AGENT, CRM, "crm.read", key=key, sub="a", sub_profile="user", act=actor, mission=None)
    assert refused(verifier, naked, prove(naked), "crm.read").reason is Reason.NOT_A_TASK_TOKEN


def test_nothing_and_too_much_are_no_tokens(verifier: TaskTokenVerifier) -> None:
    assert refused(verifier, "").reason is Reason.NO_CREDENTIAL
    assert refused(verifier, "a" * (MAX_TOKEN + 1)).reason is Reason.MALFORMED
    assert refused(verifier, "ä.ö.ü").reason is Reason.MALFORMED


# Key binding


def test_a_token_alone_is_worth_nothing(verifier: TaskTokenVerifier, token: str, domain: InMemoryTrustDomain) -> None:
    """Requirement 25: what was copied is useless."""
    assert refused(verifier, token, None, "crm.read").reason is Reason.NO_PROOF
    assert refused(verifier, token, Certificate(domain.x509_svid(AGENT).chain[0])).reason is Reason.NO_PROOF
    bound = domain.task_token(AGENT, CRM, "crm.read", key=domain.x509_svid(AGENT))
    assert refused(verifier, bound, None, "crm.read").reason is Reason.NOT_BOUND


def test_a_token_with_another_key_is_refused(
    verifier: TaskTokenVerifier, token: str, clock: FakeClock, domain: InMemoryTrustDomain
) -> None:
    thief = DpopKey.create().prove("POST", URL, clock.now(), access_token=token)
    assert refused(verifier, token, DpopProof(thief, "POST", URL), "crm.read").reason is Reason.WRONG_KEY
    # The same instance has another certificate after each rotation, and another copy has its own.
    bound = domain.task_token(AGENT, CRM, "crm.read", key=domain.x509_svid(AGENT))
    other = Certificate(domain.x509_svid(AGENT).chain[0])
    assert refused(verifier, bound, other, "crm.read").reason is Reason.WRONG_KEY


def test_a_certificates_token_cannot_be_used_with_a_proof(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, prove: Prove
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=domain.x509_svid(AGENT))
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.NOT_BOUND


def test_a_proof_counts_once(verifier: TaskTokenVerifier, token: str, prove: Prove) -> None:
    proof = prove(token)
    verifier.verify(token, proof, "crm.read")
    assert refused(verifier, token, proof, "crm.read").reason is Reason.BAD_PROOF


def test_a_token_for_nobody_in_particular_is_taken_only_where_that_is_said(
    domain: InMemoryTrustDomain, verifier: TaskTokenVerifier
) -> None:
    token = domain.task_token("/batch", CRM, "crm.read", key=None, profile="service")
    assert refused(verifier, token, None, "crm.read").reason is Reason.NOT_BOUND
    lenient = TaskTokenVerifier(domain, domain.issuer, CRM, domain.status, unbound=True, clock=domain.clock)
    assert lenient.verify(token, None, "crm.read").actor_profile == "service"
    agent = domain.task_token(AGENT, CRM, "crm.read", key=None)
    assert refused(lenient, agent, None, "crm.read").reason is Reason.NOT_A_TASK_TOKEN


# Actions and constraints


def test_an_action_that_the_token_is_not_for_is_refused(verifier: TaskTokenVerifier, token: str, prove: Prove) -> None:
    assert refused(verifier, token, prove(token), "crm.refund").reason is Reason.ACTION_NOT_ALLOWED
    assert refused(verifier, token, prove(token), "crm").reason is Reason.ACTION_NOT_ALLOWED


def test_an_action_on_another_resource_does_not_count_here(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, prove: Prove
) -> None:
    details = [{"type": "mission_resource_access", "resource": "https://other", "actions": ["crm.read"]}]
    token = domain.task_token(AGENT, CRM, "crm.list", key=key, authorization_details=details)
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.ACTION_NOT_ALLOWED


def test_a_constraint_that_nobody_keeps_is_refused(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, prove: Prove
) -> None:
    token = domain.task_token(AGENT, CRM, "crm.read", key=key, constraints={"max_rows": 5, "tenant": "acme"})
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.UNKNOWN_CONSTRAINT
    partly = refused(verifier, token, prove(token), "crm.read", understands=["max_rows"])
    assert partly.reason is Reason.UNKNOWN_CONSTRAINT
    assert "tenant" in partly.message
    found = verifier.verify(token, prove(token), "crm.read", understands=["max_rows", "tenant"])
    assert found.constraints == {"max_rows": 5, "tenant": "acme"}


def test_an_action_that_becomes_known_later_is_judged_then(
    verifier: TaskTokenVerifier, token: str, prove: Prove, domain: InMemoryTrustDomain, clock: FakeClock
) -> None:
    found = verifier.verify(token, prove(token))
    assert verifier.allow(found, "crm.list").action == "crm.list"
    for action, reason in (("crm.refund", Reason.ACTION_NOT_ALLOWED),):
        with pytest.raises(RefusedError) as caught:
            verifier.allow(found, action)
        assert caught.value.reason is reason
    domain.status.revoke(token)
    with pytest.raises(RefusedError) as caught:
        verifier.allow(found, "crm.list")
    assert caught.value.reason is Reason.REVOKED
    clock.advance(400)
    with pytest.raises(RefusedError) as caught:
        verifier.allow(found, "crm.list")
    assert caught.value.reason is Reason.EXPIRED
    with pytest.raises(InvalidArgumentError):
        verifier.allow(found, "")


# Time and keys


def test_clocks_may_differ_by_a_minute(
    verifier: TaskTokenVerifier, domain: InMemoryTrustDomain, key: DpopKey, prove: Prove, clock: FakeClock
) -> None:
    ahead = domain.task_token(AGENT, CRM, "crm.read", key=key, iat=int(clock.now().timestamp()) + 60)
    verifier.verify(ahead, prove(ahead), "crm.read")
    further = domain.task_token(AGENT, CRM, "crm.read", key=key, iat=int(clock.now().timestamp()) + 61)
    assert refused(verifier, further, prove(further), "crm.read").reason is Reason.NOT_YET_VALID


def test_a_verifiers_clock_that_is_behind_the_issuers_takes_nothing_that_is_over_there(
    verifier: TaskTokenVerifier, token: str, prove: Prove, domain: InMemoryTrustDomain, clock: FakeClock
) -> None:
    """The issuer forgets what expires: a leeway beyond it would let pass what was revoked and forgotten."""
    domain.status.skew = 60
    clock.advance(239)
    verifier.verify(token, prove(token), "crm.read")
    clock.advance(1)
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.EXPIRED


def test_a_verifiers_clock_that_is_ahead_of_the_issuers_takes_what_counts_there(
    verifier: TaskTokenVerifier, token: str, prove: Prove, domain: InMemoryTrustDomain, clock: FakeClock
) -> None:
    domain.status.skew = -60
    clock.advance(359)
    # What comes first may be old, or the clocks differ: only the next one can tell.
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.STATUS_UNKNOWN
    verifier.verify(token, prove(token), "crm.read")
    clock.advance(2)
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.EXPIRED


def test_a_token_whose_key_is_trusted_no_more_is_refused_though_it_was_known(
    verifier: TaskTokenVerifier, token: str, prove: Prove, domain: InMemoryTrustDomain
) -> None:
    verifier.verify(token, prove(token), "crm.read")
    domain.rotate_jwt_key()
    verifier.verify(token, prove(token), "crm.read")
    domain.rotate_jwt_key(forget=True)
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.UNKNOWN_KEY


def test_a_known_token_expires(verifier: TaskTokenVerifier, token: str, prove: Prove, clock: FakeClock) -> None:
    verifier.verify(token, prove(token), "crm.read")
    clock.advance(361)
    assert refused(verifier, token, prove(token), "crm.read").reason is Reason.EXPIRED


def test_a_trust_domain_is_needed_where_the_issuer_names_none(domain: InMemoryTrustDomain, key: DpopKey) -> None:
    with pytest.raises(InvalidArgumentError):
        TaskTokenVerifier(domain, "https://assay.example", CRM, domain.status)
    with pytest.raises(InvalidArgumentError):
        TaskTokenVerifier(domain, domain.issuer, "", domain.status)
    other = InMemoryTrustDomain("other.example", clock=domain.clock)
    verifier = TaskTokenVerifier(
        FixedBundles(other.bundle), domain.issuer, CRM, domain.status,
        trust_domain=TrustDomain("other.example"), clock=domain.clock,
    )  # fmt: skip
    token = domain.task_token(AGENT, CRM, "crm.read", key=key)
    assert refused(verifier, token).reason is Reason.UNKNOWN_KEY


def test_a_jwt_svid_is_no_task_token_nor_the_reverse(verifier: TaskTokenVerifier, domain: InMemoryTrustDomain) -> None:
    """RFC 8725 section 3.11: what is explicitly typed is not taken for something else."""
    assert refused(verifier, domain.jwt_svid(AGENT, CRM)).reason is Reason.NOT_A_TASK_TOKEN
