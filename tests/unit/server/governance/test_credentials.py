"""Just-in-time credentials: decided, written down, signed, and never longer than what they stand on."""

import asyncio
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.authorize import any_id
from assay.entry import Entry
from assay.errors import PermissionDeniedError
from assay.governed.authority import Access
from assay.governed.digest import authority_hash
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.verify import FixedBundles, JwtVerifier
from assay_server.credential import Issuer
from assay_server.credential.authorities import Authorities
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.credentials import CredentialService, IssuedCredential
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.refusal import AuthorityExceededError, DecisionRefusedError, TaskRefusedError
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.tasksvids import signing
from assay_server.governance.tokens import TaskTokens
from assay_server.model.governed.catalogue import (
    RESOURCE,
    TOOL,
    ActionClass,
    Resource,
    Risk,
    Sensitivity,
    Tool,
)
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.event import EventType
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.owner import OWNER, Owner, OwnerState
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import CREDENTIAL, TASK, Budget, Intent, Task, TaskState

ISSUER = "https://issuer.example"
ALICE = Owner("person:alice@corp")
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read",), state=PrincipalState.ACTIVE,
    risk_class=Risk.LOW, model="acme-4",
)  # fmt: skip
ME = SpiffeId.parse("spiffe://example.org/principal/bot")
ENTRY = Entry(
    "bot", ME, SpiffeId.parse("spiffe://example.org/agent"), (Selector("unix", "uid:1"),), principal="bot"
)  # fmt: skip
KEY = Confirmation(Binding.DPOP, "thumb")


def task_of(now: int, **changes: Any) -> Task:  # noqa: ANN401 - fields of Task
    access = Access(CRM.uri, ("crm.read",))
    task = Task(
        "tsk_1", "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (access,), "sha-256:i", "sha-256:a",
        "operator:local", now, now + 600,
    )  # fmt: skip
    return replace(task, **changes)


def asked(**changes: Any) -> CredentialRequest:  # noqa: ANN401 - fields of CredentialRequest
    return replace(CredentialRequest("tsk_1", ME, CRM.uri, KEY), **changes)


async def put(store: Store, *objects: Any) -> None:  # noqa: ANN401 - governed objects
    nouns: dict[type, Noun[Any]] = {Owner: OWNER, Resource: RESOURCE, Tool: TOOL, Principal: PRINCIPAL, Task: TASK}

    def write(tx: Transaction) -> None:
        for each in objects:
            tx.governed.put(nouns[type(each)], each)

    await store.write(write)


def said(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def now_of(clock: FakeClock) -> int:
    return int(clock.now().timestamp())


@pytest.fixture
async def service(store: Store, clock: FakeClock, authorities: Authorities) -> CredentialService:
    await store.write(lambda tx: tx.entries.create(ENTRY))
    await put(store, ALICE, CRM, READ, BOT, task_of(now_of(clock)))
    tokens = TaskTokens(ISSUER, TrustDomain("example.org"), authorities)
    return CredentialService(store, ShippedPolicy(), clock, tokens.sign, tokens.ends_at, ISSUER)


async def test_the_hash_of_what_a_token_carries_is_made_as_the_tasks_is(
    service: CredentialService, store: Store, clock: FakeClock
) -> None:
    both = (Access(CRM.uri, ("crm.read",)), Access("https://mail/mcp", ("mail.send",)))
    whole = (both[0],)
    await put(
        store,
        task_of(now_of(clock), authority=both, authority_hash=authority_hash(ISSUER, both)),
        task_of(now_of(clock), task_id="tsk_2", authority=whole, authority_hash=authority_hash(ISSUER, whole)),
    )
    part, all_of_it = [(await service.issue(asked(task_id=one))).granted for one in ("tsk_1", "tsk_2")]
    assert part.credential.authority_hash == authority_hash(ISSUER, whole) != part.task.authority_hash
    assert all_of_it.credential.authority_hash == all_of_it.task.authority_hash


async def test_a_token_says_the_task_the_instance_and_its_key(service: CredentialService) -> None:
    issued = await service.issue(asked())
    claims = said(issued.token)
    assert claims["sub"] == claims["client_id"] == str(ME)
    assert (claims["sub_profile"], claims["aud"], claims["cnf"]) == ("ai_agent", CRM.uri, {"jkt": "thumb"})
    assert claims["mission"] == {"id": "tsk_1", "issuer": ISSUER, "authority_hash": "sha-256:a"}
    assert claims["exp"] - claims["iat"] == 300
    detail = {"type": "mission_resource_access", "resource": CRM.uri, "actions": ["crm.read"]}
    assert claims["authorization_details"] == [detail]
    assert "act" not in claims


async def test_on_behalf_of_a_human_the_human_is_subject_and_the_agent_acts(
    service: CredentialService, store: Store, clock: FakeClock
) -> None:
    """Requirement 3."""
    await put(store, task_of(now_of(clock), subject="alice@corp"))
    claims = said((await service.issue(asked())).token)
    assert (claims["sub"], claims["sub_profile"]) == ("alice@corp", "user")
    assert claims["act"] == {"iss": "spiffe://example.org", "sub": str(ME), "sub_profile": "ai_agent"}


async def test_what_was_issued_and_decided_is_written_down(service: CredentialService, store: Store) -> None:
    issued = await service.issue(asked())
    credential = issued.granted.credential
    found = await service.find(credential.jti)
    assert found is not None
    assert found[0] == credential
    decision = await store.read(lambda tx: tx.governed.get(DECISION, credential.decision_id))
    assert decision is not None
    assert decision.allowed
    events, _ = await store.read(lambda tx: tx.events.find(Page(), task_id="tsk_1"))
    assert [one.type for one in events] == [EventType.DECISION, EventType.IDENTITY_ISSUED]
    assert issued.token not in repr(events)
    assert issued.token not in repr(issued)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"task_id": "tsk_2"}, TaskRefusedError),
        ({"instance": SpiffeId.parse("spiffe://example.org/other")}, TaskRefusedError),
        ({"audience": "https://other"}, AuthorityExceededError),
        ({"actions": ("crm.refund",)}, AuthorityExceededError),
    ],
)
async def test_what_the_task_is_not_for_is_refused(
    service: CredentialService, store: Store, changes: dict[str, Any], error: type[PermissionDeniedError]
) -> None:
    with pytest.raises(error):
        await service.issue(asked(**changes))
    assert await store.read(lambda tx: tx.governed.count(CREDENTIAL, ())) == 0


@pytest.mark.parametrize("state", [one for one in TaskState if one is not TaskState.ACTIVE])
async def test_only_an_active_task_hands_out(
    service: CredentialService, store: Store, clock: FakeClock, state: TaskState
) -> None:
    await put(store, task_of(now_of(clock), state=state))
    with pytest.raises(TaskRefusedError):
        await service.issue(asked())


async def test_a_refusal_by_policy_is_written_down_and_says_which(service: CredentialService, store: Store) -> None:
    """Requirement 12: tenants are not crossed; and the answer is looked up by its ID."""
    await put(store, replace(CRM, tenant="other"))
    with pytest.raises(DecisionRefusedError) as refusal:
        await service.issue(asked())
    decision = refusal.value.decision
    assert decision.decision_id in str(refusal.value)
    assert await store.read(lambda tx: tx.governed.get(DECISION, decision.decision_id)) == decision
    assert await store.read(lambda tx: tx.governed.count(CREDENTIAL, ())) == 0


async def test_the_owner_is_asked_for_at_every_request(service: CredentialService, store: Store) -> None:
    """Requirement 24: what changed between two requests changes the answer."""
    await service.issue(asked())
    await put(store, replace(ALICE, state=OwnerState.LEFT))
    with pytest.raises(DecisionRefusedError):
        await service.issue(asked())


async def test_a_withheld_binding_is_nobodys(service: CredentialService, store: Store) -> None:
    await store.write(lambda tx: tx.entries.update(replace(ENTRY, withheld=True)))
    with pytest.raises(TaskRefusedError):
        await service.issue(asked())


async def test_revoking_happens_once(service: CredentialService) -> None:
    jti = (await service.issue(asked())).granted.credential.jti
    assert await service.revoke(jti, actor="local:0", cause="asked")
    assert not await service.revoke(jti, actor="local:0", cause="asked")
    found = await service.find(jti)
    assert found is not None
    assert not found[0].live(0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    left=st.integers(1, 1000),
    ttl=st.integers(0, 2**40),
    ends=st.lists(st.integers(-5, 1000), max_size=2),
)
async def test_no_credential_outlives_what_it_stands_on(
    service: CredentialService, store: Store, clock: FakeClock, left: int, ttl: int, ends: list[int]
) -> None:
    """Requirements 17 and 20: five minutes, the task, the subject's token and the key all bound it."""
    now = now_of(clock)
    await put(store, task_of(now, ends_at=now + left))
    request = asked(requested_ttl=ttl, ends_at=tuple(now + one for one in ends))
    try:
        issued = await service.issue(request)
    except DecisionRefusedError:
        assert min([left, *ends]) <= 0
    else:
        credential = issued.granted.credential
        assert now < credential.expires_at <= min([now + left, now + 300, *request.ends_at])
        assert said(issued.token)["exp"] == credential.expires_at


async def test_many_at_once_are_all_written_down(service: CredentialService, store: Store) -> None:
    issued = await asyncio.gather(*(service.issue(asked()) for _ in range(32)))
    assert len({one.granted.credential.jti for one in issued}) == 32
    assert await store.read(lambda tx: tx.governed.count(CREDENTIAL, [("task", "tsk_1")])) == 32


async def test_tokens_are_calls_of_the_budget_and_counted_exactly(
    service: CredentialService, store: Store, clock: FakeClock
) -> None:
    await put(store, task_of(now_of(clock), budget=Budget(calls=10)))
    answers = await asyncio.gather(*(service.issue(asked()) for _ in range(32)), return_exceptions=True)
    assert sum(isinstance(one, IssuedCredential) for one in answers) == 10
    assert sum(isinstance(one, BudgetSpentError) for one in answers) == 22
    assert await store.read(lambda tx: tx.governed.count(CREDENTIAL, [("task", "tsk_1")])) == 10
    task = await store.read(lambda tx: tx.governed.get(TASK, "tsk_1"))
    assert task is not None
    assert (task.used.calls, task.used.calls_by_action) == (10, {"crm.read": 10})


async def test_what_policy_refuses_uses_up_attempts(service: CredentialService, store: Store, clock: FakeClock) -> None:
    await put(store, task_of(now_of(clock), budget=Budget(attempts=2)), replace(ALICE, state=OwnerState.LEFT))
    for _ in range(2):
        with pytest.raises(DecisionRefusedError):
            await service.issue(asked())
    with pytest.raises(BudgetSpentError, match=r"attempts of crm\.read: 2"):
        await service.issue(asked())
    task = await store.read(lambda tx: tx.governed.get(TASK, "tsk_1"))
    assert task is not None
    assert task.used.calls == 0


async def test_each_credential_has_a_place_of_its_own_however_many_ask_and_fail(
    service: CredentialService, store: Store
) -> None:
    """Requirement 51: a status list tells of one credential and of no other."""

    def fail(tx: Transaction) -> None:
        tx.governed.put(OWNER, ALICE)
        raise PermissionDeniedError("undone")

    asks = [service.issue(asked()) for _ in range(32)]
    undone = [store.write(fail) for _ in range(32)]
    mixed = [one for pair in zip(asks, undone, strict=True) for one in pair]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    indexes = [one.granted.credential.status_index for one in answers if isinstance(one, IssuedCredential)]
    assert len(set(indexes)) == len(indexes) == 32
    assert min(indexes) > 0


async def test_a_token_says_of_what_class_each_of_its_actions_is(service: CredentialService) -> None:
    claims = said((await service.issue(asked())).token)
    assert claims["action_classes"] == {"crm.read": "consequential_read"}


@pytest.mark.usefixtures("service")
async def test_the_jwt_svid_of_a_task_refers_to_its_status_and_stays_a_jwt_svid(
    store: Store, clock: FakeClock, issuer: Issuer, authority: Authority
) -> None:
    sign = signing(issuer, f"{ISSUER}/status")
    svids = CredentialService(store, ShippedPolicy(), clock, sign, lambda: issuer.jwt_ends_at, ISSUER)
    issued = await svids.issue(asked(confirmation=None, kind="jwt-svid"))
    index = issued.granted.credential.status_index
    assert said(issued.token)["status"] == {"status_list": {"idx": index, "uri": f"{ISSUER}/status/0"}}
    verifier = JwtVerifier(FixedBundles(authority.bundle), CRM.uri, any_id(), clock)
    assert verifier.verify(issued.token).spiffe_id == ME
    assert "status" not in said(signing(issuer)(issued.granted)), "where nobody publishes lists"
