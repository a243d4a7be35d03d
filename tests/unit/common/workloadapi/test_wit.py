"""WIT-SVIDs with our client and sources, against an API that may say anything."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import StatusCode

from assay import authorize
from assay.bundle import jwks
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError, UnavailableError, UnimplementedError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import proof, witkey
from assay.svid.refusal import RefusedError
from assay.testing.authority import HOUR, Authority
from assay.testing.wait import until
from assay.verify import WitVerifier
from assay.workloadapi import (
    MalformedResponseError,
    NoIdentityError,
    NoSuchIdentityError,
    SourceClosedError,
    SourceNotReadyError,
    SvidExpiredError,
    WitBundleSource,
    WitSource,
    WorkloadApiClient,
    blocking,
)
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.common.workloadapi.conftest import Agent, Elsewhere, Scripted

    from assay.testing.clock import FakeClock

OWN, FRIEND = TrustDomain("example.org"), TrustDomain("friend.test")
HOME, OTHER = Authority("example.org", wit=True), Authority("friend.test", wit=True)


def svid(path: str = "/web", hint: str = "", **fields: str) -> pb.WITSVID:
    key = ec.generate_private_key(ec.SECP256R1())
    token = HOME.wit_svid(path, public_key=to_pkix(key.public_key()))
    made = pb.WITSVID(spiffe_id=str(HOME.id(path)), wit_svid=token, wit_svid_key=witkey.emit(key, "ES256"), hint=hint)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def svids(*paths: str) -> pb.WITSVIDResponse:
    """`path@hint` has a hint."""
    return pb.WITSVIDResponse(svids=[svid(path, hint) for path, _, hint in (one.partition("@") for one in paths)])


def bundles(*authorities: Authority) -> pb.WITBundlesResponse:
    documents = {str(one.trust_domain.id): jwks.emit_wit(one.bundle).decode() for one in authorities}
    return pb.WITBundlesResponse(bundles=documents)


@pytest.mark.spec("WEP-3-e", "WAPI-8-a")
async def test_a_response_is_svids_with_their_keys_in_order(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = [svids("/web@w", "/db")]
    first, second = await client.fetch_wit()
    assert [(one.spiffe_id.path, one.hint) for one in (first, second)] == [("/web", "w"), ("/db", "")]
    assert first.svid.key is not None
    assert to_pkix(first.svid.key.public_key()) == first.svid.public_key
    assert first.svid.token not in repr(first)
    assert api.secure == [True]
    assert api.requests == [pb.WITSVIDRequest()]


@pytest.mark.spec("WAPI-7.2.1-a")
async def test_one_identity_can_be_asked_for(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = [svids("/web")]
    await client.fetch_wit(SpiffeId.parse("spiffe://example.org/web"))
    assert api.requests == [pb.WITSVIDRequest(spiffe_id="spiffe://example.org/web")]


FAULTS = {
    "none": pb.WITSVIDResponse(),
    "no token": pb.WITSVIDResponse(svids=[svid(wit_svid="")]),
    "no key": pb.WITSVIDResponse(svids=[svid(wit_svid_key="")]),
    "no ID": pb.WITSVIDResponse(svids=[svid(spiffe_id="")]),
    "another ID": pb.WITSVIDResponse(svids=[svid(spiffe_id="spiffe://example.org/other")]),
    "another key": pb.WITSVIDResponse(svids=[svid(wit_svid_key=svid().wit_svid_key)]),
    "a public key": pb.WITSVIDResponse(svids=[svid(wit_svid_key="{}")]),
    "a JWT-SVID": pb.WITSVIDResponse(svids=[svid(wit_svid=HOME.jwt_svid("/web"))]),
    "one of two": pb.WITSVIDResponse(svids=[svid(), svid(wit_svid="a.b.c")]),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.spec("WAPI-7.1-a", "WAPI-7.2.1-b", "WAPI-4.5-b")
async def test_a_response_that_lacks_something_is_dropped_whole(
    api: Scripted, client: WorkloadApiClient, name: str
) -> None:
    api.answers = [FAULTS[name]]
    with pytest.raises(MalformedResponseError) as refused:
        await client.fetch_wit()
    assert not any(one.wit_svid_key in str(refused.value) for one in FAULTS[name].svids if len(one.wit_svid_key) > 2)


async def test_a_stream_that_says_nothing(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = []
    with pytest.raises(UnavailableError, match="without a response"):
        await client.fetch_wit()


@pytest.mark.spec("WAPI-7.2.2-b")
async def test_bundles_are_documents_as_text(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = [bundles(HOME, OTHER), pb.WITBundlesResponse()]
    async with aclosing(client.watch_wit_bundles()) as documents:
        assert await anext(documents) == {one.trust_domain: jwks.emit_wit(one.bundle).decode() for one in (HOME, OTHER)}
        with pytest.raises(MalformedResponseError, match="bundles missing"):
            await anext(documents)


@pytest.mark.spec("WAPI-7.2.2-a", "WAPI-7.2.2-c", "WIT-6.2-a")
async def test_verifiers_follow_what_the_agent_trusts(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit bundles"] = bundles(HOME, OTHER)
    key = ec.generate_private_key(ec.SECP256R1())
    async with WitBundleSource(agent.endpoint, clock=clock) as source:
        verifier = WitVerifier(source, "here", authorize.any_id(), clock)
        token = OTHER.wit_svid(public_key=to_pkix(key.public_key()))
        read = await asyncio.to_thread(_proven, verifier, token, key, clock)
        assert read == OTHER.id("/workload")
        assert source.bundles()[FRIEND].jwt_authorities == ()
        assert source.bundles()[FRIEND].x509_authorities == ()
        await agent.say("wit bundles", bundles(HOME))
        await source.changed(1)
        with pytest.raises(RefusedError):
            _proven(verifier, token, key, clock)
        await agent.say("wit bundles", StatusCode.PERMISSION_DENIED)
        await source.changed(2)
        assert source.bundles() == {}


def _proven(verifier: WitVerifier, token: str, key: ec.EllipticCurvePrivateKey, clock: FakeClock) -> SpiffeId:
    from assay.svid import wit  # noqa: PLC0415 - as a workload has it

    mine = wit.with_key(wit.parse(token), key)
    return verifier.verify(token, proof.prove(mine, "here", clock.now())).spiffe_id


async def test_a_set_that_is_none_is_dropped_and_the_last_one_kept(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit bundles"] = bundles(HOME)
    async with WitBundleSource(agent.endpoint, clock=clock) as source:
        await agent.say("wit bundles", pb.WITBundlesResponse(bundles={"spiffe://example.org": "<html>"}))
        await until(lambda: source.status.error is not None)
        assert isinstance(source.status.error, MalformedResponseError)
        assert source.bundles()[OWN].wit_authorities == HOME.bundle.wit_authorities


@pytest.mark.spec("WAPI-8-a", "WAPI-8-c")
async def test_a_source_serves_the_identity_that_is_wanted(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit"] = svids("/web", "/db@data", "/again@data")
    async with WitSource(agent.endpoint, clock=clock) as default:
        assert default.svid().spiffe_id.path == "/web"
        assert default.svid().key is not None
        assert [one.hint for one in default.svids()] == ["", "data", "data"]
    async with WitSource(agent.endpoint, hint="data", clock=clock) as hinted:
        assert hinted.svid().spiffe_id.path == "/db"
    async with WitSource(agent.endpoint, spiffe_id="spiffe://example.org/again", clock=clock) as named:
        assert named.svid().spiffe_id.path == "/again"
        await agent.say("wit", svids("/web"))
        await named.changed(1)
        with pytest.raises(NoSuchIdentityError, match=r"spiffe://example\.org/again"):
            named.svid()


async def test_a_source_waits_for_the_identity_it_wants(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit"] = svids("/web")
    source = WitSource(agent.endpoint, hint="x", clock=clock, within=60)

    async def refused() -> None:
        with pytest.raises(NoSuchIdentityError):
            await source.open()

    async with asyncio.TaskGroup() as group:
        group.create_task(refused())
        await until(lambda: source.version == 1)
        clock.advance(60)
    with pytest.raises(InvalidArgumentError):
        WitSource(agent.endpoint, spiffe_id="web")


async def test_a_source_follows_renewals(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit"] = svids("/web")
    async with WitSource(agent.endpoint, clock=clock) as source:
        first = source.svid()
        await agent.say("wit", svids("/web"))
        assert await source.changed(1) == 2
        assert source.svid().public_key != first.public_key
    with pytest.raises(SourceClosedError):
        source.svid()


@pytest.mark.spec("WAPI-7.2.1-c")
async def test_what_was_withdrawn_is_no_longer_served(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit"] = svids("/web")
    async with WitSource(agent.endpoint, clock=clock) as source:
        await agent.say("wit", StatusCode.PERMISSION_DENIED)
        await source.changed(1)
        with pytest.raises(NoIdentityError):
            source.svid()


async def test_an_expired_svid_is_not_served(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit"] = svids("/web")
    async with WitSource(agent.endpoint, clock=clock) as source:
        clock.advance(HOUR)
        assert source.svid().spiffe_id.path == "/web"
        clock.advance(1)
        with pytest.raises(SvidExpiredError):
            source.svid()
        assert source.svids()


@pytest.mark.spec("WAPI-7-b")
async def test_where_there_are_none_nobody_asks_again(agent: Agent, clock: FakeClock) -> None:
    agent.says["wit"] = agent.says["wit bundles"] = StatusCode.UNIMPLEMENTED
    for source in (WitSource(agent.endpoint, clock=clock), WitBundleSource(agent.endpoint, clock=clock)):
        with pytest.raises(UnimplementedError):
            await source.open()
        assert source.status.stopped
    assert agent.streams == {"wit": 1, "wit bundles": 1}


async def test_without_an_agent_it_is_not_ready(agent: Agent, clock: FakeClock) -> None:
    await agent.stop()
    with pytest.raises(SourceNotReadyError):
        async with WitSource(agent.endpoint, clock=clock, within=0):
            pass


def test_without_a_loop(elsewhere: Elsewhere, clock: FakeClock) -> None:
    elsewhere.say("wit", svids("/web", "/db@data"))
    elsewhere.say("wit bundles", bundles(HOME))
    endpoint = elsewhere.agent.endpoint
    with (
        blocking.WitSource(endpoint, hint="data", clock=clock) as source,
        blocking.WitBundleSource(endpoint, clock=clock) as trusted,
    ):
        held = source.svid()
        assert [one.spiffe_id.path for one in source.svids()] == ["/web", "/db"]
        verifier = WitVerifier(trusted, "here", authorize.any_id(), clock)
        assert verifier.verify(held.token, proof.prove(held, "here", clock.now())) == replace(held, key=None)
        elsewhere.say("wit", svids("/db@data"))
        assert source.changed(1) == 2
        assert source.svid() != held
    with blocking.WorkloadApiClient(endpoint) as client:
        assert [one.spiffe_id.path for one in client.fetch_wit()] == ["/db"]
        assert [one.spiffe_id.path for one in next(client.watch_wit())] == ["/db"]
        assert set(next(client.watch_wit_bundles())) == {OWN}
