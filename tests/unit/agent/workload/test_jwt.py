"""FetchJWTSVID, FetchJWTBundles and ValidateJWTSVID over a real socket."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from joserfc import jwt as jose
from joserfc.jwk import KeySet
from structlog.testing import capture_logs

from assay.bundle import Bundle
from assay.errors import (
    AssayError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

    from assay.workloadapi import WorkloadApiClient


@pytest.mark.spec("WAPI-6.2.1-a")
@pytest.mark.spec("WAPI-6.2.1-b")
@pytest.mark.spec("WAPI-6.2.1-d")
@pytest.mark.spec("WAPI-6.2.1-e")
@pytest.mark.spec("WAPI-8-a")
async def test_without_an_id_there_is_a_token_for_each_identity(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("b", "/second", hint="x", created_at=2)
    agent.register("a", "/first")
    agent.register("c", "/third", hint="x", created_at=1)
    svids = await client.fetch_jwt(["one", "two"])
    assert [(str(svid.spiffe_id), svid.hint) for svid in svids] == [
        ("spiffe://example.org/first", ""),
        ("spiffe://example.org/third", "x"),
    ]
    for svid in svids:
        claims = await client.validate_jwt("two", svid.token)
        assert claims.claims["aud"] == ["one", "two"]
        assert claims.spiffe_id == svid.spiffe_id


@pytest.mark.spec("WAPI-6.2.1-c")
async def test_with_an_id_there_is_that_token_only(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/first")
    agent.register("b", "/second")
    (svid,) = await client.fetch_jwt(["one"], authority.id("/second"))
    assert svid.spiffe_id == authority.id("/second")
    assert agent.minter.asked == [("b", ("one",))]


@pytest.mark.spec("WAPI-6.2.1-f")
async def test_no_identity_and_not_that_identity_are_refused_alike(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/others", "unix:uid:4000000000")
    refusals: list[str] = []
    for spiffe_id in (None, authority.id("/others"), authority.id("/nobody")):
        with pytest.raises(PermissionDeniedError) as refusal:
            await client.fetch_jwt(["one"], spiffe_id)
        refusals.append(refusal.value.message)
    assert refusals == ["no identity issued"] * 3
    assert agent.minter.asked == []


@pytest.mark.spec("WAPI-4.5-a")
@pytest.mark.spec("JWT-3.2-a")
@pytest.mark.parametrize("audience", [[], [""], ["", ""]])
async def test_an_audience_is_needed(stub: Stub, audience: list[str]) -> None:
    with pytest.raises(aio.AioRpcError) as refusal:
        await stub.fetch_jwt_svid(pb.JWTSVIDRequest(audience=audience), metadata=METADATA)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == "audience must be specified"


async def test_empty_audiences_beside_others_are_left_out(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    await client.fetch_jwt(["", "one"])
    assert agent.minter.asked == [("a", ("one",))]


async def test_a_requested_id_must_be_one(stub: Stub) -> None:
    with pytest.raises(aio.AioRpcError) as refusal:
        await stub.fetch_jwt_svid(pb.JWTSVIDRequest(audience=["a"], spiffe_id="http://x/y"), metadata=METADATA)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == "invalid requested SPIFFE ID: scheme is missing or invalid"


async def test_a_token_is_minted_once_for_those_who_ask_again(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    first = await client.fetch_jwt(["x", "y"])
    assert await client.fetch_jwt(["y", "x"]) == first
    assert len(agent.minter.asked) == 1


async def test_jwt_needs_no_x509_svid(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    agent.cache.drop_svid("a")
    assert await client.fetch_jwt(["x"])


@pytest.mark.parametrize(
    ("failure", "seen", "message"),
    [
        (UnavailableError("no server"), UnavailableError, "could not fetch JWT-SVID: no server"),
        (PermissionDeniedError("not yours"), UnavailableError, "could not fetch JWT-SVID: not yours"),
        (UnimplementedError("JWT functionality is disabled"), UnimplementedError, "JWT functionality is disabled"),
    ],
)
@pytest.mark.spec("WAPI-1-b")
async def test_a_server_that_mints_none_makes_it_unavailable_and_a_profile_switched_off_unimplemented(
    agent: LocalAgent, client: WorkloadApiClient, failure: AssayError, seen: type[AssayError], message: str
) -> None:
    agent.register("a", "/web")
    agent.register("b", "/more")
    agent.minter.failure = failure
    with pytest.raises(seen) as refusal:
        await client.fetch_jwt(["x"])
    assert refusal.value.message == message
    assert len(agent.minter.asked) == 2


@pytest.mark.spec("JWT-7.3-a")
async def test_the_log_names_the_id_on_one_debug_line_and_no_token(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.register("a", "/web")
    with capture_logs() as logs:
        (svid,) = await client.fetch_jwt(["x"])
        await client.validate_jwt("x", svid.token)
        with pytest.raises(InvalidArgumentError):
            await client.validate_jwt("x", svid.token[:-4] + "AAAA")
    lines = [one for one in logs if one.get("method") == "FetchJWTSVID" and "spiffe_id" in one]
    assert [(one["event"], one["log_level"], one["spiffe_id"]) for one in lines] == [
        ("Fetched JWT SVID", "debug", "spiffe://example.org/web")
    ]
    assert not any(one["log_level"] == "info" and "/web" in str(one) for one in logs)
    for part in svid.token.split("."):
        assert part not in str(logs)


@pytest.mark.spec("WAPI-6.2.2-b")
@pytest.mark.spec("WAPI-6.2.2-c")
@pytest.mark.spec("WAPI-6.2.2-d")
async def test_jwt_bundles_are_plain_key_sets_that_an_ordinary_library_verifies_with(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    friend = Authority("friend.test")
    agent.publish(friend.bundle, Authority("stranger.test").bundle)
    agent.register("a", "/web", federates_with=(friend.trust_domain,))
    async with aclosing(client.watch_jwt_bundles()) as documents:
        found = await anext(documents)
    assert set(found) == {authority.trust_domain, friend.trust_domain}
    document = json.loads(found[authority.trust_domain])
    assert set(document) == {"keys"}
    (key,) = document["keys"]
    assert key["kid"] == authority.jwt_key_id
    assert "use" not in key
    token = jose.decode(authority.jwt_svid("/web", ["x"]), KeySet.import_key_set(document))
    assert token.claims["sub"] == "spiffe://example.org/web"


@pytest.mark.spec("WAPI-6.2.2-b")
async def test_a_bundle_without_jwt_keys_is_an_empty_key_set(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/web")
    agent.publish(Bundle(authority.trust_domain, authority.bundle.x509_authorities))
    async with aclosing(client.watch_jwt_bundles()) as documents:
        assert json.loads((await anext(documents))[authority.trust_domain]) == {"keys": []}


@pytest.mark.spec("WAPI-6.2.2-e")
async def test_jwt_bundles_are_denied_to_callers_without_identity(client: WorkloadApiClient) -> None:
    async with aclosing(client.watch_jwt_bundles()) as documents:
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(documents)


@pytest.mark.spec("WAPI-4.3-b")
async def test_jwt_bundles_follow_changes_of_jwt_keys_only(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_jwt_bundles()) as documents:
        await anext(documents)
        more = Authority("example.org").bundle
        agent.publish(Bundle(authority.trust_domain, more.x509_authorities, authority.bundle.jwt_authorities))
        agent.rotate("a")
        agent.change_bundle()
        document = json.loads((await anext(documents))[authority.trust_domain])
        assert len(document["keys"]) == 2


@pytest.mark.spec("WAPI-6.2.3-b")
@pytest.mark.parametrize(
    ("audience", "svid", "message"),
    [
        ("", "x", "audience must be specified"),
        ("x", "", "svid must be specified"),
        ("", "", "audience must be specified"),
    ],
)
async def test_validation_needs_audience_and_token(stub: Stub, audience: str, svid: str, message: str) -> None:
    with pytest.raises(aio.AioRpcError) as refusal:
        await stub.validate_jwt_svid(pb.ValidateJWTSVIDRequest(audience=audience, svid=svid), metadata=METADATA)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == message


@pytest.mark.spec("WAPI-6.2.3-a")
@pytest.mark.spec("WAPI-6.2.3-b")
@pytest.mark.spec("WAPI-6.2.3-c")
@pytest.mark.spec("JWT-3-a")
async def test_an_own_token_shows_all_its_claims_and_its_audience_as_a_list(
    client: WorkloadApiClient, authority: Authority
) -> None:
    """Any attested caller may ask, also one without identity."""
    token = authority.jwt_svid("/web", ["x"], aud="x", jti="7", nested={"a": [1, None, True, "s"]})
    found = await client.validate_jwt("x", token)
    assert found.spiffe_id == SpiffeId.parse("spiffe://example.org/web")
    assert found.claims["aud"] == ["x"]
    assert found.claims["jti"] == "7"
    assert found.claims["nested"] == {"a": [1.0, None, True, "s"]}
    assert found.claims["exp"] == int(authority.now.timestamp()) + 300


@pytest.mark.spec("WAPI-6.2.3-c")
async def test_a_foreign_token_shows_the_three_claims_and_those_allowed(agents: Agents, authority: Authority) -> None:
    friend = Authority("friend.test", now=authority.now)
    token = friend.jwt_svid("/web", ["x"], jti="7", role="cook")
    for allowed, names in ((frozenset[str](), set[str]()), (frozenset({"role", "absent"}), {"role"})):
        agent = await agents(allowed_foreign_jwt_claims=allowed)
        agent.publish(friend.bundle)
        agent.register("a", "/web", federates_with=(friend.trust_domain,))
        async with agent.client() as client:
            found = await client.validate_jwt("x", token)
        assert set(found.claims) == {"sub", "exp", "aud"} | names


def with_claim(authority: Authority, member: bytes) -> str:
    """A token for x with a claim that Python would not write."""
    payload = {"sub": "spiffe://example.org/web", "aud": ["x"], "exp": int(authority.now.timestamp()) + 300}
    return authority.token({}, json.dumps(payload).encode()[:-1] + b", " + member + b"}")


async def test_a_claim_at_the_edge_of_what_a_number_can_be_is_shown(
    client: WorkloadApiClient, authority: Authority
) -> None:
    found = await client.validate_jwt("x", with_claim(authority, b'"most": 1.7e308, "least": -1.7e308'))
    assert (found.claims["most"], found.claims["least"]) == (1.7e308, -1.7e308)


@pytest.mark.spec("WAPI-6.2.3-a")
@pytest.mark.spec("WAPI-6.2.3-d")
@pytest.mark.spec("WAPI-6.3-b")
@pytest.mark.spec("WAPI-6.3-c")
async def test_a_token_that_is_not_good_is_an_invalid_argument(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    stranger = Authority("stranger.test", now=authority.now)
    agent.publish(stranger.bundle)
    agent.register("a", "/web")
    impostor = Authority("example.org", now=authority.now)
    for audience, token in (
        ("y", authority.jwt_svid("/web", ["x"])),
        ("x", authority.jwt_svid("/web", ["x"], lifetime=-3600)),
        ("x", impostor.jwt_svid("/web", ["x"])),
        ("x", stranger.jwt_svid("/web", ["x"])),
        ("x", "no.token.atall"),
        ("x", authority.jwt_svid("/web", ["x"], huge=10**400)),
        ("x", with_claim(authority, b'"huge": 1e400')),
        ("x", with_claim(authority, b'"deep": ' + b"[" * 300 + b"]" * 300)),
    ):
        with pytest.raises(InvalidArgumentError):
            await client.validate_jwt(audience, token)
