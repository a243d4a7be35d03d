"""The published schema of task tokens, against what is issued and against what must not exist."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from assay.governed.authority import Access
from assay.spiffeid import TrustDomain
from assay_server.credential.authorities import Authorities
from assay_server.governance.credentials import Granted
from assay_server.governance.request import Binding, Confirmation
from assay_server.governance.tokens import TaskTokens
from assay_server.model.governed.principal import ActorType, Principal
from assay_server.model.governed.task import Credential, Intent, Task

SCHEMA = Path(__file__).parents[4] / "docs" / "task-token.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
HASH = "sha-256:" + "A" * 43
ACCESS = Access("https://crm/mcp", ("crm.read",), {"max_amount": 50})
TASK = Task("tsk_1", "bot", "", "person:a", "acme", "prod", Intent("x"), (ACCESS,), HASH, HASH, "operator:local", 1, 9)
CREDENTIAL = Credential(
    "crd_1", "at+jwt", "tsk_1", "bot", "spiffe://a.org/principal/bot", ACCESS.resource, HASH, "", 1, 9, "dec_1",
    status_index=2**17 + 5,
)  # fmt: skip
KEYS = [Confirmation(Binding.DPOP, "B" * 43), Confirmation(Binding.CERTIFICATE, "C" * 43)]


@pytest.fixture
def tokens(authorities: Authorities) -> TaskTokens:
    return TaskTokens("https://issuer", TrustDomain("a.org"), authorities, "https://issuer/status")


def faults(claims: dict[str, Any]) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(claims)]


@pytest.mark.parametrize("actor_type", [one for one in ActorType if one is not ActorType.HUMAN])
@pytest.mark.parametrize("subject", ["", "alice@corp"])
@pytest.mark.parametrize("key", KEYS)
def test_what_is_issued_follows_the_profile(
    tokens: TaskTokens, actor_type: ActorType, subject: str, key: Confirmation
) -> None:
    """Requirement 5: every token says what kind of actor it is of."""
    principal = Principal("bot", actor_type, model="acme-4")
    classes = {"crm.read": "consequential_read"}
    claims = tokens.claims(Granted(replace(TASK, subject=subject), principal, (ACCESS,), CREDENTIAL, key, classes))
    assert faults(claims) == []
    assert ("act" in claims) == bool(subject)
    assert claims["status"] == {"status_list": {"idx": 5, "uri": "https://issuer/status/1"}}
    assert claims["action_classes"] == classes


@pytest.mark.parametrize("missing", ["mission", "cnf", "agent_instance_id"])
@pytest.mark.parametrize("subject", ["", "alice@corp"])
def test_an_ai_agents_token_without_task_key_or_instance_does_not_exist(
    tokens: TaskTokens, missing: str, subject: str
) -> None:
    """Requirements 14 and 45: the two boundaries in one check of the schema."""
    principal = Principal("bot", ActorType.AI_AGENT)
    granted = Granted(replace(TASK, subject=subject), principal, (ACCESS,), CREDENTIAL, KEYS[0])
    claims = tokens.claims(granted)
    del claims[missing]
    assert faults(claims)


def test_a_list_of_audiences_and_unknown_claims_are_no_task_tokens(tokens: TaskTokens) -> None:
    claims = tokens.claims(Granted(TASK, Principal("bot", ActorType.SERVICE), (ACCESS,), CREDENTIAL, KEYS[0]))
    assert faults(claims) == []
    assert faults(claims | {"aud": ["https://crm/mcp"]})
    assert faults(claims | {"scope": "all"})


def test_where_nobody_publishes_lists_no_token_refers_to_one(authorities: Authorities) -> None:
    tokens = TaskTokens("spiffe://a.org", TrustDomain("a.org"), authorities)
    claims = tokens.claims(Granted(TASK, Principal("bot", ActorType.SERVICE), (ACCESS,), CREDENTIAL, KEYS[0]))
    assert faults(claims) == []
    assert "status" not in claims


def test_a_class_of_actions_that_nobody_knows_is_not_in_the_profile(tokens: TaskTokens) -> None:
    claims = tokens.claims(Granted(TASK, Principal("bot", ActorType.SERVICE), (ACCESS,), CREDENTIAL, KEYS[0]))
    assert faults(claims | {"action_classes": {"crm.read": "harmless"}})
