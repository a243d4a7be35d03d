# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""What a governed life leaves in the ledger: each event with what an auditor needs, and nothing that is a secret.

Every record of every test that has the `store` is held against docs/ledger-event.schema.json when it ends.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError
from assay.ledger.record import canonical, hash_of
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import Transaction
from assay_server.governance.credentials import CredentialService
from assay_server.governance.journal import record
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.tokens import TaskTokens
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.principal import INSTANCE, Instance


@pytest.fixture
async def records(world: Any) -> Any:
    async def read() -> list[dict[str, Any]]:
        found = await world.store.read(lambda tx: tx.ledger.records(0, 1000))
        return [json.loads(one.body) for one in found]

    return read


@pytest.fixture
async def credentials(world: Any, policies: Any, authorities: Any) -> CredentialService:
    issuer = "https://issuer.example"
    tokens = TaskTokens(issuer, TrustDomain("example.org"), authorities)
    return CredentialService(world.store, policies, world.clock, tokens.sign, tokens.ends_at, issuer)


@pytest.fixture
async def issued(world: Any, tasks: Any, credentials: CredentialService) -> Any:
    """A token on behalf of a human."""
    selectors = (Selector("unix", "uid:1"),)
    me, agent = SpiffeId.parse(world.me), SpiffeId.parse("spiffe://example.org/agent")
    await world.store.write(lambda tx: tx.entries.create(Entry("entry", me, agent, selectors, principal="bot")))
    opener = replace(world.opener, subject="alice@corp")
    task = await tasks.open(world.request("crm.read"), opener)
    key = Confirmation(Binding.DPOP, "thumbprint")
    return await credentials.issue(CredentialRequest(task.task_id, me, world.crm.uri, key))


def of(records: list[dict[str, Any]], kind: EventType) -> list[dict[str, Any]]:
    return [one for one in records if one["type"] == kind.value]


async def test_a_life_leaves_an_event_of_each_kind(world: Any, tasks: Any, issued: Any, records: Any) -> None:
    task_id = issued.granted.task.task_id
    await tasks.suspend(task_id, "looked at", world.operator)
    await tasks.revoke(task_id, "no longer wanted", world.operator)
    kinds = {one["type"] for one in await records() if one["task_id"] == task_id}
    assert kinds == {
        "task.opened", "delegation", "decision", "identity.issued", "task.changed", "revocation", "task.ended",
    }  # fmt: skip


async def test_a_decision_says_who_for_whom_on_what_and_how_it_stood(issued: Any, world: Any, records: Any) -> None:
    """AIMS: agent, delegated subject, resource and tool, action and decision, time and correlation, posture."""
    decision = of(await records(), EventType.DECISION)[-1]
    details = decision["details"]
    assert (decision["actor"], decision["principal"], decision["actor_type"]) == (world.me, "bot", "ai_agent")
    assert (decision["task_id"], decision["at"]) == (issued.granted.task.task_id, world.now)
    assert (details["instance"], details["on_behalf_of"]) == (world.me, "alice@corp")
    assert (details["tool"], details["resource"], details["point"]) == ("crm.read", world.crm.uri, "credential:issue")
    assert (details["effect"], details["environment"], details["tenant"]) == ("allow", "prod", "acme")
    assert (details["risk_score"], details["quarantined"]) == (0, False)


async def test_the_inputs_of_a_decision_are_those_whose_hash_is_in_the_ledger(
    world: Any, issued: Any, records: Any
) -> None:
    assert issued.token
    for event in of(await records(), EventType.DECISION):
        decision = await world.get(DECISION, event["subject"])
        assert event["details"]["inputs_hash"] == hash_of(canonical(decision.inputs))


async def test_a_credential_is_named_and_not_shown(issued: Any, records: Any) -> None:
    (event,) = of(await records(), EventType.IDENTITY_ISSUED)
    assert event["subject"] == issued.granted.credential.jti
    assert event["details"]["on_behalf_of"] == "alice@corp"
    told = json.dumps(await records())
    for part in issued.token.split("."):
        assert part not in told
    assert "answer ticket 7" not in told


async def test_remediation_says_its_cause(world: Any, tasks: Any, issued: Any, records: Any) -> None:
    await tasks.revoke(issued.granted.task.task_id, "risk rose", world.operator)
    (revoked,) = of(await records(), EventType.REVOCATION)
    (ended,) = of(await records(), EventType.TASK_ENDED)
    assert revoked["details"] == {"cause": "risk rose", "credentials": [issued.granted.credential.jti]}
    assert ended["details"] == {"state": "revoked", "cause": "risk rose", "credentials": 1}
    assert revoked["actor"] == "local:0"


async def test_what_is_refused_is_there_too(world: Any, tasks: Any, records: Any) -> None:
    with pytest.raises(AssayError):
        await tasks.open(world.request("other.read"), world.opener)
    await world.put(replace(world.bot, purpose=""))
    with pytest.raises(AssayError):
        await tasks.open(world.request(), world.opener)
    (refused,) = of(await records(), EventType.DECISION)
    assert refused["details"]["effect"] == "deny"


async def test_an_event_that_json_cannot_say_undoes_the_change_it_tells_of(world: Any, records: Any) -> None:
    before = await records()
    instance = Instance(world.twin, "bot", "entry", "two", "node", 1, 1)
    event = Event(EventType.INSTANCE_SEEN, 1, "assay:test", "x", details={"entry_id": "\ud800"})

    def write(tx: Transaction) -> None:
        record(tx, event, (INSTANCE, instance))

    with pytest.raises(InvalidArgumentError, match="cannot be written down"):
        await world.store.write(write)
    assert await world.get(INSTANCE, world.twin) is None
    assert await records() == before
