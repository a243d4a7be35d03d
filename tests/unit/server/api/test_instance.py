"""The Instances service over real gRPC: each copy of a principal is somebody, and tokens of AI agents are a task's."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from assay.bundle import jwk
from assay.crypto import csr, keys
from assay.entry import Entry
from assay.governed.authority import Access
from assay.keymanager.base import KeyType
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt, wit
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay.wire.service import SVID, served
from assay_proto.instance.v1 import instance_pb2 as pb
from assay_proto.instance.v1.instance_pb2_grpc import InstancesStub
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_server.api.instance import InstanceApi
from assay_server.api.svid import SvidApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits
from assay_server.credential import CredentialSettings, Issuer
from assay_server.datastore.base import Page, Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.governance.credentials import CredentialService, Sign
from assay_server.governance.instances import SEEN_EVERY, Instances
from assay_server.governance.policies import Policies
from assay_server.governance.tasksvids import KIND, WIT_KIND, TaskSvids, TaskWits, signing
from assay_server.model import Node
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.decision import DECISION
from assay_server.model.governed.event import EventType
from assay_server.model.governed.noun import Noun
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import (
    INSTANCE,
    PRINCIPAL,
    ActorType,
    Principal,
    PrincipalState,
)
from assay_server.model.governed.task import CREDENTIAL, TASK, Budget, Intent, Task, TaskState
from assay_server.model.rates import Rates

if TYPE_CHECKING:
    from assay_proto.instance.v1.instance_pb2_grpc import InstancesAsyncStub
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

NOW = int(START.timestamp())
TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
OTHER = SpiffeId.parse("spiffe://example.org/spire/agent/two")
CSR = csr.create(keys.generate(KeyType.EC_P256))
SELECTORS = (Selector("unix", "uid:1"),)
ALICE = Owner("person:alice@corp")
CRM = Resource("https://crm/mcp", "prod", "acme", Sensitivity.INTERNAL)
READ = Tool("crm.read", CRM.uri, ActionClass.CONSEQUENTIAL_READ, Risk.LOW)
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read",), state=PrincipalState.ACTIVE,
    risk_class=Risk.LOW, model="acme-4",
)  # fmt: skip
PUMP = replace(BOT, name="pump", actor_type=ActorType.MACHINE)
BOTS = Entry(
    "bots", SpiffeId(TD, "/principal/bot"), AGENT, SELECTORS, principal="bot", instance_from="unix:process",
    x509_svid_ttl=600, dns_names=("bot.test",),
)  # fmt: skip
PUMPS = replace(BOTS, id="pumps", spiffe_id=SpiffeId(TD, "/principal/pump"), principal="pump", jwt_svid_ttl=60)
ONE_BOT = replace(BOTS, id="one-bot", spiffe_id=SpiffeId(TD, "/principal/one"), instance_from="")
ONE_PUMP = replace(PUMPS, id="one-pump", spiffe_id=SpiffeId(TD, "/principal/one-pump"), instance_from="")
PLAIN = Entry("plain", SpiffeId(TD, "/plain"), AGENT, SELECTORS)
THEIRS = replace(BOTS, id="theirs", parent_id=OTHER)
ENTRIES = (BOTS, PUMPS, ONE_BOT, ONE_PUMP, PLAIN, THEIRS)


def task_of(**changes: Any) -> Task:  # noqa: ANN401 - fields of Task
    task = Task(
        "tsk_1", "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (Access(CRM.uri, ("crm.read",)),),
        "sha-256:i", "sha-256:a", "operator:local", NOW, NOW + 100,
    )  # fmt: skip
    return replace(task, **changes)


@dataclass
class House:
    stub: "InstancesAsyncStub"
    store: SqlStore
    clock: FakeClock

    async def put(self, *objects: Any) -> None:  # noqa: ANN401 - governed objects
        nouns: dict[type, Noun[Any]] = {Owner: OWNER, Resource: RESOURCE, Tool: TOOL, Principal: PRINCIPAL, Task: TASK}

        def write(tx: Transaction) -> None:
            for each in objects:
                tx.governed.put(nouns[type(each)], each)

        await self.store.write(write)

    async def results(self, *params: tuple[str, str]) -> Any:  # noqa: ANN401 - repeated results
        items = [pb.NewX509SVIDParams(entry_id=entry_id, instance=value, csr=CSR) for entry_id, value in params]
        return (await self.stub.BatchNewX509SVID(pb.BatchNewX509SVIDRequest(params=items))).results

    async def path(self, entry_id: str, value: str) -> str:
        (result,) = await self.results((entry_id, value))
        assert result.status.code == 0, result.status.message
        return str(result.svid.id.path)

    async def instances(self) -> Any:  # noqa: ANN401 - instances
        return (await self.store.read(lambda tx: tx.governed.find(INSTANCE, (), Page())))[0]


Houses = Callable[[SpiffeId], Awaitable[House]]


@pytest.fixture
def authority() -> Authority:
    return Authority(wit=True)


@pytest.fixture
def issuer(authorities: Any, clock: FakeClock) -> Issuer:  # noqa: ANN401 - conftest.py's
    return Issuer(TD, authorities, clock, CredentialSettings(wit=True))


@pytest.fixture
async def houses(serve: Serve, store: SqlStore, issuer: Issuer, clock: FakeClock) -> Houses:
    async def make(agent: SpiffeId) -> House:
        def issuing(sign: Sign, ends_at: Callable[[], int] = lambda: issuer.wit_ends_at) -> CredentialService:
            return CredentialService(store, Policies(store), clock, sign, ends_at, str(TD.id))

        credentials = issuing(signing(issuer), lambda: issuer.jwt_ends_at)
        api = InstanceApi(
            issuer,
            AuthorizedEntries(store, TD, clock),
            RateLimits(Rates(), clock),
            Instances(store, clock, TD),
            TaskSvids(store, credentials, clock),
            TaskWits(store, issuing, issuer, clock),
        )
        node = Node(agent, "x509pop", "5", NOW + 3600)
        caller = Caller(CallerKind.AGENT, Credential(agent, "5", NOW + 3600), node, "192.0.2.1:999")
        channel = await serve(served(pb.DESCRIPTOR.services_by_name["Instances"], api), caller)
        return House(InstancesStub(channel), store, clock)

    def fill(tx: Transaction) -> None:
        for agent in (AGENT, OTHER):
            tx.nodes.put(Node(agent, "x509pop", "5", NOW + 3600))
        for entry in ENTRIES:
            tx.entries.create(entry)

    await store.write(fill)
    return make


@pytest.fixture
async def house(houses: Houses) -> House:
    house = await houses(AGENT)
    await house.put(ALICE, CRM, READ, BOT, PUMP)
    return house


async def test_two_copies_are_two_and_the_same_copy_stays_the_same(house: House) -> None:
    """Requirement 4."""
    first, again, second = [await house.path("bots", value) for value in ("a", "a", "b")]
    assert first == again != second
    assert first.startswith("/principal/bot/")
    assert [(one.value, one.node, one.principal) for one in await house.instances()] == [
        ("a", str(AGENT), "bot"),
        ("b", str(AGENT), "bot"),
    ]


async def test_what_is_signed_says_the_instance_and_what_the_entry_says(house: House) -> None:
    (result,) = await house.results(("bots", "a"))
    assert result.svid.expires_at == NOW + 600
    assert b"bot.test" in result.svid.cert_chain[0]


async def test_two_hosts_and_two_principals_do_not_meet(house: House, houses: Houses) -> None:
    await house.store.write(lambda tx: tx.entries.create(replace(BOTS, id="bots-there", parent_id=OTHER)))
    there = await houses(OTHER)
    paths = {await house.path("bots", "a"), await there.path("bots-there", "a"), await house.path("pumps", "a")}
    assert len({path.rpartition("/")[2] for path in paths}) == 3


async def test_the_id_is_by_the_principals_template(house: House) -> None:
    await house.put(replace(BOT, id_template="/agents/{instance}/of/{name}"))
    path = await house.path("bots", "a")
    assert path.startswith("/agents/")
    assert path.endswith("/of/bot")


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (("theirs", "a"), 5, "entry not found or not authorized"),
        (("gone", "a"), 5, "entry not found or not authorized"),
        (("", "a"), 3, "missing entry ID"),
        (("plain", "a"), 9, "entry does not name instances"),
        (("one-bot", "a"), 9, "entry does not name instances"),
        (("bots", ""), 3, "instance has to be 1 to 512 characters"),
        (("bots", "a" * 513), 3, "instance has to be 1 to 512 characters"),
    ],
)
async def test_what_is_not_this_agents_or_no_instance_is_refused_alone(
    house: House, params: tuple[str, str], code: int, message: str
) -> None:
    refused, done = await house.results(params, ("bots", "b"))
    assert (refused.status.code, refused.status.message) == (code, message)
    assert not refused.svid.cert_chain
    assert done.status.code == 0
    assert [one.value for one in await house.instances()] == ["b"]


@pytest.mark.parametrize("template", ["/bots", "/{instance}/../x", "/spire/agent/{name}/{instance}", "{instance}"])
async def test_a_template_that_makes_no_id_of_an_instance_gives_nothing(house: House, template: str) -> None:
    await house.put(replace(BOT, id_template=template))
    (result,) = await house.results(("bots", "a"))
    assert result.status.code in {3, 9}
    assert not await house.instances()


@pytest.mark.parametrize("state", [one for one in PrincipalState if one is not PrincipalState.ACTIVE])
async def test_only_an_active_principal_has_instances(house: House, state: PrincipalState) -> None:
    await house.path("bots", "known")
    await house.put(replace(BOT, state=state))
    for value in ("known", "new"):
        (result,) = await house.results(("bots", value))
        assert (result.status.code, result.status.message) == (7, f"principal is not active: {state.value}")
        error = await refusal(house.stub.NewJWTSVID(token("bots", value)))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert len(await house.instances()) == 1


async def test_a_withheld_binding_is_not_there(house: House) -> None:
    await house.store.write(lambda tx: tx.entries.update(replace(BOTS, withheld=True, revision=1)))
    (result,) = await house.results(("bots", "a"))
    assert result.status.code == 5


async def test_that_it_is_seen_is_written_down_once_an_hour_and_told_once(house: House) -> None:
    await house.path("bots", "a")
    house.clock.advance(SEEN_EVERY - 1)
    await house.path("bots", "a")
    (seen,) = await house.instances()
    assert (seen.first_seen, seen.last_seen) == (NOW, NOW)
    house.clock.advance(1)
    await house.path("bots", "a")
    (seen,) = await house.instances()
    assert (seen.first_seen, seen.last_seen) == (NOW, NOW + SEEN_EVERY)
    events, _ = await house.store.read(lambda tx: tx.events.find(Page(), principal="bot"))
    assert [(one.type, one.actor, one.subject) for one in events] == [
        (EventType.INSTANCE_SEEN, str(AGENT), seen.spiffe_id)
    ]


async def test_an_empty_batch_and_one_that_is_too_large(house: House) -> None:
    error = await refusal(house.stub.BatchNewX509SVID(pb.BatchNewX509SVIDRequest()))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError, match="certificate signing rate limiting"):
        await house.results(*[("bots", "a")] * 501)


async def test_many_at_once_each_get_their_own(house: House) -> None:
    results = await house.results(*[("bots", str(number)) for number in range(60)])
    assert len({one.svid.id.path for one in results}) == 60
    assert len(await house.instances()) == 60


def token(entry_id: str, value: str = "a", *audience: str, task_id: str = "") -> pb.NewJWTSVIDRequest:
    return pb.NewJWTSVIDRequest(entry_id=entry_id, instance=value, audience=audience or (CRM.uri,), task_id=task_id)


async def refusal(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - any kind of call
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def test_an_ai_agents_token_ends_with_its_task_and_is_on_record(house: House, authority: Authority) -> None:
    """Requirements 14 and 20."""
    await house.put(task_of())
    response = await house.stub.NewJWTSVID(token("bots"))
    svid = jwt.verify(response.svid.token, {TD: authority.bundle}, CRM.uri, house.clock.now())
    assert svid.spiffe_id.path == await house.path("bots", "a")
    assert (response.task_id, response.svid.expires_at, svid.claims["exp"]) == ("tsk_1", NOW + 100, NOW + 100)
    (credential,), _ = await house.store.read(lambda tx: tx.governed.find(CREDENTIAL, (), Page()))
    assert (credential.jti, credential.kind, credential.task_id) == (svid.claims["jti"], KIND, "tsk_1")
    assert credential.instance == str(svid.spiffe_id)


async def test_an_ai_agent_without_instances_has_its_tokens_within_a_task_too(house: House) -> None:
    await house.put(task_of())
    response = await house.stub.NewJWTSVID(token("one-bot", ""))
    assert (response.svid.id.path, response.task_id) == ("/principal/one", "tsk_1")


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([], "open a task"),
        ([task_of(state=TaskState.COMPLETED)], "open a task"),
        ([task_of(state=TaskState.UNKNOWN)], "open a task"),
        ([task_of(ends_at=NOW)], "open a task"),
        ([task_of(heartbeat=5, heartbeat_at=NOW - 5)], "open a task"),
        ([task_of(principal="pump")], "open a task"),
        ([task_of(instance="spiffe://example.org/principal/bot/another")], "open a task"),
        ([task_of(authority=(Access("https://other", ("crm.read",)),))], "open a task"),
        ([task_of(), task_of(task_id="tsk_2")], "more than one active task"),
    ],
)
async def test_without_just_one_task_there_is_no_token(house: House, tasks: list[Task], said: str) -> None:
    await house.put(*tasks)
    error = await refusal(house.stub.NewJWTSVID(token("bots")))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert said in str(error.details())
    assert await house.store.read(lambda tx: tx.governed.count(CREDENTIAL, ())) == 0


async def test_of_several_tasks_the_named_one_counts(house: House) -> None:
    await house.put(task_of(), task_of(task_id="tsk_2", ends_at=NOW + 50))
    response = await house.stub.NewJWTSVID(token("bots", task_id="tsk_2"))
    assert (response.task_id, response.svid.expires_at) == ("tsk_2", NOW + 50)


async def test_a_task_of_one_instance_is_not_anothers(house: House) -> None:
    mine = f"spiffe://example.org{await house.path('bots', 'a')}"
    await house.put(task_of(instance=mine))
    assert (await house.stub.NewJWTSVID(token("bots", "a"))).task_id == "tsk_1"
    error = await refusal(house.stub.NewJWTSVID(token("bots", "b")))
    assert "open a task" in str(error.details())


async def test_a_token_within_a_task_is_for_one_audience(house: House) -> None:
    await house.put(task_of())
    error = await refusal(house.stub.NewJWTSVID(token("bots", "a", CRM.uri, "https://other")))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    error = await refusal(house.stub.NewJWTSVID(pb.NewJWTSVIDRequest(entry_id="bots", instance="a")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_policy_decides_on_the_token(house: House) -> None:
    """Requirement 12: what crosses tenants is refused, whatever the task says."""
    await house.put(task_of(), replace(CRM, tenant="other"))
    error = await refusal(house.stub.NewJWTSVID(token("bots")))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "no-crossing-of-tenants" in str(error.details())


async def test_a_machines_token_stands_on_no_task_and_is_the_instances(house: House) -> None:
    response = await house.stub.NewJWTSVID(token("pumps"))
    assert (response.task_id, response.svid.expires_at) == ("", NOW + 60)
    assert response.svid.id.path == await house.path("pumps", "a")


@pytest.mark.parametrize(
    ("entry_id", "value", "code"),
    [
        ("theirs", "a", grpc.StatusCode.NOT_FOUND),
        ("plain", "", grpc.StatusCode.PERMISSION_DENIED),
        ("one-pump", "a", grpc.StatusCode.INVALID_ARGUMENT),
        ("pumps", "", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_tokens_of_other_entries(house: House, entry_id: str, value: str, code: grpc.StatusCode) -> None:
    assert (await refusal(house.stub.NewJWTSVID(token(entry_id, value)))).code() is code


KEY = keys.generate(KeyType.EC_P256)
PKIX = keys.to_pkix(KEY.public_key())


def wits(entry_id: str, value: str = "a", algorithm: str = "ES256", task_id: str = "") -> pb.NewWITSVIDRequest:
    return pb.NewWITSVIDRequest(
        entry_id=entry_id, instance=value, public_key=PKIX, algorithm=algorithm, task_id=task_id
    )


async def test_a_wit_svid_is_the_instances_its_keys_and_its_tasks(house: House, authority: Authority) -> None:
    """Requirements 1, 14 and 20; the record is what a status list or a revocation names it by."""
    await house.put(task_of())
    response = await house.stub.NewWITSVID(wits("bots"))
    svid = wit.verify(response.svid.token, {TD: authority.bundle}, house.clock.now())
    assert svid.spiffe_id.path == await house.path("bots", "a") == response.svid.id.path
    assert (svid.public_key, svid.expires_at, response.task_id) == (PKIX, NOW + 100, "tsk_1")
    (credential,), _ = await house.store.read(lambda tx: tx.governed.find(CREDENTIAL, (), Page()))
    assert (credential.jti, credential.kind, credential.audience) == (svid.claims["jti"], WIT_KIND, "")
    assert credential.confirmation == jwk.thumbprint(jwk.emit(KEY.public_key()))
    decision = await house.store.read(lambda tx: tx.governed.get(DECISION, credential.decision_id))
    assert decision is not None
    assert decision.inputs["question"]["context"]["audience"] == CRM.uri


async def test_a_wit_svid_is_no_call_of_the_budget(house: House) -> None:
    """Or a stream would use it up by renewing."""
    await house.put(task_of(budget=Budget(calls=1)))
    for _ in range(2):
        await house.stub.NewWITSVID(wits("bots"))
    await house.stub.NewJWTSVID(token("bots"))
    assert (await refusal(house.stub.NewJWTSVID(token("bots")))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([], "open a task"),
        ([task_of(state=TaskState.UNKNOWN)], "open a task"),
        ([task_of(ends_at=NOW)], "open a task"),
        ([task_of(instance="spiffe://example.org/principal/bot/another")], "open a task"),
        ([task_of(), task_of(task_id="tsk_2")], "more than one active task"),
    ],
)
async def test_without_just_one_task_an_ai_agent_has_no_wit_svid(house: House, tasks: list[Task], said: str) -> None:
    await house.put(*tasks)
    error = await refusal(house.stub.NewWITSVID(wits("bots")))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert said in str(error.details())
    assert await house.store.read(lambda tx: tx.governed.count(CREDENTIAL, ())) == 0


async def test_of_several_tasks_a_wit_svid_may_name_one(house: House) -> None:
    await house.put(task_of(), task_of(task_id="tsk_2"))
    assert (await house.stub.NewWITSVID(wits("bots", task_id="tsk_2"))).task_id == "tsk_2"
    assert (await house.stub.NewWITSVID(wits("one-bot", "", task_id="tsk_1"))).svid.id.path == "/principal/one"


async def test_a_wit_svid_stands_on_all_that_its_task_may_do(house: House) -> None:
    """Policy refuses one of the tools, and so the token that is good for all; that is no attempt at it."""
    wipe = replace(READ, name="crm.wipe", action_class=ActionClass.IRREVERSIBLE)
    await house.put(wipe, replace(BOT, tools=("crm.read", "crm.wipe")))
    await house.put(task_of(authority=(Access(CRM.uri, ("crm.read", "crm.wipe")),), budget=Budget(attempts=1)))
    for _ in range(2):
        error = await refusal(house.stub.NewWITSVID(wits("bots")))
        assert "approve" in str(error.details())


async def test_machines_have_wit_svids_without_a_task(house: House, authority: Authority) -> None:
    response = await house.stub.NewWITSVID(wits("pumps"))
    svid = wit.verify(response.svid.token, {TD: authority.bundle}, house.clock.now())
    assert (svid.spiffe_id.path, response.task_id) == (await house.path("pumps", "a"), "")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (wits("theirs"), grpc.StatusCode.NOT_FOUND),
        (wits("plain", ""), grpc.StatusCode.PERMISSION_DENIED),
        (wits("bots", ""), grpc.StatusCode.INVALID_ARGUMENT),
        (wits("bots", "a", "none"), grpc.StatusCode.INVALID_ARGUMENT),
        (wits("bots", "a", "ES512"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.NewWITSVIDRequest(entry_id="bots", instance="a", public_key=b"x"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_wit_svids_that_are_not_to_be_had(
    house: House, request_: pb.NewWITSVIDRequest, code: grpc.StatusCode
) -> None:
    await house.put(task_of())
    assert (await refusal(house.stub.NewWITSVID(request_))).code() is code
    assert await house.store.read(lambda tx: tx.governed.count(CREDENTIAL, ())) == 0


async def test_a_principal_in_quarantine_gets_no_token_of_any_kind(house: House) -> None:
    await house.put(replace(BOT, quarantined=True), replace(PUMP, quarantined=True), task_of())
    for entry_id in ("bots", "pumps"):
        for call in (house.stub.NewJWTSVID(token(entry_id)), house.stub.NewWITSVID(wits(entry_id))):
            error = await refusal(call)
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED
            assert error.details() == "principal is in quarantine"
    assert await house.path("bots", "a")


@pytest.fixture
async def spires(serve: Serve, house: House, issuer: Issuer) -> "SVIDAsyncStub":
    """SPIRE's SVID service beside it."""
    caller = Caller(
        CallerKind.AGENT, Credential(AGENT, "5", NOW + 3600), Node(AGENT, "x509pop", "5", NOW + 3600), "192.0.2.1:999"
    )
    authorized = AuthorizedEntries(house.store, TD, house.clock)
    api = SvidApi(TD, issuer, authorized, RateLimits(Rates(), house.clock), house.store)
    return SVIDStub(await serve(served(SVID, api), caller))


async def test_spires_api_signs_nothing_for_entries_that_name_instances(spires: "SVIDAsyncStub") -> None:
    params = [svid_pb2.NewX509SVIDParams(entry_id=one, csr=CSR) for one in ("bots", "pumps", "one-bot", "plain")]
    results = (await spires.BatchNewX509SVID(svid_pb2.BatchNewX509SVIDRequest(params=params))).results
    assert [one.status.code for one in results] == [7, 7, 0, 0]


async def test_spires_api_mints_no_token_for_an_ai_agent(spires: "SVIDAsyncStub", house: House) -> None:
    """Requirement 14; whoever is not known might be one."""
    await house.put(task_of())
    await house.store.write(
        lambda tx: tx.entries.create(replace(ONE_BOT, id="nobodys", spiffe_id=SpiffeId(TD, "/x"), principal="ghost"))
    )
    for entry_id in ("one-bot", "bots", "pumps", "nobodys"):
        error = await refusal(spires.NewJWTSVID(svid_pb2.NewJWTSVIDRequest(entry_id=entry_id, audience=[CRM.uri])))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED, entry_id
    for entry_id in ("one-pump", "plain"):
        response = await spires.NewJWTSVID(svid_pb2.NewJWTSVIDRequest(entry_id=entry_id, audience=[CRM.uri]))
        assert response.svid.token
    await house.put(replace(PUMP, quarantined=True))
    error = await refusal(spires.NewJWTSVID(svid_pb2.NewJWTSVIDRequest(entry_id="one-pump", audience=[CRM.uri])))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
