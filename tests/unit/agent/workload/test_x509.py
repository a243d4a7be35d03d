"""FetchX509SVID and FetchX509Bundles over a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from grpc import aio
from structlog.testing import capture_logs

from assay.bundle import Bundle
from assay.crypto.der import split
from assay.errors import PermissionDeniedError, UnavailableError
from assay.svid import X509Svid, x509
from assay.testing.authority import Authority
from assay.workloadapi.wire import METADATA, Stub
from assay_agent.cache import Update
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent, Quiet

    from assay.workloadapi import WorkloadApiClient


@pytest.mark.spec("WAPI-5.1-a")
@pytest.mark.spec("WAPI-5.1-b")
@pytest.mark.spec("WAPI-5.1-c")
@pytest.mark.spec("WAPI-5.1-d")
@pytest.mark.spec("WAPI-5.1-e")
@pytest.mark.spec("WAPI-5.2.1-c")
@pytest.mark.spec("FED-5.1-b")
async def test_an_identity_comes_with_everything_it_needs(agent: LocalAgent, stub: Stub, authority: Authority) -> None:
    other = Authority("other.test")
    agent.publish(other.bundle)
    agent.register("a", "/web", hint="web", federates_with=(other.trust_domain,))
    response = await anext(aiter(stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA)))
    (svid,) = response.svids
    assert (svid.spiffe_id, svid.hint) == ("spiffe://example.org/web", "web")
    chain = split(svid.x509_svid)
    assert str(x509.verify(chain, {authority.trust_domain: authority.bundle}, authority.now)) == svid.spiffe_id
    assert isinstance(load_der_private_key(svid.x509_svid_key, None), EllipticCurvePrivateKey)
    assert X509Svid.parse(chain, svid.x509_svid_key).spiffe_id == authority.id("/web")
    assert split(svid.bundle) == (authority.root.der,)
    assert dict(response.federated_bundles) == {"spiffe://other.test": other.root.der}
    assert list(response.crl) == []


@pytest.mark.spec("WAPI-5.1-c")
async def test_several_authorities_come_one_after_the_other(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    bundle = agent.change_bundle()
    context = await client.fetch_x509()
    assert context.bundles[bundle.trust_domain] == tuple(one.der for one in bundle.x509_authorities)
    assert len(bundle.x509_authorities) == 2


@pytest.mark.spec("WAPI-8-a")
@pytest.mark.spec("WAPI-5.2.1-d")
@pytest.mark.spec("WAPI-4.3-a")
async def test_identities_are_all_in_every_message_by_entry_id_and_hints_are_unique(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.register("c", "/third", hint="db", created_at=1)
    agent.register("b", "/second")
    agent.register("a", "/first", hint="db", created_at=2)
    async with aclosing(client.watch_x509()) as contexts:
        for _ in range(3):
            context = await anext(contexts)
            assert [(str(one.svid.spiffe_id.path), one.hint) for one in context.svids] == [
                ("/second", ""),
                ("/third", "db"),
            ]
            agent.rotate("b")


@pytest.mark.spec("WAPI-4.2-a")
@pytest.mark.spec("WAPI-4.3-b")
async def test_a_message_for_each_event_and_none_without(
    agent: LocalAgent, client: WorkloadApiClient, settle: Quiet
) -> None:
    agent.register("a", "/web")
    seen: list[Any] = []

    async def read() -> None:
        async with aclosing(client.watch_x509()) as contexts:
            async for context in contexts:
                seen.append(context)
                changed.set()

    changed = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        await changed.wait()
        events: list[Callable[[], object]] = [
            lambda: agent.rotate("a"),
            agent.change_bundle,
            lambda: agent.register("b", "/more"),
            lambda: agent.remove("b"),
        ]
        for number, event in enumerate(events, start=2):
            changed.clear()
            event()
            await changed.wait()
            assert len(seen) == number
        # Nothing of this shows in a response.
        agent.cache.apply(Update(entries=[agent.entry("a", "/web", revision=9)]))
        agent.register("x", "/other", "unix:uid:4000000000")
        agent.publish(Bundle(Authority("unrelated.test").trust_domain))
        await settle()
        assert len(seen) == 5
        reader.cancel()


@pytest.mark.spec("WAPI-4.3-c")
async def test_each_new_stream_is_answered_at_once(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    first, second = await client.fetch_x509(), await client.fetch_x509()
    assert first.default.chain == second.default.chain


@pytest.mark.spec("WEP-6-e")
@pytest.mark.spec("WAPI-5.2.1-b")
@pytest.mark.spec("WAPI-5.2.1-f")
async def test_a_caller_that_no_entry_is_for_is_denied(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web", "unix:uid:4000000000")
    with capture_logs() as logs, pytest.raises(PermissionDeniedError, match="no identity issued"):
        await client.fetch_x509()
    (line,) = [one for one in logs if one["event"] == "No identity issued"]
    assert line["registered"] is False
    assert line["method"] == "FetchX509SVID"


@pytest.mark.spec("WAPI-5.2.1-f")
async def test_the_stream_ends_when_the_last_identity_goes(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    agent.register("b", "/more")
    async with aclosing(client.watch_x509()) as contexts:
        await anext(contexts)
        agent.remove("a")
        assert [one.svid.spiffe_id.path for one in (await anext(contexts)).svids] == ["/more"]
        agent.remove("b")
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(contexts)


async def test_an_entry_that_comes_while_its_svid_is_signed_is_waited_for(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.cache.apply(Update(entries=[agent.entry("a", "/web")]))
    async with asyncio.TaskGroup() as group:
        fetching = group.create_task(client.fetch_x509())
        await agent.cache.wait_wanted()
        agent.rotate("a")
    assert fetching.result().default.spiffe_id.path == "/web"


@pytest.mark.spec("WEP-6-c")
async def test_a_caller_whose_svid_does_not_get_signed_may_come_back(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    agent.cache.apply(Update(entries=[agent.entry("a", "/web")]))
    with pytest.raises(UnavailableError):
        await client.fetch_x509()


async def test_a_reader_that_is_slow_holds_up_its_own_stream_and_then_gets_the_newest(agent: LocalAgent) -> None:
    """The client takes 64 KiB ahead and no more, so that writing waits for it to read."""
    names = tuple(f"{number:04}.example.org" for number in range(2000))
    svids = [agent.authority.x509_svid("/web", dns_names=names) for _ in range(3)]
    agent.register("a", "/web")
    agent.cache.set_svid("a", svids[0])
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]
    async with aio.insecure_channel(agent.endpoint.target, options=options) as channel:
        responses = aiter(Stub(channel).fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA))
        await anext(responses)
        for number in range(60):
            agent.cache.set_svid("a", svids[number % 2])
            await asyncio.sleep(0.001)
        agent.cache.set_svid("a", svids[2])
        sent = 1
        while (await anext(responses)).svids[0].x509_svid != b"".join(svids[2].chain):
            sent += 1
        assert sent < 20


@pytest.mark.spec("WAPI-5.2.2-b")
async def test_bundles_are_the_own_one_and_those_the_entries_federate_with(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    friend, stranger = Authority("friend.test"), Authority("stranger.test")
    agent.publish(friend.bundle, stranger.bundle)
    agent.register("a", "/web", federates_with=(friend.trust_domain,))
    agent.register("b", "/other", "unix:uid:4000000000", federates_with=(stranger.trust_domain,))
    async with aclosing(client.watch_x509_bundles()) as bundles:
        assert await anext(bundles) == {
            authority.trust_domain: (authority.root.der,),
            friend.trust_domain: (friend.root.der,),
        }


@pytest.mark.spec("WAPI-4.3-b")
@pytest.mark.spec("WAPI-4.3-a")
async def test_bundles_follow_changes_and_equal_ones_are_not_sent_again(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_x509_bundles()) as bundles:
        first = await anext(bundles)
        agent.rotate("a")
        agent.register("b", "/more")
        await asyncio.sleep(0)
        changed = agent.change_bundle()
        assert await anext(bundles) == {authority.trust_domain: tuple(one.der for one in changed.x509_authorities)}
        assert len(first[authority.trust_domain]) == 1


@pytest.mark.spec("WAPI-5.2.2-c")
async def test_bundles_are_denied_to_callers_without_identity_then_and_later(
    agent: LocalAgent, client: WorkloadApiClient
) -> None:
    async with aclosing(client.watch_x509_bundles()) as bundles:
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(bundles)
    agent.register("a", "/web")
    async with aclosing(client.watch_x509_bundles()) as bundles:
        await anext(bundles)
        agent.remove("a")
        with pytest.raises(PermissionDeniedError):
            await anext(bundles)


@pytest.mark.spec("WAPI-5.2.2-c")
async def test_unauthenticated_verifiers_get_the_own_bundle_only_where_allowed(
    agents: Agents, authority: Authority
) -> None:
    agent = await agents(allow_unauthenticated_verifiers=True)
    agent.publish(Authority("friend.test").bundle)
    async with agent.client() as client:
        async with aclosing(client.watch_x509_bundles()) as bundles:
            assert set(await anext(bundles)) == {authority.trust_domain}
        async with aclosing(client.watch_jwt_bundles()) as documents:
            assert set(await anext(documents)) == {authority.trust_domain}
        with pytest.raises(PermissionDeniedError):
            await client.fetch_x509()


async def test_bundles_do_not_wait_for_signatures(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.cache.apply(Update(entries=[agent.entry("a", "/web")]))
    async with aclosing(client.watch_x509_bundles()) as bundles:
        assert await anext(bundles)
    assert not agent.cache.wanted


async def test_who_leaves_is_forgotten(agent: LocalAgent, client: WorkloadApiClient) -> None:
    agent.register("a", "/web")
    async with aclosing(client.watch_x509()) as contexts:
        await anext(contexts)
        assert set(agent.cache.wanted) == {"a"}
    while agent.cache.wanted:  # noqa: ASYNC110 - the server hears of it by its own event
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("log_selectors", "shown"),
    [
        (("unix:uid",), f"unix:uid:{os.geteuid()}"),
        (("unix:ui", "k8s"), None),
        ((f"unix:uid:{os.geteuid()}",), f"unix:uid:{os.geteuid()}"),
    ],
)
async def test_of_who_gets_nothing_only_selectors_that_may_be_are_logged(
    agents: Agents, log_selectors: tuple[str, ...], shown: str | None
) -> None:
    agent = await agents(log_selectors=log_selectors)
    async with agent.client() as client:
        with capture_logs() as logs, pytest.raises(PermissionDeniedError):
            await client.fetch_x509()
    (line,) = [one for one in logs if one["event"] == "No identity issued"]
    assert line.get("selectors") == shown
