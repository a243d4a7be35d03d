"""FetchWITSVID and FetchWITBundles over a real socket."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.crypto.keys import to_pkix
from assay.errors import (
    AssayError,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from assay.svid import proof, wit
from assay.testing.authority import Authority
from assay.workloadapi.wire import METADATA, Stub
from assay_agent.cache import Update
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

    from assay.workloadapi import WorkloadApiClient


@pytest.fixture
def agent(agent: LocalAgent) -> LocalAgent:
    """One whose trust domain has WIT-SVIDs."""
    agent.switch_wit_on()
    return agent


@pytest.mark.spec("WAPI-7.2.1-a", "WAPI-7.2.1-b", "WAPI-8-a")
async def test_without_an_id_there_is_a_token_for_each_identity(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("b", "/second", hint="x", created_at=2)
    agent.register("a", "/first")
    agent.register("c", "/third", hint="x", created_at=1)
    svids = await client.fetch_wit()
    assert [(str(one.spiffe_id), one.hint) for one in svids] == [
        ("spiffe://example.org/first", ""),
        ("spiffe://example.org/third", "x"),
    ]


@pytest.mark.spec("WAPI-7.1-a", "WIT-4-c")
async def test_the_key_that_comes_along_is_the_tokens(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/web")
    (one,) = await client.fetch_wit()
    svid, now = one.svid, authority.now
    assert svid.key is not None
    assert to_pkix(svid.key.public_key()) == svid.public_key
    bundle = agent.cache.bundles[authority.trust_domain]
    read = wit.verify(svid.token, {authority.trust_domain: bundle}, now)
    proof.verify(proof.prove(svid, "here", now), read, "here", now)


@pytest.mark.spec("WAPI-7.1-a")
async def test_token_and_key_are_text(agent: LocalAgent, stub: Stub) -> None:
    agent.register("a", "/web", hint="h")
    call = stub.fetch_wit_svid(pb.WITSVIDRequest(), metadata=METADATA)
    (one,) = (await anext(aiter(call))).svids
    assert one.wit_svid.count(".") == 2
    assert set(json.loads(one.wit_svid_key)) == {"kty", "crv", "alg", "x", "y", "d"}
    assert (one.spiffe_id, one.hint) == ("spiffe://example.org/web", "h")


@pytest.mark.spec("WAPI-7.2.1-a")
async def test_with_an_id_there_is_that_token_only(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/first")
    agent.register("b", "/second")
    (one,) = await client.fetch_wit(authority.id("/second"))
    assert one.spiffe_id == authority.id("/second")
    assert [entry_id for entry_id, _ in agent.minter.asked] == ["b"]


@pytest.mark.spec("WAPI-7.2.1-c")
async def test_no_identity_and_not_that_identity_are_refused_alike(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/others", "unix:uid:4000000000")
    for spiffe_id in (None, authority.id("/others"), authority.id("/nobody")):
        with pytest.raises(PermissionDeniedError) as refusal:
            await client.fetch_wit(spiffe_id)
        assert refusal.value.message == "no identity issued"
    assert agent.minter.asked == []


async def test_a_requested_id_must_be_one(agent: LocalAgent, stub: Stub) -> None:
    agent.register("a", "/web")
    with pytest.raises(aio.AioRpcError) as refusal:
        await anext(aiter(stub.fetch_wit_svid(pb.WITSVIDRequest(spiffe_id="http://x/y"), metadata=METADATA)))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == "invalid requested SPIFFE ID: scheme is missing or invalid"


async def test_both_want_the_security_header(agent: LocalAgent, stub: Stub) -> None:
    agent.register("a", "/web")
    for call in (stub.fetch_wit_svid(pb.WITSVIDRequest()), stub.fetch_wit_bundles(pb.WITBundlesRequest())):
        with pytest.raises(aio.AioRpcError) as refusal:
            await anext(aiter(call))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.value.details() == "security header missing from request"


@pytest.mark.spec("WAPI-7-a", "WIT-6.2-b", "STAB-2.3-b")
async def test_a_trust_domain_without_wit_keys_has_none_of_it(agents: Agents) -> None:
    agent = await agents()
    agent.register("a", "/web")
    async with agent.client() as client:
        with pytest.raises(UnimplementedError, match="fetching WIT-SVIDs is not implemented"):
            await client.fetch_wit()
        async with aclosing(client.watch_wit_bundles()) as documents:
            with pytest.raises(UnimplementedError, match="fetching WIT bundles is not implemented"):
                await anext(documents)
        assert agent.minter.asked == []
        agent.switch_wit_on()
        assert await client.fetch_wit()


async def test_before_the_first_sync_nobody_knows(agents: Agents) -> None:
    async with (await agents(synced=False)).client() as client:
        with pytest.raises(UnavailableError, match="not synced"):
            await client.fetch_wit()


@pytest.mark.parametrize(
    ("failure", "seen", "message"),
    [
        (UnavailableError("no server"), UnavailableError, "could not fetch WIT-SVID: no server"),
        (PermissionDeniedError("not yours"), UnavailableError, "could not fetch WIT-SVID: not yours"),
        (UnimplementedError("WIT functionality is disabled"), UnimplementedError, "WIT functionality is disabled"),
    ],
)
@pytest.mark.spec("WAPI-7-a")
async def test_a_server_that_issues_none(
    agent: LocalAgent, client: WorkloadApiClient, failure: AssayError, seen: type[AssayError], message: str
) -> None:
    agent.register("a", "/web")
    agent.minter.failure = failure
    with pytest.raises(seen) as refusal:
        await client.fetch_wit()
    assert refusal.value.message == message


@pytest.mark.spec("WIT-4-b")
async def test_who_asks_again_gets_the_same(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    first = await client.fetch_wit()
    assert await client.fetch_wit() == first
    assert len(agent.minter.asked) == 1


async def test_it_needs_no_x509_svid(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    agent.cache.drop_svid("a")
    assert await client.fetch_wit()


@pytest.mark.spec("WAPI-7.2.1-c", "WAPI-4.3-b")
async def test_a_stream_follows_identities_until_none_is_left(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("b", "/second")
    async with aclosing(client.watch_wit()) as updates:
        (second,) = await anext(updates)
        agent.rotate("b")  # an X.509-SVID is none of its business
        agent.register("a", "/first", hint="old")
        first, same = await anext(updates)
        assert (str(first.spiffe_id), same) == ("spiffe://example.org/first", second)
        agent.cache.apply(Update(entries=[replace(agent.cache.entries["a"], hint="new")]))
        assert [one.hint for one in await anext(updates)] == ["new", ""]
        agent.remove("a")
        assert await anext(updates) == (second,)
        agent.remove("b")
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(updates)
    assert [entry_id for entry_id, _ in agent.minter.asked] == ["b", "a"]


@pytest.mark.spec("JWT-7.3-a")
async def test_the_log_names_the_id_and_neither_token_nor_key(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    with capture_logs() as logs:
        (one,) = await client.fetch_wit()
    lines = [line for line in logs if line.get("method") == "FetchWITSVID" and "spiffe_id" in line]
    assert [(line["event"], line["log_level"], line["spiffe_id"]) for line in lines] == [
        ("Fetched WIT-SVID", "debug", "spiffe://example.org/web")
    ]
    for part in one.svid.token.split("."):
        assert part not in str(logs)


@pytest.mark.spec("WAPI-7.2.2-a", "WAPI-7.2.2-b", "WAPI-7.1-b")
async def test_wit_bundles_are_key_sets_as_text_of_wit_keys_alone(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    friend, plain = Authority("friend.test", wit=True), Authority("plain.test")
    agent.publish(friend.bundle, plain.bundle, Authority("stranger.test", wit=True).bundle)
    agent.register("a", "/web", federates_with=(friend.trust_domain, plain.trust_domain))
    async with aclosing(client.watch_wit_bundles()) as documents:
        found = await anext(documents)
    assert set(found) == {authority.trust_domain, friend.trust_domain, plain.trust_domain}
    assert all(isinstance(text, str) for text in found.values())
    kids = {name.name: [key["kid"] for key in json.loads(text)["keys"]] for name, text in found.items()}
    assert kids == {"example.org": [authority.wit_key_id], "friend.test": [friend.wit_key_id], "plain.test": []}


@pytest.mark.spec("WAPI-7.2.2-c")
async def test_wit_bundles_follow_changes_of_wit_keys_and_are_denied_to_nobody(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    async with aclosing(client.watch_wit_bundles()) as documents:
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(documents)
    agent.register("a", "/web")
    async with aclosing(client.watch_wit_bundles()) as documents:
        await anext(documents)
        agent.change_bundle()  # of X.509 and JWT keys
        old = agent.cache.bundles[authority.trust_domain]
        more = replace(old.wit_authorities[0], key_id="more")
        agent.publish(replace(old, wit_authorities=(*old.wit_authorities, more), sequence=old.sequence + 1))
        document = json.loads((await anext(documents))[authority.trust_domain])
        assert [key["kid"] for key in document["keys"]] == [authority.wit_key_id, "more"]
        agent.remove("a")
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(documents)


@pytest.mark.spec("WAPI-6.2.2-d", "WAPI-7.2.2-a")
async def test_jwt_bundles_have_no_wit_keys(agent: LocalAgent, client: WorkloadApiClient, authority: Authority) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_jwt_bundles()) as documents:
        keys = json.loads((await anext(documents))[authority.trust_domain])["keys"]
    assert [key["kid"] for key in keys] == [authority.jwt_key_id]
