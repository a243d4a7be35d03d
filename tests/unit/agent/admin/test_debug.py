"""What the agent tells of itself over real gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio

from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.wire import spiffeid
from assay_agent.cache import Update
from assay_proto.spire.api.agent.debug.v1 import debug_pb2 as pb
from assay_proto.spire.api.agent.debug.v1.debug_pb2_grpc import DebugStub

if TYPE_CHECKING:
    from tests.unit.agent.admin.conftest import Admin
    from tests.unit.agent.conftest import LocalAgent

SELECTORS = "sa:web"


@pytest.fixture
def clock(authority: Authority) -> FakeClock:
    return FakeClock(authority.now)


async def info(admin: Admin) -> pb.GetInfoResponse:
    async with admin.channel() as channel:
        answer: pb.GetInfoResponse = await DebugStub(channel).GetInfo(pb.GetInfoRequest())
        return answer


async def test_the_agent_is_known_by_its_svid_and_the_authority_behind_it(admin: Admin, authority: Authority) -> None:
    svid = authority.x509_svid("/spire/agent/x")
    admin.chain = svid.chain
    agent, root = (await info(admin)).svid_chain
    assert agent.id == spiffeid.to_proto(SpiffeId(TrustDomain("example.org"), "/spire/agent/x"))
    assert agent.expires_at == svid.not_after
    assert not root.HasField("id")  # this authority has no SPIFFE ID
    assert root.subject == authority.root.certificate.subject.rfc4514_string()


async def test_it_tells_what_it_keeps_how_long_it_runs_and_when_it_synced(
    admin: Admin, agent: LocalAgent, clock: FakeClock
) -> None:
    web = agent.register("a", "/web", SELECTORS)
    agent.register("b", "/db", SELECTORS)
    agent.cache.apply(Update(entries=[agent.entry("c", "/unsigned", SELECTORS)]))
    for audience in ("x", "y", "z"):
        await admin.jwts.fetch(web, [audience])
    admin.last_sync = 1234.5
    clock.advance(61)
    found = await info(admin)
    assert (found.uptime, found.last_sync_success) == (61, 1234)
    assert (found.cached_x509_svids_count, found.svids_count, found.cached_jwt_svids_count) == (2, 2, 3)
    assert found.cached_svidstore_x509_svids_count == 0


async def test_an_agent_that_is_not_attested_yet_has_no_svid_to_tell_of(admin: Admin) -> None:
    found = await info(admin)
    assert (list(found.svid_chain), found.last_sync_success) == ([], 0)


async def test_an_answer_is_given_again_for_five_seconds(admin: Admin, agent: LocalAgent, clock: FakeClock) -> None:
    assert (await info(admin)).cached_x509_svids_count == 0
    agent.register("a", "/web", SELECTORS)
    clock.advance(4.9)
    assert (await info(admin)).cached_x509_svids_count == 0
    clock.advance(0.2)
    assert (await info(admin)).cached_x509_svids_count == 1


async def test_an_svid_that_no_authority_stands_behind_is_an_internal_error(admin: Admin) -> None:
    admin.chain = Authority("example.org").x509_svid("/spire/agent/x").chain
    with pytest.raises(aio.AioRpcError) as refusal:
        await info(admin)
    assert refusal.value.code() is grpc.StatusCode.INTERNAL
    assert (refusal.value.details() or "").startswith("failed to verify agent SVID: ")
