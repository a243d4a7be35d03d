"""The sources of bundles alone, and how verifiers use them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode

from assay import authorize
from assay.bundle import jwks
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority
from assay.testing.wait import until
from assay.verify import JwtVerifier, RefusedError, X509Verifier
from assay.workloadapi import JwtBundleSource, MalformedResponseError, NoIdentityError, X509BundleSource
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.common.workloadapi.conftest import Agent

    from assay.testing.clock import FakeClock

OWN, FRIEND = TrustDomain("example.org"), TrustDomain("friend.test")


def jwt(*authorities: Authority) -> pb.JWTBundlesResponse:
    return pb.JWTBundlesResponse(bundles={str(one.trust_domain.id): jwks.emit_jwt(one.bundle) for one in authorities})


def x509(*authorities: Authority) -> pb.X509BundlesResponse:
    return pb.X509BundlesResponse(bundles={str(one.trust_domain.id): one.root.der for one in authorities})


@pytest.mark.spec("WAPI-5.2.2-a")
@pytest.mark.spec("WAPI-5.2.2-d")
@pytest.mark.spec("WAPI-4.6-a")
async def test_x509_verifiers_follow_what_the_agent_trusts(
    agent: Agent, clock: FakeClock, authority: Authority
) -> None:
    friend = Authority("friend.test")
    agent.says["x509 bundles"] = x509(authority, friend)
    async with X509BundleSource(agent.endpoint, clock=clock) as source:
        verifier = X509Verifier(source, authorize.any_id(), clock)
        assert verifier.verify(friend.x509_svid().chain) == friend.id("/workload")
        assert source.bundles()[FRIEND].jwt_authorities == ()
        await agent.say("x509 bundles", x509(authority))
        await source.changed(1)
        assert set(source.bundles()) == {OWN}
        with pytest.raises(RefusedError):
            verifier.verify(friend.x509_svid().chain)
        assert verifier.verify(authority.x509_svid().chain) == authority.id("/workload")


@pytest.mark.spec("WAPI-6.2.2-a")
@pytest.mark.spec("WAPI-6.2.2-f")
@pytest.mark.spec("WAPI-6.3-b")
@pytest.mark.spec("WAPI-6.3-c")
async def test_jwt_verifiers_follow_what_the_agent_trusts(agent: Agent, clock: FakeClock, authority: Authority) -> None:
    friend = Authority("friend.test")
    agent.says["jwt bundles"] = jwt(authority, friend)
    async with JwtBundleSource(agent.endpoint, clock=clock) as source:
        verifier = JwtVerifier(source, "audience", authorize.any_id(), clock)
        assert verifier.verify(friend.jwt_svid()).spiffe_id == friend.id("/workload")
        assert source.bundles()[FRIEND].x509_authorities == ()
        await agent.say("jwt bundles", jwt(authority))
        await source.changed(1)
        with pytest.raises(RefusedError):
            verifier.verify(friend.jwt_svid())
        assert verifier.verify(authority.jwt_svid()).spiffe_id == authority.id("/workload")


async def test_a_rolled_key_is_trusted_as_soon_as_it_is_sent(
    agent: Agent, clock: FakeClock, authority: Authority
) -> None:
    rolled = Authority("example.org")
    rolled.jwt_key_id = "next"
    agent.says["jwt bundles"] = jwt(authority)
    async with JwtBundleSource(agent.endpoint, clock=clock) as source:
        verifier = JwtVerifier(source, "audience", authorize.any_id(), clock)
        with pytest.raises(RefusedError):
            verifier.verify(rolled.jwt_svid())
        await agent.say("jwt bundles", jwt(rolled))
        await source.changed(1)
        assert verifier.verify(rolled.jwt_svid()).spiffe_id == rolled.id("/workload")


@pytest.mark.spec("WAPI-4.5-b")
@pytest.mark.parametrize(
    "bad",
    [
        pb.JWTBundlesResponse(),
        pb.JWTBundlesResponse(bundles={"spiffe://example.org": b"<html>"}),
        pb.JWTBundlesResponse(bundles={"spiffe://example.org": b"{}"}),
        pb.JWTBundlesResponse(bundles={"spiffe://example.org": b'{"keys":[1]}'}),
        pb.JWTBundlesResponse(bundles={"spiffe://example.org": b'{"keys":[],"keys":[]}'}),
        pb.JWTBundlesResponse(bundles={"spiffe://example.org/path": b'{"keys":[]}'}),
        pb.JWTBundlesResponse(bundles={"spiffe://example.org": b'{"keys":[]}', "friend.test": b'{"keys":[]}'}),
        b"\x0a\xff",
    ],
)
async def test_a_malformed_message_leaves_the_keys_as_they_were(
    agent: Agent, clock: FakeClock, authority: Authority, bad: pb.JWTBundlesResponse | bytes
) -> None:
    agent.says["jwt bundles"] = jwt(authority)
    async with JwtBundleSource(agent.endpoint, clock=clock) as source:
        before = source.bundles()
        await agent.say("jwt bundles", bad)
        await until(lambda: source.status.error is not None)
        assert isinstance(source.status.error, MalformedResponseError)
        assert source.bundles() is before
        assert before[OWN].jwt_authorities == authority.bundle.jwt_authorities


@pytest.mark.spec("WAPI-6.2.2-b")
@pytest.mark.spec("WAPI-4.4-a")
async def test_an_empty_key_set_revokes_every_key(agent: Agent, clock: FakeClock, authority: Authority) -> None:
    agent.says["jwt bundles"] = jwt(authority)
    async with JwtBundleSource(agent.endpoint, clock=clock) as source:
        empty = json.dumps({"keys": []}).encode()
        await agent.say("jwt bundles", pb.JWTBundlesResponse(bundles={"spiffe://example.org": empty}))
        await source.changed(1)
        assert source.bundles()[OWN].jwt_authorities == ()


@pytest.mark.spec("WAPI-5.2.2-d")
@pytest.mark.spec("WAPI-6.2.2-f")
@pytest.mark.parametrize(("kind", "method"), [(X509BundleSource, "x509 bundles"), (JwtBundleSource, "jwt bundles")])
async def test_all_bundles_are_dropped_when_the_agent_denies_them(
    agent: Agent, clock: FakeClock, authority: Authority, kind: type[X509BundleSource | JwtBundleSource], method: str
) -> None:
    agent.says["x509 bundles"], agent.says["jwt bundles"] = x509(authority), jwt(authority)
    async with kind(agent.endpoint, clock=clock) as source:
        assert set(source.bundles()) == {OWN}
        await agent.say(method, StatusCode.PERMISSION_DENIED)
        await source.changed(1)
        assert dict(source.bundles()) == {}
        agent.says[method] = x509(authority) if method == "x509 bundles" else jwt(authority)
        await clock.wait_sleepers()
        clock.advance(3600)
        await source.changed(2)
        assert set(source.bundles()) == {OWN}


async def test_who_may_have_no_bundles_is_told(agent: Agent, clock: FakeClock) -> None:
    agent.says["x509 bundles"] = StatusCode.PERMISSION_DENIED
    async with asyncio.TaskGroup() as group:
        group.create_task(_pass(clock))
        with pytest.raises(NoIdentityError):
            await X509BundleSource(agent.endpoint, clock=clock, within=0.2).open()


async def _pass(clock: FakeClock) -> None:
    await clock.wait_sleepers(2)
    clock.advance(0.2)
