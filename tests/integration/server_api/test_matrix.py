"""Every kind of caller times every RPC, over real TLS and the real admin socket, against one table of SPIRE's policy.

The table is written out a second time here, from SPIRE's policy rather than from our own rules.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio

from assay.clock import SystemClock
from assay.errors import DenialReason
from assay.spiffeid import SpiffeId
from assay.testing.clock import FakeClock
from assay_server.authorization.table import RPCS

if TYPE_CHECKING:
    from tests.integration.server_api.conftest import House, Identity, Outcome, Running
else:
    House = Identity = Outcome = Running = object

Refusal = tuple[grpc.StatusCode, str, DenialReason | None]

# L: the admin socket. A: administrators. G: agents. D: downstream. *: anyone.
POLICY = """
    spire.api.server.agent.v1.Agent
        LA CountAgents ListAgents GetAgent DeleteAgent BanAgent CreateJoinToken
        G  RenewAgent PostStatus
        *  AttestAgent
    spire.api.server.bundle.v1.Bundle
        LA CountBundles AppendBundle ListFederatedBundles BatchCreateFederatedBundle BatchUpdateFederatedBundle
        LA BatchSetFederatedBundle BatchDeleteFederatedBundle
        LAG GetFederatedBundle
        D  PublishJWTAuthority PublishWITAuthority
        *  GetBundle
    spire.api.server.entry.v1.Entry
        LA CountEntries ListEntries GetEntry BatchCreateEntry BatchUpdateEntry BatchDeleteEntry
        G  GetAuthorizedEntries SyncAuthorizedEntries
    spire.api.server.svid.v1.SVID
        LA MintX509SVID MintJWTSVID MintWITSVID
        G  BatchNewX509SVID NewJWTSVID BatchNewWITSVID
        D  NewDownstreamX509CA
    spire.api.server.trustdomain.v1.TrustDomain
        LA ListFederationRelationships GetFederationRelationship BatchCreateFederationRelationship
        LA BatchUpdateFederationRelationship BatchDeleteFederationRelationship RefreshBundle
    spire.api.server.localauthority.v1.LocalAuthority
        LA GetJWTAuthorityState PrepareJWTAuthority ActivateJWTAuthority TaintJWTAuthority RevokeJWTAuthority
        LA GetX509AuthorityState PrepareX509Authority ActivateX509Authority TaintX509Authority RevokeX509Authority
        LA GetWITAuthorityState PrepareWITAuthority ActivateWITAuthority TaintWITAuthority RevokeWITAuthority
        LA TaintX509UpstreamAuthority RevokeX509UpstreamAuthority
    spire.api.server.debug.v1.Debug
        L  GetInfo
    spire.api.server.logger.v1.Logger
        L  GetLogger SetLogLevel ResetLogLevel
    grpc.health.v1.Health
        L  Check List Watch
    assay.sync.v1.Sync
        G  Watch
    assay.ledger.v1.Ledger
        LA List Export ListCheckpoints MakeCheckpoint Keys Prune
    assay.ledger.v1.Replays
        LA Explain
    assay.governance.v1.Owners
        LA Add Leave Return Get List
    assay.governance.v1.Principals
        LA Register Update Activate Suspend Resume Retire Get List Bind Unbind ListBindings
        LA SetRisk Quarantine Release
    assay.governance.v1.Catalogue
        LA AddResource UpdateResource RemoveResource GetResource ListResources
        LA AddTool UpdateTool RemoveTool GetTool ListTools
        LA AddGrant UpdateGrant RemoveGrant GetGrant ListGrants
    assay.policy.v1.Policies
        LA Push Rollback Live List Get Explain Diff
    assay.instance.v1.Instances
        G  BatchNewX509SVID NewJWTSVID NewWITSVID
    assay.status.v1.AgentStatus
        G  Watch
    assay.task.v1.AgentTasks
        G  Open Get List Credential Decide Narrow Complete Heartbeat Watch
    assay.task.v1.OperatorTasks
        LA Open OpenForEvent Show List Decide Narrow Complete Suspend Resume Revoke
    assay.revocation.v1.Revocations
        LA Preview Revoke
    grpc.reflection.v1.ServerReflection
        L  ServerReflectionInfo
    grpc.reflection.v1alpha.ServerReflection
        L  ServerReflectionInfo
"""


def _policy() -> dict[str, str]:
    rules: dict[str, str] = {}
    service = ""
    for first, *others in (line.split() for line in POLICY.strip().splitlines()):
        if not others:
            service = first
        for method in others:
            rules[f"/{service}/{method}"] = first
    return rules


WHO = _policy()
GET_AUTHORIZED = "/spire.api.server.entry.v1.Entry/GetAuthorizedEntries"


@dataclass(frozen=True)
class Kind:
    """One kind of caller: what it is admitted as, and what it learns when an RPC is for agents and it is none."""

    letters: str
    agents: DenialReason | None = None
    refused_by_tls: bool = False
    local: bool = False


KINDS: Mapping[str, Kind] = {
    "none": Kind("*"),
    "local": Kind("*L", local=True),
    "admin by admin_ids": Kind("*A", DenialReason.AGENT_NOT_ATTESTED),
    "foreign admin by admin_ids": Kind("*A", DenialReason.AGENT_NOT_ATTESTED),
    "admin by entry": Kind("*A", DenialReason.AGENT_NOT_ATTESTED),
    "downstream": Kind("*D", DenialReason.AGENT_NOT_ATTESTED),
    "workload": Kind("*", DenialReason.AGENT_NOT_ATTESTED),
    "agent": Kind("*G"),
    "agent, serial before renewal": Kind("*", DenialReason.AGENT_NOT_ACTIVE),
    "agent, serial after renewal": Kind("*G"),
    "agent, renewed serial never used": Kind("*G"),
    "agent, expired": Kind("*", DenialReason.AGENT_EXPIRED),
    "agent, banned": Kind("*", DenialReason.AGENT_BANNED),
    "agent, deleted": Kind("*", DenialReason.AGENT_NOT_ATTESTED),
    # Whether somebody is an administrator comes before what an agent's row says.
    "agent, banned, admin by admin_ids": Kind("*A", DenialReason.AGENT_BANNED),
    "foreign": Kind("", refused_by_tls=True),
    "foreign with our administrator's ID": Kind("", refused_by_tls=True),
    "foreign with our agent's ID": Kind("", refused_by_tls=True),
}


def expected(rpc: str, kind: Kind) -> Refusal | None:
    """How the call is refused; None when it is admitted."""
    who = WHO[rpc]
    if kind.refused_by_tls:
        return grpc.StatusCode.UNAVAILABLE, "", None
    if set(kind.letters) & set(who):
        return None
    if who == "L":
        return grpc.StatusCode.UNIMPLEMENTED, f"unknown service {rpc[1:].rpartition('/')[0]}", None
    reason = kind.agents if "G" in who else None
    return grpc.StatusCode.PERMISSION_DENIED, f"authorization denied for method {rpc}", reason


def matches(found: Outcome, wanted: Refusal | None) -> bool:
    if wanted is None:
        # What an admitted caller is told of an empty request is the handler's business.
        return not found.words.startswith(("authorization denied", "unknown service")) and found.reason is None
    if wanted[0] is grpc.StatusCode.UNAVAILABLE:
        return found.code is wanted[0]
    return found == wanted


class Callers:
    """A channel for each kind of caller, to one server."""

    def __init__(self, house: House, stack: AsyncExitStack) -> None:
        self.house = house
        self._stack = stack
        self.channels: dict[str, grpc.aio.Channel] = {}

    async def enter(self, kind: str, identity: Identity | None = None) -> None:
        self.channels[kind] = await self._stack.enter_async_context(self.house.dial(identity))

    async def agent(self, kind: str, token: str = "") -> SpiffeId:
        """A new agent that has called."""
        spiffe_id, identity = await self.house.attest(token)
        await self.enter(kind, identity)
        await self.call(kind)
        return spiffe_id

    async def call(self, kind: str) -> None:
        """Have it connect now, while its SVID is good."""
        found = await self.house.outcome(self.channels[kind], "/spire.api.server.bundle.v1.Bundle/GetBundle")
        assert found.code is grpc.StatusCode.OK


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(running: Running) -> AsyncIterator[Callers]:
    # Agents that attest now have ten minutes left when the clock shows the machine's time, by which OpenSSL goes.
    clock = FakeClock(SystemClock().now() - timedelta(seconds=3000))
    async with running(clock) as house, AsyncExitStack() as stack:
        callers = Callers(house, stack)
        await callers.agent("agent, expired")
        clock.advance(3000)
        await house.federate()
        await _by_id(house, callers)
        await _by_row(house, callers)
        clock.advance(601)
        yield callers


async def _by_id(house: House, callers: Callers) -> None:
    callers.channels["local"] = house.admin
    await callers.enter("none")
    await callers.enter("admin by admin_ids", await house.mint(house.ADMIN))
    await callers.enter("foreign admin by admin_ids", house.forged(house.FOREIGN_ADMIN))
    await callers.enter("foreign", house.forged(SpiffeId(house.foreign.trust_domain, "/workload")))
    await callers.enter("foreign with our administrator's ID", house.forged(house.ADMIN))
    for kind in ("admin by entry", "downstream", "workload"):
        spiffe_id = SpiffeId(house.ADMIN.trust_domain, f"/{kind.replace(' ', '-')}")
        await house.register(spiffe_id, spiffe_id, admin=kind == "admin by entry", downstream=kind == "downstream")
        await callers.enter(kind, await house.mint(spiffe_id))


async def _by_row(house: House, callers: Callers) -> None:
    agent = await callers.agent("agent")
    await callers.enter("foreign with our agent's ID", house.forged(agent))
    _, first = await house.attest()
    await callers.enter("agent, serial before renewal", first)
    second = await house.renew(first)
    await callers.enter("agent, serial after renewal", second)
    used = await house.outcome(
        callers.channels["agent, serial after renewal"], "/spire.api.server.entry.v1.Entry/GetAuthorizedEntries"
    )
    assert used.code is grpc.StatusCode.OK
    _, third = await house.attest()
    await callers.enter("agent, renewed serial never used", await house.renew(third))
    await house.ban(await callers.agent("agent, banned"))
    await house.evict(await callers.agent("agent, deleted"))
    await house.ban(await callers.agent("agent, banned, admin by admin_ids", token="chief"))


def test_the_table_has_every_rpc() -> None:
    assert WHO.keys() == RPCS.keys()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS)
async def test_each_rpc_admits_whom_spire_admits_and_refuses_others_in_its_words(callers: Callers, kind: str) -> None:
    channel = callers.channels[kind]
    wrong: dict[str, tuple[Outcome, Refusal | None]] = {}
    for rpc in WHO:
        found, wanted = await callers.house.outcome(channel, rpc), expected(rpc, KINDS[kind])
        if not matches(found, wanted):
            wrong[rpc] = (found, wanted)
    assert not wrong
