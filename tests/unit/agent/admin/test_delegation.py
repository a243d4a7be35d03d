"""The Delegated Identity API over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import pytest
from cryptography import x509 as certificates
from grpc import aio
from structlog.testing import capture_logs

from assay.errors import AssayError, InvalidArgumentError, UnavailableError, UnimplementedError
from assay.selector import Selector as Value
from assay.svid import X509Svid, x509
from assay.testing.authority import Authority
from assay_agent.admin.subject import MAX_SELECTORS
from assay_agent.cache import Update
from assay_proto.spire.api.agent.delegatedidentity.v1 import delegatedidentity_pb2 as pb
from assay_proto.spire.api.agent.delegatedidentity.v1.delegatedidentity_pb2_grpc import DelegatedIdentityStub
from assay_proto.spire.api.types.selector_pb2 import Selector

if TYPE_CHECKING:
    from tests.unit.agent.admin.conftest import Admin, Admins
    from tests.unit.agent.conftest import LocalAgent, Quiet

    from assay_proto.spire.api.agent.delegatedidentity.v1.delegatedidentity_pb2_grpc import (
        DelegatedIdentityAsyncStub as Delegation,
    )

T = TypeVar("T")

SELECTORS = [Selector(type="sa", value="web"), Selector(type="ns", value="shop")]
WANT = pb.SubscribeToX509SVIDsRequest(selectors=SELECTORS)
NO_IDENTITY = (grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
NO_DELEGATE = (grpc.StatusCode.PERMISSION_DENIED, "caller not configured as an authorized delegate")
ONE_OF_TWO = (grpc.StatusCode.INVALID_ARGUMENT, "must provide either selectors or non-zero PID, but not both")
NOT_ATTESTED = (grpc.StatusCode.UNAVAILABLE, "workload attestation failed")

Call = Callable[["Delegation"], Any]
CALLS: dict[str, Call] = {
    "SubscribeToX509SVIDs": lambda stub: stub.SubscribeToX509SVIDs(WANT),
    "SubscribeToX509Bundles": lambda stub: stub.SubscribeToX509Bundles(pb.SubscribeToX509BundlesRequest()),
    "SubscribeToJWTBundles": lambda stub: stub.SubscribeToJWTBundles(pb.SubscribeToJWTBundlesRequest()),
    "FetchJWTSVIDs": lambda stub: stub.FetchJWTSVIDs(pb.FetchJWTSVIDsRequest(audience=["a"], selectors=SELECTORS)),
}
STREAMS = [name for name in CALLS if name.startswith("Subscribe")]


async def got(stream: AsyncIterable[T]) -> T:
    return await anext(aiter(stream))


async def first(call: Any) -> Any:  # noqa: ANN401 - a call of either kind
    return await (got(call) if hasattr(call, "read") else call)


async def refusal_of(answer: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(aio.AioRpcError) as refusal:
        await answer
    return refusal.value.code(), refusal.value.details() or ""


def paths(response: pb.SubscribeToX509SVIDsResponse) -> list[str]:
    return [one.x509_svid.id.path for one in response.x509_svids]


async def test_an_svid_comes_with_all_that_it_needs(
    delegation: Delegation, agent: LocalAgent, authority: Authority
) -> None:
    other = Authority("other.test")
    agent.publish(other.bundle)
    agent.register("a", "/web", "sa:web", hint="h", federates_with=(other.trust_domain,))
    response = await got(delegation.SubscribeToX509SVIDs(WANT))
    (one,) = response.x509_svids
    chain = list(one.x509_svid.cert_chain)
    assert (one.x509_svid.id.trust_domain, one.x509_svid.id.path, one.x509_svid.hint) == ("example.org", "/web", "h")
    assert X509Svid.parse(chain, one.x509_svid_key).spiffe_id == authority.id("/web")
    x509.verify(chain, {authority.trust_domain: authority.bundle}, authority.now)
    leaf = certificates.load_der_x509_certificate(chain[0])
    assert one.x509_svid.expires_at == int(leaf.not_valid_after_utc.timestamp())
    assert list(response.federates_with) == ["spiffe://other.test"]


async def test_all_identities_come_by_entry_id_with_those_of_repeated_hints(
    delegation: Delegation, agent: LocalAgent
) -> None:
    agent.register("c", "/third", "sa:web", hint="h", created_at=1)
    agent.register("b", "/second", "sa:web", "ns:shop")
    agent.register("a", "/first", "sa:web", hint="h", created_at=2)
    agent.register("d", "/other", "sa:web", "ns:bank")
    response = await got(delegation.SubscribeToX509SVIDs(WANT))
    assert paths(response) == ["/first", "/second", "/third"]


INSTANCES = {"principal": "bot", "instance_from": "unix:process"}


@pytest.mark.parametrize("kind", [{"admin": True}, {"downstream": True}, INSTANCES], ids=str)
async def test_admin_and_downstream_and_instances_identities_are_given_to_nobody(
    delegation: Delegation, agent: LocalAgent, kind: dict[str, Any]
) -> None:
    agent.register("a", "/power", "sa:web", hint="h", **kind)
    stream = delegation.SubscribeToX509SVIDs(WANT)
    assert await got(stream) == pb.SubscribeToX509SVIDsResponse()
    jwt = CALLS["FetchJWTSVIDs"]
    assert await refusal_of(jwt(delegation)) == NO_IDENTITY
    assert agent.minter.asked == []
    agent.register("b", "/web", "sa:web", hint="h", created_at=5)
    assert paths(await got(stream)) == ["/web"]
    assert [one.id.path for one in (await jwt(delegation)).svids] == ["/web"]
    # What a workload had becomes an administrator's: it is taken back.
    agent.register("b", "/web", "sa:web", **kind)
    assert await got(stream) == pb.SubscribeToX509SVIDsResponse()


async def test_changes_follow_and_what_says_the_same_does_not(
    delegation: Delegation, agent: LocalAgent, settle: Quiet
) -> None:
    stream = delegation.SubscribeToX509SVIDs(WANT)
    assert await got(stream) == pb.SubscribeToX509SVIDsResponse()
    agent.register("x", "/elsewhere", "sa:db")
    agent.change_bundle()
    agent.cache.apply(Update(entries=[agent.entry("0", "/delegate", dns_names=("a",))]))
    agent.rotate("0")
    await settle()
    svid = agent.register("a", "/web", "sa:web")
    assert paths(await got(stream)) == ["/web"]
    new = agent.rotate(svid.id)
    (one,) = (await got(stream)).x509_svids
    assert tuple(one.x509_svid.cert_chain) == new.chain
    agent.remove("a")
    assert await got(stream) == pb.SubscribeToX509SVIDsResponse()


async def test_bundles_are_all_that_the_agent_knows_now_and_on_every_change(
    delegation: Delegation, agent: LocalAgent, authority: Authority
) -> None:
    """Also those that no entry federates with, and without those that are gone."""
    other = Authority("other.test")
    certs = delegation.SubscribeToX509Bundles(pb.SubscribeToX509BundlesRequest())
    jwks = delegation.SubscribeToJWTBundles(pb.SubscribeToJWTBundlesRequest())
    own = {"spiffe://example.org": authority.root.der}
    assert (await got(certs)).ca_certificates == own
    (key,) = json.loads((await got(jwks)).bundles["spiffe://example.org"])["keys"]
    assert key["kid"] == authority.bundle.jwt_authorities[0].key_id
    agent.publish(other.bundle)
    assert (await got(certs)).ca_certificates == {**own, "spiffe://other.test": other.root.der}
    assert set((await got(jwks)).bundles) == {"spiffe://example.org", "spiffe://other.test"}
    agent.cache.apply(Update(removed_bundles=[other.trust_domain]))
    assert (await got(certs)).ca_certificates == own
    assert set((await got(jwks)).bundles) == {"spiffe://example.org"}


async def test_a_token_for_each_identity(delegation: Delegation, agent: LocalAgent) -> None:
    agent.register("a", "/first", "sa:web", hint="h")
    agent.register("b", "/second", "ns:shop", hint="h")
    agent.register("c", "/other", "sa:db")
    response = await delegation.FetchJWTSVIDs(pb.FetchJWTSVIDsRequest(audience=["x", "y"], selectors=SELECTORS))
    assert [(one.id.trust_domain, one.id.path, one.hint) for one in response.svids] == [
        ("example.org", "/first", "h"),
        ("example.org", "/second", "h"),
    ]
    assert agent.minter.asked == [("a", ("x", "y")), ("b", ("x", "y"))]
    assert all(one.token.count(".") == 2 and one.expires_at - one.issued_at == 300 for one in response.svids)


@pytest.mark.parametrize(
    ("failure", "refused"),
    [
        (UnavailableError("down"), (grpc.StatusCode.UNAVAILABLE, "could not fetch JWT-SVID: down")),
        (InvalidArgumentError("no"), (grpc.StatusCode.UNAVAILABLE, "could not fetch JWT-SVID: no")),
        (UnimplementedError("JWT is off"), (grpc.StatusCode.UNIMPLEMENTED, "JWT is off")),
    ],
)
async def test_a_server_that_signs_no_token(
    delegation: Delegation, agent: LocalAgent, failure: AssayError, refused: object
) -> None:
    agent.register("a", "/web", "sa:web")
    agent.minter.failure = failure
    assert await refusal_of(CALLS["FetchJWTSVIDs"](delegation)) == refused


async def test_a_token_needs_an_audience_before_anything_else(admin: Admin) -> None:
    async with admin.channel() as channel:
        found = await refusal_of(DelegatedIdentityStub(channel).FetchJWTSVIDs(pb.FetchJWTSVIDsRequest()))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "audience must be specified")


@pytest.mark.parametrize("name", CALLS)
async def test_who_has_no_identity_or_another_one_is_no_delegate(admin: Admin, agent: LocalAgent, name: str) -> None:
    """Not even for the workload it is itself."""
    async with admin.channel() as channel:
        stub: Delegation = DelegatedIdentityStub(channel)
        assert await refusal_of(first(CALLS[name](stub))) == NO_IDENTITY
        agent.register("a", "/delegate/not")
        with capture_logs() as logs:
            assert await refusal_of(first(CALLS[name](stub))) == NO_DELEGATE
    (line,) = [one for one in logs if one["event"].startswith("Permission denied")]
    assert (line["default_id"], line["num_registered_entries"]) == ("spiffe://example.org/delegate/not", 1)


async def test_without_authorized_delegates_there_are_none(admins: Admins, agent: LocalAgent) -> None:
    admin = await admins(authorized=())
    agent.register("a", "/delegate")
    async with admin.channel() as channel:
        for call in CALLS.values():
            assert await refusal_of(first(call(DelegatedIdentityStub(channel)))) == NO_DELEGATE


async def test_one_of_several_entries_makes_a_delegate_whatever_their_hints(admin: Admin, agent: LocalAgent) -> None:
    agent.register("a", "/someone", hint="h", created_at=1)
    agent.register("b", "/delegate", hint="h", created_at=2)
    async with admin.channel() as channel:
        await got(DelegatedIdentityStub(channel).SubscribeToX509SVIDs(WANT))


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("lost", ["all", "renamed", "reselected"])
async def test_a_stream_ends_when_its_delegate_loses_the_right_though_nothing_else_changes(
    delegation: Delegation, agent: LocalAgent, name: str, lost: str
) -> None:
    agent.register("a", "/web", "sa:web")
    stream = CALLS[name](delegation)
    await got(stream)
    refused = NO_IDENTITY
    if lost == "all":
        agent.remove("0")
    elif lost == "renamed":
        agent.register("0", "/former")
        refused = NO_DELEGATE
    else:
        agent.register("0", "/delegate", "unix:uid:4294967294")
    assert await refusal_of(got(stream)) == refused


async def test_what_changes_together_with_the_right_is_not_sent(delegation: Delegation, agent: LocalAgent) -> None:
    web = agent.register("a", "/web", "sa:web")
    stream = delegation.SubscribeToX509SVIDs(WANT)
    await got(stream)
    agent.rotate(web.id)
    agent.remove("0")
    assert await refusal_of(got(stream)) == NO_IDENTITY


async def test_a_right_that_ends_while_a_token_is_signed_gives_none(delegation: Delegation, agent: LocalAgent) -> None:
    agent.register("a", "/web", "sa:web")

    async def revoke() -> None:
        agent.remove("0")

    agent.minter.before = revoke
    assert await refusal_of(CALLS["FetchJWTSVIDs"](delegation)) == NO_IDENTITY


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (pb.SubscribeToX509SVIDsRequest(), ONE_OF_TWO),
        (pb.SubscribeToX509SVIDsRequest(pid=1, selectors=SELECTORS), ONE_OF_TWO),
        (pb.SubscribeToX509SVIDsRequest(pid=-1), NOT_ATTESTED),
        (pb.SubscribeToX509SVIDsRequest(pid=2**31 - 1), NOT_ATTESTED),
        *(
            (
                pb.SubscribeToX509SVIDsRequest(selectors=[*SELECTORS, bad]),
                (grpc.StatusCode.INVALID_ARGUMENT, "could not parse provided selectors"),
            )
            for bad in (Selector(type="a"), Selector(value="a"), Selector(type="a:b", value="c"))
        ),
        (
            pb.SubscribeToX509SVIDsRequest(selectors=[Selector(type="a", value="b")] * (MAX_SELECTORS + 1)),
            (grpc.StatusCode.INVALID_ARGUMENT, f"too many selectors: {MAX_SELECTORS + 1}, at most {MAX_SELECTORS}"),
        ),
    ],
)
async def test_for_whom_is_said_in_one_way_and_rightly(
    delegation: Delegation, request_: pb.SubscribeToX509SVIDsRequest, refused: object
) -> None:
    assert await refusal_of(got(delegation.SubscribeToX509SVIDs(request_))) == refused
    tokens = pb.FetchJWTSVIDsRequest(audience=["a"], selectors=request_.selectors, pid=request_.pid)
    assert await refusal_of(delegation.FetchJWTSVIDs(tokens)) == refused


class LastArgument:
    """Attests by the last word of the command line."""

    name = "word"

    async def attest(self, pid: int) -> tuple[Value, ...]:
        return (Value("word", last_word(pid)),)


def last_word(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()


@pytest.fixture
async def sleeper() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "input()", "web", stdin=-1)
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_a_pid_is_attested_by_the_agent_and_stands_for_that_process_alone(
    admins: Admins, agent: LocalAgent, sleeper: asyncio.subprocess.Process
) -> None:
    me = LastArgument()
    admin = await admins(plugins=[me])
    (mine,) = await me.attest(os.getpid())
    agent.register("0", "/delegate", str(mine))
    agent.register("a", "/web", "word:web")
    async with admin.channel() as channel:
        stub: Delegation = DelegatedIdentityStub(channel)
        stream = stub.SubscribeToX509SVIDs(pb.SubscribeToX509SVIDsRequest(pid=sleeper.pid))
        assert paths(await got(stream)) == ["/web"]
        tokens = pb.FetchJWTSVIDsRequest(audience=["a"], pid=sleeper.pid)
        assert [one.id.path for one in (await stub.FetchJWTSVIDs(tokens)).svids] == ["/web"]
        sleeper.kill()
        await sleeper.wait()
        agent.rotate("a")
        assert await refusal_of(got(stream)) == NOT_ATTESTED
        assert await refusal_of(stub.FetchJWTSVIDs(tokens)) == NOT_ATTESTED


async def with_pid(pid: int, word: str) -> asyncio.subprocess.Process:
    """Another process that has that number."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    for _ in range(50):
        try:
            last.write_text(str(pid - 1))  # noqa: ASYNC240 - memory
        except OSError as error:
            pytest.skip(f"numbers cannot be chosen here: {error}")
        process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "input()", word, stdin=-1)
        if process.pid == pid:
            return process
        process.kill()
        await process.wait()
    pytest.skip("other processes took the number each time")


# Choosing numbers is the whole machine's affair: not two at a time.
@pytest.mark.xdist_group("process numbers")
async def test_a_number_that_is_another_process_by_now_gets_nothing_of_either(
    admins: Admins, agent: LocalAgent, sleeper: asyncio.subprocess.Process
) -> None:
    me = LastArgument()
    admin = await admins(plugins=[me])
    (mine,) = await me.attest(os.getpid())
    agent.register("0", "/delegate", str(mine))
    agent.register("a", "/web", "word:web")
    agent.register("b", "/db", "word:db")
    async with admin.channel() as channel:
        stream = DelegatedIdentityStub(channel).SubscribeToX509SVIDs(pb.SubscribeToX509SVIDsRequest(pid=sleeper.pid))
        assert paths(await got(stream)) == ["/web"]
        sleeper.kill()
        await sleeper.wait()
        successor = await with_pid(sleeper.pid, "db")
        try:
            agent.rotate("a")
            agent.rotate("b")
            assert await refusal_of(got(stream)) == NOT_ATTESTED
        finally:
            successor.kill()
            await successor.wait()


async def test_a_process_that_ends_while_its_token_is_signed_gets_none(
    admins: Admins, agent: LocalAgent, sleeper: asyncio.subprocess.Process
) -> None:
    me = LastArgument()
    admin = await admins(plugins=[me])
    (mine,) = await me.attest(os.getpid())
    agent.register("0", "/delegate", str(mine))
    agent.register("a", "/web", "word:web")

    async def end() -> None:
        sleeper.kill()
        await sleeper.wait()

    agent.minter.before = end
    async with admin.channel() as channel:
        tokens = pb.FetchJWTSVIDsRequest(audience=["a"], pid=sleeper.pid)
        assert await refusal_of(DelegatedIdentityStub(channel).FetchJWTSVIDs(tokens)) == NOT_ATTESTED


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_streams_that_end_leave_nothing(delegation: Delegation, agent: LocalAgent, settle: Quiet) -> None:
    agent.register("a", "/web", "sa:web")
    await CALLS["FetchJWTSVIDs"](delegation)
    before = descriptors()
    streams = [delegation.SubscribeToX509SVIDs(pb.SubscribeToX509SVIDsRequest(pid=os.getpid())) for _ in range(20)]
    streams += [delegation.SubscribeToX509SVIDs(WANT) for _ in range(20)]
    bundles = [call(delegation) for name, call in CALLS.items() if name.endswith("Bundles")]
    for stream in (*streams, *bundles):
        await got(stream)
    assert agent.cache.wanted
    for stream in (*streams, *bundles):
        stream.cancel()
    for _ in range(100):
        if not agent.cache.wanted and descriptors() <= before:
            break
        await settle()
    assert not agent.cache.wanted
    assert descriptors() <= before
