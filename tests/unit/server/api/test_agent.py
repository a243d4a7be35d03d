"""The Agent service over real gRPC, on a real store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography import x509
from google.protobuf.wrappers_pb2 import BoolValue

from assay.crypto import csr, keys
from assay.errors import DenialReason, InvalidArgumentError
from assay.keymanager.base import KeyType
from assay.plugin.nodeattestor import AttestedNode
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import START, FakeClock
from assay.wire import service
from assay.wire.status import denial_reason
from assay_proto.spire.api.server.agent.v1 import agent_pb2 as pb
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.types import agent_pb2, attestation_pb2, selector_pb2, spiffeid_pb2
from assay_server.api.agent import AgentApi
from assay_server.api.agent_filter import expires_before
from assay_server.attestation.nodes import NodeService
from assay_server.attestation.service import AttestationService
from assay_server.attestation.tokens import JoinTokens
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.nodes import NodeRows
from assay_server.authorization.ratelimit import RateLimits
from assay_server.credential import Issuer
from assay_server.datastore.base import EntryFilter
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node
from assay_server.model.rates import Rates
from assay_server.plugins.nodeattestor_join_token import JoinTokenAttestor

if TYPE_CHECKING:
    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

NOW = int(START.timestamp())
TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/scripted/one")
NODE = Node(AGENT, "scripted", "5", NOW + 100, selectors=(Selector("os", "linux"), Selector("zone", "north")))
OTHER = Node(SpiffeId(TD, "/spire/agent/join_token/two"), "join_token", "", NOW + 500, can_reattest=True)
KEY = keys.generate(KeyType.EC_P256)
CSR = csr.create(KEY)
PATH = "/spire/agent/scripted/one"


class Scripted:
    async def attest(self, _payload: bytes, challenge: Callable[[bytes], Awaitable[bytes]]) -> AttestedNode:
        for question in (b"one", b"two"):
            if await challenge(question) != b"answer to " + question:
                raise InvalidArgumentError("wrong answer")
        return AttestedNode(AGENT, (Selector("scripted", "yes"),), can_reattest=True)


@dataclass
class House:
    stub: "AgentAsyncStub"
    store: SqlStore
    clock: FakeClock

    async def put(self, *nodes: Node) -> None:
        for node in nodes:
            await self.store.write(lambda tx, node=node: tx.nodes.put(node))  # type: ignore[misc]

    async def node(self, agent: SpiffeId = AGENT) -> Node | None:
        return await self.store.read(lambda tx: tx.nodes.get(agent))


Houses = Callable[[Caller], Awaitable[House]]
LOCAL = Caller(CallerKind.LOCAL)
ANONYMOUS = Caller(CallerKind.ANONYMOUS, address="192.0.2.1:999")
AN_AGENT = Caller(CallerKind.AGENT, Credential(AGENT, "5", NOW + 100), NODE, "192.0.2.1:999")


@pytest.fixture
def houses(serve: Serve, store: SqlStore, issuer: Issuer, clock: FakeClock) -> Houses:
    async def make(caller: Caller) -> House:
        rows = NodeRows(store)
        tokens = JoinTokens(store, clock, TD)
        attestors: dict[str, Any] = {"scripted": Scripted(), "join_token": JoinTokenAttestor(tokens)}
        api = AgentApi(
            TD,
            AttestationService(TD, attestors, rows, issuer),
            NodeService(store, rows, issuer, clock),
            tokens,
            RateLimits(Rates(), clock),
        )
        channel = await serve(service.served(service.AGENT, api), caller)
        return House(AgentStub(channel), store, clock)

    return make


@pytest.fixture
async def admin(houses: Houses) -> House:
    return await houses(LOCAL)


def message(agent: SpiffeId = AGENT) -> spiffeid_pb2.SPIFFEID:
    return spiffeid_pb2.SPIFFEID(trust_domain=agent.trust_domain.name, path=agent.path)


def params(kind: str = "scripted", payload: bytes = b"proof", der: bytes = CSR) -> pb.AttestAgentRequest:
    return pb.AttestAgentRequest(
        params=pb.AttestAgentRequest.Params(
            data=attestation_pb2.AttestationData(type=kind, payload=payload), params=pb.AgentX509SVIDParams(csr=der)
        )
    )


async def refusal(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - any kind of call
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def test_agents_are_listed_counted_and_got(admin: House) -> None:
    await admin.put(NODE, OTHER)
    listed = await admin.stub.ListAgents(pb.ListAgentsRequest())
    assert [agent.id.path for agent in listed.agents] == [PATH, OTHER.spiffe_id.path]
    assert (await admin.stub.CountAgents(pb.CountAgentsRequest())).count == 2
    assert await admin.stub.GetAgent(pb.GetAgentRequest(id=message())) == agent_pb2.Agent(
        id=message(),
        attestation_type="scripted",
        x509svid_serial_number="5",
        x509svid_expires_at=NOW + 100,
        selectors=[
            selector_pb2.Selector(type="os", value="linux"),
            selector_pb2.Selector(type="zone", value="north"),
        ],
    )
    assert (await admin.stub.GetAgent(pb.GetAgentRequest(id=message(OTHER.spiffe_id)))).banned


async def test_masks_leave_what_they_name(admin: House) -> None:
    await admin.put(NODE)
    mask = agent_pb2.AgentMask(attestation_type=True)
    expected = agent_pb2.Agent(id=message(), attestation_type="scripted")
    assert await admin.stub.GetAgent(pb.GetAgentRequest(id=message(), output_mask=mask)) == expected
    assert list((await admin.stub.ListAgents(pb.ListAgentsRequest(output_mask=mask))).agents) == [expected]
    empty = pb.GetAgentRequest(id=message(), output_mask=agent_pb2.AgentMask())
    assert await admin.stub.GetAgent(empty) == agent_pb2.Agent(id=message())


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"by_attestation_type": "join_token"}, [OTHER]),
        ({"by_banned": BoolValue(value=True)}, [OTHER]),
        ({"by_banned": BoolValue(value=False)}, [NODE]),
        ({"by_can_reattest": BoolValue(value=True)}, [OTHER]),
        ({"by_expires_before": "2026-01-01 00:03:00 +0000 +00"}, [NODE]),
        (
            {
                "by_selector_match": selector_pb2.SelectorMatch(
                    selectors=[selector_pb2.Selector(type="os", value="linux")],
                    match=selector_pb2.SelectorMatch.MATCH_SUPERSET,
                )
            },
            [NODE],
        ),
        ({}, [NODE, OTHER]),
    ],
)
async def test_filters(admin: House, where: dict[str, Any], found: list[Node]) -> None:
    await admin.put(NODE, OTHER)
    listed = await admin.stub.ListAgents(pb.ListAgentsRequest(filter=pb.ListAgentsRequest.Filter(**where)))
    assert [agent.id.path for agent in listed.agents] == [node.spiffe_id.path for node in found]
    counted = await admin.stub.CountAgents(pb.CountAgentsRequest(filter=pb.CountAgentsRequest.Filter(**where)))
    assert counted.count == len(found)


async def test_pages(admin: House) -> None:
    await admin.put(NODE, OTHER)
    first = await admin.stub.ListAgents(pb.ListAgentsRequest(page_size=1))
    second = await admin.stub.ListAgents(pb.ListAgentsRequest(page_size=1, page_token=first.next_page_token))
    assert [page.agents[0].id.path for page in (first, second)] == [PATH, OTHER.spiffe_id.path]


def test_expiries_are_written_as_in_go() -> None:
    assert expires_before("2026-01-01 02:00:00 +0200 +02") == NOW


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (pb.ListAgentsRequest.Filter(by_expires_before="tomorrow"), 'failed to parse expiry "tomorrow"'),
        (
            pb.ListAgentsRequest.Filter(
                by_selector_match=selector_pb2.SelectorMatch(selectors=[selector_pb2.Selector(value="x")])
            ),
            "failed to parse selectors: missing selector type",
        ),
        (
            pb.ListAgentsRequest.Filter(
                by_selector_match=selector_pb2.SelectorMatch(
                    selectors=[selector_pb2.Selector(type="t", value="x")],
                    match=9,  # type: ignore[arg-type]
                )
            ),
            "failed to parse selectors: unhandled match behavior 9",
        ),
    ],
)
async def test_malformed_filters(admin: House, where: pb.ListAgentsRequest.Filter, reason: str) -> None:
    error = await refusal(admin.stub.ListAgents(pb.ListAgentsRequest(filter=where)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(reason)


async def test_ban_and_delete(admin: House) -> None:
    await admin.put(NODE)
    await admin.stub.BanAgent(pb.BanAgentRequest(id=message()))
    assert await admin.node() == replace(NODE, serial="")
    await admin.stub.DeleteAgent(pb.DeleteAgentRequest(id=message()))
    assert await admin.node() is None


@pytest.mark.parametrize("rpc", ["GetAgent", "BanAgent", "DeleteAgent"])
@pytest.mark.parametrize(
    ("spiffe_id", "code", "reason"),
    [
        (message(), grpc.StatusCode.NOT_FOUND, "agent not found"),
        (spiffeid_pb2.SPIFFEID(), grpc.StatusCode.INVALID_ARGUMENT, "invalid agent ID: trust domain is missing"),
        (None, grpc.StatusCode.INVALID_ARGUMENT, "invalid agent ID: request must specify SPIFFE ID"),
        (
            spiffeid_pb2.SPIFFEID(trust_domain="Example.org", path="/spire/agent/x"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid agent ID: trust domain characters are limited",
        ),
        (
            spiffeid_pb2.SPIFFEID(trust_domain="other.test", path="/spire/agent/x"),
            grpc.StatusCode.INVALID_ARGUMENT,
            'invalid agent ID: "spiffe://other.test/spire/agent/x" is not a member of trust domain "example.org"',
        ),
        (
            spiffeid_pb2.SPIFFEID(trust_domain="example.org", path="/workload"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "path is not in the agent namespace",
        ),
    ],
)
async def test_ids_that_are_no_agents(
    admin: House, rpc: str, spiffe_id: spiffeid_pb2.SPIFFEID | None, code: grpc.StatusCode, reason: str
) -> None:
    request = getattr(pb, f"{rpc}Request")(id=spiffe_id)
    error = await refusal(getattr(admin.stub, rpc)(request))
    assert error.code() is code
    assert reason in (error.details() or "")


async def test_attestation_is_a_conversation(houses: Houses) -> None:
    house = await houses(ANONYMOUS)
    call = house.stub.AttestAgent()
    await call.write(params())
    for question in (b"one", b"two"):
        response = await call.read()
        assert isinstance(response, pb.AttestAgentResponse)
        assert response.challenge == question
        await call.write(pb.AttestAgentRequest(challenge_response=b"answer to " + question))
    response = await call.read()
    assert isinstance(response, pb.AttestAgentResponse)
    svid = response.result.svid
    leaf = x509.load_der_x509_certificate(svid.cert_chain[0])
    assert (svid.id, response.result.reattestable) == (message(), True)
    assert svid.expires_at == int(leaf.not_valid_after_utc.timestamp())
    assert leaf.public_key() == KEY.public_key()
    assert await call.read() is grpc.aio.EOF
    node = await house.node()
    assert node is not None
    assert node.serial == str(leaf.serial_number)


async def test_a_join_token_over_the_wire_serves_once(houses: Houses) -> None:
    house = await houses(ANONYMOUS)
    await JoinTokens(house.store, house.clock, TD).create(60, "abc")
    response = await house.stub.AttestAgent(iter([params("join_token", b"abc")])).read()
    assert isinstance(response, pb.AttestAgentResponse)
    assert response.result.svid.id.path == "/spire/agent/join_token/abc"
    house.clock.advance(1)
    error = await refusal(house.stub.AttestAgent(iter([params("join_token", b"abc")])).read())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    reason = "failed to attest: join token does not exist or has already been used"
    assert (error.details() or "").startswith(reason)


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        ([], grpc.StatusCode.INVALID_ARGUMENT, "failed to receive request from stream: EOF"),
        (
            [pb.AttestAgentRequest(challenge_response=b"x")],
            grpc.StatusCode.INVALID_ARGUMENT,
            "malformed param: missing params",
        ),
        ([pb.AttestAgentRequest()], grpc.StatusCode.INVALID_ARGUMENT, "malformed param: missing params"),
        (
            [pb.AttestAgentRequest(params=pb.AttestAgentRequest.Params())],
            grpc.StatusCode.INVALID_ARGUMENT,
            "malformed param: missing attestation data",
        ),
        (
            [
                pb.AttestAgentRequest(
                    params=pb.AttestAgentRequest.Params(data=attestation_pb2.AttestationData(type="x"))
                )
            ],
            grpc.StatusCode.INVALID_ARGUMENT,
            "malformed param: missing X509-SVID parameters",
        ),
        ([params(der=b"")], grpc.StatusCode.INVALID_ARGUMENT, "malformed param: missing CSR"),
        ([params(kind="")], grpc.StatusCode.INVALID_ARGUMENT, "malformed param: missing attestation data type"),
        ([params(payload=b"")], grpc.StatusCode.INVALID_ARGUMENT, "malformed param: missing attestation data payload"),
        ([params(kind="sshpop")], grpc.StatusCode.FAILED_PRECONDITION, "could not find node attestor type"),
        ([params()], grpc.StatusCode.INVALID_ARGUMENT, "failed to receive challenge from agent: EOF"),
        ([params(), params()], grpc.StatusCode.INVALID_ARGUMENT, "nodeattestor(scripted): wrong answer"),
    ],
)
async def test_conversations_that_lead_nowhere(
    houses: Houses, messages: list[pb.AttestAgentRequest], code: grpc.StatusCode, reason: str
) -> None:
    house = await houses(ANONYMOUS)

    async def read_all() -> None:
        async for _ in house.stub.AttestAgent(iter(messages)):
            pass

    error = await refusal(read_all())
    assert error.code() is code
    assert reason in (error.details() or "")
    assert await house.node() is None


async def test_attestations_from_one_address_wait_their_turn(houses: Houses) -> None:
    house = await houses(ANONYMOUS)
    await refusal(house.stub.AttestAgent(iter([params("x")])).read())
    second = house.stub.AttestAgent(iter([params("x")]))
    await house.clock.wait_sleepers()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(refusal(second.read()))
        house.clock.advance(1)


async def test_renewal(houses: Houses) -> None:
    house = await houses(AN_AGENT)
    await house.put(NODE)
    response = await house.stub.RenewAgent(pb.RenewAgentRequest(params=pb.AgentX509SVIDParams(csr=CSR)))
    leaf = x509.load_der_x509_certificate(response.svid.cert_chain[0])
    node = await house.node()
    assert node is not None
    assert (node.serial, node.new_serial) == ("5", str(leaf.serial_number))
    assert response.svid.id == message()


async def test_renewal_without_parameters(houses: Houses) -> None:
    house = await houses(AN_AGENT)
    await house.put(NODE)
    for request, reason in (
        (pb.RenewAgentRequest(), "params cannot be nil"),
        (pb.RenewAgentRequest(params=pb.AgentX509SVIDParams()), "missing CSR"),
    ):
        error = await refusal(house.stub.RenewAgent(request))
        assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_renewal_of_an_agent_that_must_attest_again(houses: Houses) -> None:
    house = await houses(AN_AGENT)
    await house.put(replace(NODE, can_reattest=True))
    for request in (pb.RenewAgentRequest(params=pb.AgentX509SVIDParams(csr=CSR)), pb.RenewAgentRequest()):
        error = await refusal(house.stub.RenewAgent(request))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "agent must reattest instead of renew",
        )
        assert denial_reason(error.trailing_metadata()) is DenialReason.AGENT_MUST_REATTEST


async def test_status(houses: Houses) -> None:
    house = await houses(AN_AGENT)
    await house.put(NODE)
    await house.stub.PostStatus(pb.PostStatusRequest(agent_version="1.15.3"))
    assert await house.node() == replace(NODE, agent_version="1.15.3")


async def test_a_join_token_is_made(admin: House) -> None:
    token = await admin.stub.CreateJoinToken(pb.CreateJoinTokenRequest(ttl=60, token="abc"))
    assert (token.value, token.expires_at) == ("abc", NOW + 60)


async def test_a_join_token_with_an_alias(admin: House) -> None:
    alias = spiffeid_pb2.SPIFFEID(trust_domain="example.org", path="/node")
    await admin.stub.CreateJoinToken(pb.CreateJoinTokenRequest(ttl=60, agent_id=alias))
    assert await admin.store.read(lambda tx: tx.entries.count(EntryFilter(spiffe_id=SpiffeId(TD, "/node")))) == 1


@pytest.mark.parametrize(
    ("request_message", "reason"),
    [
        (pb.CreateJoinTokenRequest(), "ttl is required, you must provide one"),
        (
            pb.CreateJoinTokenRequest(ttl=1, agent_id=spiffeid_pb2.SPIFFEID()),
            "invalid agent ID: trust domain is missing",
        ),
        (pb.CreateJoinTokenRequest(ttl=1, agent_id=message()), "path is in the reserved namespace"),
    ],
)
async def test_join_tokens_that_are_not_made(
    admin: House, request_message: pb.CreateJoinTokenRequest, reason: str
) -> None:
    error = await refusal(admin.stub.CreateJoinToken(request_message))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in (error.details() or "")
